//! What is noticed of a transfer while it runs.

use std::time::{Duration, Instant};

use crate::lab::files::acts::Act;
use crate::lab::files::host::Host;
use crate::lab::files::tally::Stretch;

/// Bytes between two looks that are a transfer and not signs of life.
const FLOWS: u64 = 64 << 10;

/// Notices pauses.
pub(super) struct Flow {
    moved_at: Instant,
    sent: u64,
    pub(super) pause: Duration,
}

impl Flow {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            moved_at: now,
            sent: 0,
            pause: Duration::ZERO,
        }
    }

    pub(super) fn look(&mut self, now: Instant, sent: u64) {
        if sent - self.sent >= FLOWS {
            self.pause = self.pause.max(now - self.moved_at);
            self.moved_at = now;
            self.sent = sent;
        }
    }
}

/// Notices when the receiver says what it has.
#[derive(Default)]
pub(super) struct Begun {
    pub(super) stretches: Vec<Stretch>,
    /// How often its process of the moment has said so.
    times: usize,
    /// Bytes that were sent at the two looks before: what was said after the first of them may have been
    /// read only after the second.
    looks: [u64; 2],
}

impl Begun {
    pub(super) fn look(&mut self, receiver: &Host, sent: u64) {
        let times = receiver.count("began");
        if times > self.times {
            self.times = times;
            let began = receiver.last("began").unwrap_or_default();
            self.stretches.push(Stretch {
                had: began["resumed_bytes"].as_u64().unwrap_or(0),
                sent,
                before: self.looks[0],
                acts: 0,
            });
        }
        self.looks = [self.looks[1], sent];
    }

    pub(super) fn act(&mut self, act: Act) {
        if act == Act::KillReceiver {
            self.times = 0;
        }
        if let Some(stretch) = self.stretches.last_mut() {
            stretch.acts += 1;
        }
    }
}
