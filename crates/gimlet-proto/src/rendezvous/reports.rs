//! What dialers report of their attempts, counted, and told to whoever asks.
//!
//! A report can be made up, so it moves counters and nothing else, and each key moves them slowly.

use std::collections::BTreeMap;
use std::time::Instant;

use super::sessions::{DIALER, State};
use super::{ConnId, Event, Rendezvous};
use crate::id::PeerId;
use crate::limit::{Bucket, Rate};
use crate::message::{AskStats, Outcome, Stats};
use crate::stats::Summary;

/// Reports of one session that count: an attempt is taken up again when a network changes, and a
/// relay session lives for hours.
const MAX_REPORTS: u8 = 8;

/// Reports of one key that count: a person or a script that dials. More would let one key write
/// everybody's numbers.
const REPORTS: Rate = Rate::per_second(1, 60);

/// Keys whose rate is remembered. A key is forgotten a minute after its last report; while so many
/// report within a minute, further ones are not counted.
const MAX_REPORTERS: usize = 4096;

/// How much each key has reported lately.
#[derive(Debug, Default)]
pub(super) struct Reporters {
    buckets: BTreeMap<PeerId, Bucket>,
}

impl Reporters {
    fn take(&mut self, peer: PeerId, now: Instant) -> bool {
        if self.buckets.len() >= MAX_REPORTERS && !self.buckets.contains_key(&peer) {
            self.buckets.retain(|_, bucket| !bucket.is_full(now));
        }
        if self.buckets.len() >= MAX_REPORTERS && !self.buckets.contains_key(&peer) {
            return false;
        }
        self.buckets.entry(peer).or_default().take(1, &REPORTS, now)
    }
}

impl Rendezvous {
    pub(super) fn outcome(&mut self, conn: ConnId, peer: PeerId, report: Outcome, now: Instant) {
        let Outcome { session, attempt } = report;
        if !self.takes_report(conn, peer, &report, now) {
            return self.table.ignore();
        }
        self.table.add(&attempt);
        let ends = self.sessions.get(session).map(|session| session.ends);
        let Some([dialer, acceptor]) = ends else {
            return;
        };
        self.events.push_back(Event::AttemptReported {
            session,
            dialer: self.who_at(dialer),
            acceptor: self.who_at(acceptor),
            attempt,
        });
    }

    fn takes_report(&mut self, conn: ConnId, peer: PeerId, report: &Outcome, now: Instant) -> bool {
        let Some(DIALER) = self.speaks_for(conn, peer, report.session) else {
            return false;
        };
        let Some(session) = self.sessions.get_mut(report.session) else {
            return false;
        };
        let open = matches!(session.state, State::Open { .. });
        if !open || session.reports >= MAX_REPORTS || !self.reporters.take(peer, now) {
            return false;
        }
        session.reports += 1;
        true
    }

    pub(super) fn ask_stats(&mut self, conn: ConnId, request: AskStats, now: Instant) {
        let counted = now.saturating_duration_since(self.calendar.started_at);
        let answer = Stats {
            id: request.id,
            counted_s: counted.as_secs(),
            summary: self.stats(),
        };
        self.send(conn, answer);
    }

    /// What was reported and seen since the start.
    pub fn stats(&self) -> Summary {
        self.table.summary()
    }
}
