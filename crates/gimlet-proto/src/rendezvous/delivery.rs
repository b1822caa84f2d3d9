//! Who a message is for: peers have several control sessions, and each gets what belongs to it.
//!
//! A session between peers is spoken for by the key, and told where it was spoken of last: at the
//! connection that asked for it or accepted it, at a newer one of the same key that has spoken of
//! it since, or, when that one is gone, at the one that took its place.

use super::connections::{SignedIn, State};
use super::sessions::DIALER;
use super::{ConnId, Output, Rendezvous, Who};
use crate::id::PeerId;
use crate::message::ToPeer;
use crate::name::Name;
use crate::relay::{self, Control};
use crate::secret::SessionId;

/// One side of a session between peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    pub(super) peer: PeerId,
    /// The control session that speaks for it.
    pub(super) conn: ConnId,
    /// What that control session is or was, and so which other one may have taken its place.
    pub(super) reachable: bool,
}

impl End {
    pub(super) fn control(&self) -> Control {
        let (peer, conn) = (self.peer, self.conn);
        Control { peer, conn }
    }
}

impl Rendezvous {
    pub(super) fn send(&mut self, conn: ConnId, message: impl Into<ToPeer>) {
        let message = message.into();
        self.outputs.push_back(Output::Send(conn, message));
    }

    pub(super) fn send_to_end(&mut self, end: End, message: impl Into<ToPeer>) {
        if let Some(conn) = self.reach(end) {
            self.send(conn, message);
        }
    }

    pub(super) fn relay(&mut self, command: relay::Command) {
        self.outputs.push_back(Output::Relay(command));
    }

    pub(super) fn end(&self, conn: ConnId, peer: PeerId) -> End {
        let reachable = self.online.get(&peer) == Some(&conn);
        End {
            peer,
            conn,
            reachable,
        }
    }

    /// The side of a session that this connection speaks for, and is told about from now on,
    /// unless a newer one is.
    pub(super) fn speaks_for(
        &mut self,
        conn: ConnId,
        peer: PeerId,
        session: SessionId,
    ) -> Option<usize> {
        let end = self.end(conn, peer);
        let session = self.sessions.get_mut(session)?;
        let side = session.side(peer)?;
        if session.ends[side].conn < conn {
            session.ends[side] = end;
        }
        Some(side)
    }

    /// The connection to tell a side something: its own, or the one that took its place.
    pub(super) fn reach(&self, end: End) -> Option<ConnId> {
        if self.connections.contains_key(&end.conn) {
            return Some(end.conn);
        }
        let online = self.online.get(&end.peer).copied();
        let dialing = self.dialing_of(end.peer).next_back();
        match end.reachable {
            true => online.or(dialing),
            false => dialing.or(online),
        }
    }

    /// What one connection asked for is answered to the one that takes its place.
    pub(super) fn hand_over(&mut self, from: ConnId, to: End) {
        let dialed = self.sessions.dialed_by(to.peer);
        let dialed = dialed.filter(|(_, session)| session.dialer().conn == from);
        for id in dialed.map(|(id, _)| id).collect::<Vec<_>>() {
            if let Some(session) = self.sessions.get_mut(id) {
                session.ends[DIALER] = to;
            }
        }
    }

    /// Connections of a key that only dial, oldest first.
    pub(super) fn dialing_of(&self, peer: PeerId) -> impl DoubleEndedIterator<Item = ConnId> {
        let all = (peer, ConnId(0))..=(peer, ConnId(u64::MAX));
        self.dialing.range(all).map(|&(_, conn)| conn)
    }

    /// Who a side is, for the log and for the other side.
    pub(super) fn who_at(&self, end: End) -> Who {
        let conn = self.reach(end);
        Who {
            peer: end.peer,
            name: conn.and_then(|conn| self.name_at(conn)),
        }
    }

    /// Who a key is that may be online.
    pub(super) fn who(&self, peer: PeerId) -> Who {
        let conn = self.online.get(&peer);
        Who {
            peer,
            name: conn.and_then(|&conn| self.name_at(conn)),
        }
    }

    /// The name a connection is signed in with. Its key may have lost it over another connection.
    pub(super) fn name_at(&self, conn: ConnId) -> Option<Name> {
        let name = self.signed_in(conn)?.name.clone()?;
        let peer = self.connections.get(&conn)?.peer;
        (self.names.holder(&name) == Some(peer)).then_some(name)
    }

    pub(super) fn signed_in(&self, conn: ConnId) -> Option<&SignedIn> {
        match &self.connections.get(&conn)?.state {
            State::SignedIn(state) => Some(state),
            State::New { .. } => None,
        }
    }
}
