//! Who is there: pages of the list, finding somebody by what a person types, watching.

use std::net::SocketAddr;
use std::ops::Bound;
use std::time::Instant;

use super::connections::{State, canonical};
use super::{ConnId, Rendezvous, numbers, sessions};
use crate::candidate::NatClass;
use crate::id::PeerId;
use crate::message::{
    FailReason, Failed, List, PAGE_LEN, Page, PeerInfo, Presence, Resolve, Resolved, SessionInfo,
};
use crate::name::Name;

/// Shortest id prefix that is looked up: one in a million ids begins like that.
pub const MIN_PREFIX: usize = 4;

/// Peers one connection may watch: a contact list.
pub const MAX_WATCHED: usize = 256;

/// Connections that may watch one peer: bounds what its coming and going costs.
pub const MAX_WATCHERS: usize = 1024;

/// Sessions in a page, see [`Page::sessions`].
const MAX_PAGE_SESSIONS: usize = 4 * PAGE_LEN;

impl Rendezvous {
    pub(super) fn list(&mut self, conn: ConnId, request: List, now: Instant) {
        let from = match request.after {
            Some(after) => Bound::Excluded(after),
            None => Bound::Unbounded,
        };
        let mut ids = self.online.range((from, Bound::Unbounded));
        let page: Vec<PeerId> = ids.by_ref().take(PAGE_LEN).map(|(&peer, _)| peer).collect();
        let more = ids.next().is_some();
        let peers = page.iter().filter_map(|&peer| self.peer_info(peer, now));
        let peers = peers.collect();
        // Whoever dialed may not be in the list; whoever was dialed is, unless it has left since.
        let taken = page.iter().flat_map(|&peer| self.sessions.taken_by(peer));
        let sessions = taken.filter_map(|(_, session)| session_info(session));
        let sessions = sessions.take(MAX_PAGE_SESSIONS).collect();
        self.send(
            conn,
            Page {
                id: request.id,
                peers,
                sessions,
                more,
            },
        );
    }

    fn peer_info(&self, peer: PeerId, now: Instant) -> Option<PeerInfo> {
        let &conn = self.online.get(&peer)?;
        let state = self.signed_in(conn)?;
        let observed = canonical(self.connections.get(&conn)?.observed);
        Some(PeerInfo {
            peer,
            name: self.name_at(conn),
            lease_s: state.until.saturating_duration_since(now).as_secs() as u32,
            nat: state.nat,
            observed: self.config.tell_observed.then_some(observed),
        })
    }

    pub(super) fn resolve(&mut self, conn: ConnId, request: Resolve, now: Instant) {
        let id = request.id;
        match self.find(&request.text, now) {
            Ok(peer) => {
                let (name, online) = match self.online.get(&peer) {
                    Some(&conn) => (self.name_at(conn), true),
                    None => (self.names.latest_of(peer).cloned(), false),
                };
                self.send(
                    conn,
                    Resolved {
                        id,
                        peer,
                        name,
                        online,
                    },
                );
            }
            Err(reason) => self.send(conn, Failed { id, reason }),
        }
    }

    /// Whom a text means: a whole id, the number of a code, an address from the list, a name, or the
    /// prefix of an id.
    fn find(&self, text: &str, now: Instant) -> Result<PeerId, FailReason> {
        if text.is_empty() || text.len() > Resolve::MAX_TEXT {
            return Err(FailReason::BadRequest);
        }
        if let Ok(peer) = text.parse::<PeerId>() {
            return Ok(peer);
        }
        if text.starts_with(numbers::MARK) {
            let held = numbers::parse(text).and_then(|number| self.numbers.holder(number, now));
            return held.ok_or(FailReason::UnknownPeer);
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            let seen = self.observed.get(&canonical(address));
            let seen = seen.and_then(|conn| self.connections.get(conn));
            let seen = seen.map(|connection| connection.peer);
            let told = seen.filter(|_| self.config.tell_observed);
            return told.ok_or(FailReason::UnknownPeer);
        }
        let named = text
            .parse::<Name>()
            .ok()
            .and_then(|name| self.names.holder(&name));
        match (named, self.find_prefix(text)) {
            // Nobody's name is somebody's short id by chance: that is an attempt to be dialled
            // in another's place. Shorter texts are names.
            (Some(named), Ok(prefix)) if named != prefix && text.len() >= PeerId::SHORT_LEN => {
                Err(FailReason::Ambiguous)
            }
            (Some(named), _) => Ok(named),
            (None, found) => found,
        }
    }

    /// The one peer online whose id begins like this.
    fn find_prefix(&self, text: &str) -> Result<PeerId, FailReason> {
        if text.len() < MIN_PREFIX {
            return Err(FailReason::UnknownPeer);
        }
        let first = first_with_prefix(text).ok_or(FailReason::UnknownPeer)?;
        let mut found = self.online.range(first..).map(|(&peer, _)| peer);
        let fits = |peer: &PeerId| peer.to_string().starts_with(text);
        let peer = found.next().filter(fits).ok_or(FailReason::UnknownPeer)?;
        match found.next().filter(fits) {
            Some(_) => Err(FailReason::Ambiguous),
            None => Ok(peer),
        }
    }

    pub(super) fn nat_report(&mut self, conn: ConnId, nat: NatClass) {
        if let Some(connection) = self.connections.get_mut(&conn)
            && let State::SignedIn(state) = &mut connection.state
        {
            state.nat = nat;
        }
    }

    /// Answers now; beyond the limits there are no further tidings.
    pub(super) fn watch(&mut self, conn: ConnId, peer: PeerId) {
        if let Some(connection) = self.connections.get_mut(&conn)
            && let State::SignedIn(state) = &mut connection.state
        {
            let watchers = self.watchers.entry(peer).or_default();
            let known = state.watching.contains(&peer);
            if known || (state.watching.len() < MAX_WATCHED && watchers.len() < MAX_WATCHERS) {
                state.watching.insert(peer);
                watchers.insert(conn);
            } else if watchers.is_empty() {
                self.watchers.remove(&peer);
            }
        }
        let online = self.online.contains_key(&peer);
        self.send(conn, Presence { peer, online });
    }

    /// What somebody does not watch is nothing to stop.
    pub(super) fn stop_watching(&mut self, conn: ConnId, peer: PeerId) {
        if let Some(connection) = self.connections.get_mut(&conn)
            && let State::SignedIn(state) = &mut connection.state
            && state.watching.remove(&peer)
        {
            self.unwatch(conn, peer);
        }
    }

    pub(super) fn unwatch(&mut self, conn: ConnId, watched: PeerId) {
        if let Some(watchers) = self.watchers.get_mut(&watched) {
            watchers.remove(&conn);
            if watchers.is_empty() {
                self.watchers.remove(&watched);
            }
        }
    }

    pub(super) fn tell_watchers(&mut self, presence: Presence) {
        let watchers = self.watchers.get(&presence.peer).into_iter().flatten();
        for conn in watchers.copied().collect::<Vec<_>>() {
            self.send(conn, presence);
        }
    }
}

/// The smallest id whose text begins like this. Text sorts as the bytes do once padded: each
/// character is five bits, and `y` is zero.
fn first_with_prefix(text: &str) -> Option<PeerId> {
    if text.len() >= PeerId::TEXT_LEN || !text.is_ascii() {
        return None;
    }
    let padded = format!("{text:y<width$}", width = PeerId::TEXT_LEN);
    padded.parse().ok()
}

fn session_info(session: &sessions::Session) -> Option<SessionInfo> {
    match session.state {
        sessions::State::Pending { .. } => None,
        sessions::State::Open { path } => Some(SessionInfo {
            a: session.dialer().peer,
            b: session.acceptor().peer,
            path,
        }),
    }
}
