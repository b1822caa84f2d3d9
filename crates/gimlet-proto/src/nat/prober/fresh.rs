//! The fresh sockets of a prober, and what they wait for.

use std::ops::Range;
use std::time::Instant;

use super::steps::FILTER_V6;

/// Fresh sockets in all.
const MAX_FRESH: usize = FILTER_V6 as usize + 1;

/// What became of one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Socket {
    #[default]
    Absent,
    Opening {
        until: Instant,
    },
    Open {
        port: u16,
    },
    Failed,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    pub(super) sockets: [Socket; MAX_FRESH],
    pub(super) stage: Stage,
    pub(super) v6_asked: bool,
}

/// How far the sampling is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Stage {
    /// The first wave's sockets are being opened.
    #[default]
    Opening,
    /// The first wave is under way.
    Wave,
    /// More of a block: sockets are being opened.
    BlockOpening,
    /// More of a sequence: `next` is the number of the next one, due at `at`.
    Sequence { next: u8, at: Instant },
    /// The last samples are under way.
    More,
    /// All there are.
    Done,
}

impl Fresh {
    pub(super) fn opened(&mut self, slot: u8, port: u16) {
        if let Some(socket @ Socket::Opening { .. }) = self.sockets.get_mut(usize::from(slot)) {
            *socket = Socket::Open { port };
        }
    }

    pub(super) fn failed(&mut self, slot: u8) {
        if let Some(socket @ Socket::Opening { .. }) = self.sockets.get_mut(usize::from(slot)) {
            *socket = Socket::Failed;
        }
    }

    /// The port a socket is bound to.
    pub(super) fn port(&self, slot: u8) -> Option<u16> {
        match self.sockets.get(usize::from(slot))? {
            Socket::Open { port } => Some(*port),
            Socket::Absent | Socket::Opening { .. } | Socket::Failed => None,
        }
    }

    /// Whether more is to be asked through one.
    pub(super) fn is_pending(&self) -> bool {
        self.stage != Stage::Done
    }

    /// Whether one is still being opened.
    pub(super) fn is_opening(&self) -> bool {
        self.are_opening(0..MAX_FRESH as u8)
    }

    /// Whether the first wave is answered, so that allocation can be judged.
    pub(super) fn is_sampled(&self) -> bool {
        !matches!(self.stage, Stage::Opening | Stage::Wave)
    }

    pub(super) fn due_at(&self) -> Option<Instant> {
        let opening = self.sockets.iter().filter_map(|socket| match socket {
            Socket::Opening { until } => Some(*until),
            Socket::Absent | Socket::Open { .. } | Socket::Failed => None,
        });
        let sequence = match self.stage {
            Stage::Sequence { at, .. } => Some(at),
            Stage::Opening | Stage::Wave | Stage::BlockOpening | Stage::More | Stage::Done => None,
        };
        opening.chain(sequence).min()
    }

    /// Ends them all; those that were asked for.
    pub(super) fn close(&mut self) -> Vec<u8> {
        self.stage = Stage::Done;
        let asked = |slot: &u8| self.sockets[usize::from(*slot)] != Socket::Absent;
        let all = (0..MAX_FRESH as u8).filter(asked).collect();
        self.sockets = Default::default();
        all
    }

    pub(super) fn are_opening(&self, slots: Range<u8>) -> bool {
        let is_opening = |slot| matches!(self.sockets[usize::from(slot)], Socket::Opening { .. });
        slots.into_iter().any(is_opening)
    }
}
