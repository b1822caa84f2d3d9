//! The table of sessions, found by id and counted by peer.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Instant;

use super::delivery::End;
use crate::id::PeerId;
use crate::message::PathKind;
use crate::secret::SessionId;

/// The dialer's place among the [ends](Session::ends).
pub(super) const DIALER: usize = 0;

/// The accepting side's place.
pub(super) const ACCEPTOR: usize = 1;

#[derive(Debug, Clone, Copy)]
pub(super) struct Session {
    /// Dialer and accepting side: two keys.
    pub(super) ends: [End; 2],
    pub(super) state: State,
    /// Candidates passed on so far, from the dialer and from the accepting side.
    pub(super) passed_on: [u16; 2],
    /// Hints passed on so far, likewise.
    pub(super) hints: [u16; 2],
    /// Attempts that its dialer has reported.
    pub(super) reports: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// The accepting side was told and has not answered.
    Pending { answer_by: Instant },
    /// Accepted.
    Open { path: PathKind },
}

impl Session {
    /// [`DIALER`], [`ACCEPTOR`], or `None` for everybody else.
    pub(super) fn side(&self, peer: PeerId) -> Option<usize> {
        self.ends.iter().position(|end| end.peer == peer)
    }

    pub(super) fn dialer(&self) -> End {
        self.ends[DIALER]
    }

    pub(super) fn acceptor(&self) -> End {
        self.ends[ACCEPTOR]
    }
}

#[derive(Debug, Default)]
pub(super) struct Sessions {
    by_id: BTreeMap<SessionId, Session>,
    /// Pairs of peer and session, so that one peer's are a range.
    dialed: BTreeSet<(PeerId, SessionId)>,
    taken: BTreeSet<(PeerId, SessionId)>,
}

impl Sessions {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn get(&self, id: SessionId) -> Option<&Session> {
        self.by_id.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.by_id.get_mut(&id)
    }

    pub(super) fn insert(&mut self, id: SessionId, session: Session) {
        self.dialed.insert((session.dialer().peer, id));
        self.taken.insert((session.acceptor().peer, id));
        self.by_id.insert(id, session);
    }

    pub(super) fn remove(&mut self, id: SessionId) -> Option<Session> {
        let session = self.by_id.remove(&id)?;
        self.dialed.remove(&(session.dialer().peer, id));
        self.taken.remove(&(session.acceptor().peer, id));
        Some(session)
    }

    /// Sessions in which this peer is the dialer.
    pub(super) fn dialed_by(&self, peer: PeerId) -> impl Iterator<Item = (SessionId, &Session)> {
        let ids = self.dialed.range(all_of(peer)).map(|&(_, id)| id);
        ids.filter_map(|id| Some((id, self.by_id.get(&id)?)))
    }

    /// Sessions in which this peer is the accepting side.
    pub(super) fn taken_by(&self, peer: PeerId) -> impl Iterator<Item = (SessionId, &Session)> {
        let ids = self.taken.range(all_of(peer)).map(|&(_, id)| id);
        ids.filter_map(|id| Some((id, self.by_id.get(&id)?)))
    }
}

fn all_of(peer: PeerId) -> RangeInclusive<(PeerId, SessionId)> {
    (peer, SessionId([0; 8]))..=(peer, SessionId([0xff; 8]))
}
