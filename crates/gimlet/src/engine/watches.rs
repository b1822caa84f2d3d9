//! Peers whose presence somebody follows, what each server says of them, and who is on this network.

use std::collections::{BTreeMap, HashMap};

use gimlet_proto::id::PeerId;
use gimlet_proto::message::{self, Unwatch, Watch};
use tokio::sync::watch;

use super::Engine;
use crate::control::ServerId;
use crate::presence::{Presence, Tidings};

/// Peers watched at a time: within the 256 of one connection that a server allows, and few enough to be
/// named behind a sign-in without filling the queue to it.
const MAX_WATCHED: usize = 200;

/// One peer.
#[derive(Debug, Default)]
struct Watched {
    tidings: watch::Sender<Tidings>,
    said: BTreeMap<ServerId, bool>,
    /// Whether it is on this network; `None` where it is not, and servers may know more.
    nearby: Option<bool>,
}

/// See the [module docs](self).
#[derive(Debug, Default)]
pub(super) struct Watches {
    peers: HashMap<PeerId, Watched>,
}

impl Watches {
    /// Takes out whom nobody follows any more.
    fn abandoned(&mut self) -> Vec<PeerId> {
        let abandoned = |watched: &Watched| watched.tidings.receiver_count() == 0;
        let gone = self.peers.extract_if(|_, watched| abandoned(watched));
        gone.map(|(peer, _)| peer).collect()
    }

    /// Follows a peer, and whether servers have to be asked about it; `None` where there are too many.
    fn follow(&mut self, peer: PeerId) -> Option<(watch::Receiver<Tidings>, bool)> {
        let is_new = !self.peers.contains_key(&peer);
        if is_new && self.peers.len() >= MAX_WATCHED {
            return None;
        }
        let watched = self.peers.entry(peer).or_default();
        Some((watched.tidings.subscribe(), is_new))
    }

    /// A server says whether a peer is there; whether the peer has just come.
    fn said(&mut self, server: ServerId, peer: PeerId, online: bool) -> bool {
        let Some(watched) = self.peers.get_mut(&peer) else {
            return false;
        };
        let before = watched.said.insert(server, online);
        let came = online && before.is_some();
        watched.publish(came);
        came
    }

    /// Who is on this network now; `alone` where nobody else can be asked.
    fn look_around(&mut self, is_nearby: impl Fn(PeerId) -> bool, alone: bool) {
        for (&peer, watched) in &mut self.peers {
            let nearby = is_nearby(peer);
            let now = (nearby || alone).then_some(nearby);
            if std::mem::replace(&mut watched.nearby, now) != now {
                watched.publish(false);
            }
        }
    }

    /// What a server said holds no more.
    fn forget(&mut self, server: ServerId) {
        for watched in self.peers.values_mut() {
            if watched.said.remove(&server).is_some() {
                watched.publish(false);
            }
        }
    }
}

impl Watched {
    fn publish(&mut self, arrived: bool) {
        let mut said = self.said.values().copied().chain(self.nearby);
        let presence = match (said.clone().next(), said.any(|said| said)) {
            (None, _) => Presence::Unknown,
            (Some(_), true) => Presence::Online,
            (Some(_), false) => Presence::Offline,
        };
        self.tidings.send_if_modified(|tidings| {
            let changed = arrived || tidings.presence != presence;
            tidings.presence = presence;
            tidings.arrivals += u64::from(arrived);
            changed
        });
    }
}

impl Engine {
    /// Somebody wants to follow a peer; `None` where too many are followed.
    pub(super) fn watch_peer(&mut self, peer: PeerId) -> Option<watch::Receiver<Tidings>> {
        for peer in self.watches.abandoned() {
            for server in self.servers.signed_in() {
                self.control.send(server, Unwatch { peer });
            }
        }
        let (tidings, is_new) = self.watches.follow(peer)?;
        if is_new {
            for server in self.servers.signed_in() {
                self.control.send(server, Watch { peer });
            }
            self.look_around();
        }
        Some(tidings)
    }

    /// A server that has just let us in knows nothing of whom we watch.
    pub(super) fn watch_at(&mut self, server: ServerId) {
        for &peer in self.watches.peers.keys() {
            self.control.send(server, Watch { peer });
        }
    }

    pub(super) fn presence(&mut self, server: ServerId, said: message::Presence) {
        let came = self.watches.said(server, said.peer, said.online);
        let newest = self.newest.get(&said.peer);
        let entry = newest.and_then(|addr| self.entries.get(addr));
        // It may have been restarted, and know nothing of the session: the next dial makes another one.
        if came && entry.is_some_and(|entry| !entry.session.is_dialling()) {
            self.newest.remove(&said.peer);
        }
    }

    /// Others came to this network, or left it.
    pub(super) fn look_around(&mut self) {
        if let Some(lan) = &self.shared.lan {
            let alone = self.shared.servers.is_empty();
            self.watches.look_around(|peer| lan.nearby.has(peer), alone);
        }
    }

    /// A server is gone, and does not tell us any more.
    pub(super) fn unwatch_at(&mut self, server: ServerId) {
        self.watches.forget(server);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ServerId = ServerId(0);
    const B: ServerId = ServerId(1);

    fn peer(number: u16) -> PeerId {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        PeerId::from_bytes(bytes)
    }

    #[test]
    fn one_server_that_sees_a_peer_is_enough() {
        let mut watches = Watches::default();
        let (tidings, is_new) = watches.follow(peer(1)).unwrap();
        assert!(is_new);
        let presence = || tidings.borrow().presence;
        assert_eq!(presence(), Presence::Unknown);
        watches.said(A, peer(1), false);
        assert_eq!(presence(), Presence::Offline);
        watches.said(B, peer(1), true);
        assert_eq!(presence(), Presence::Online);
        watches.forget(B);
        assert_eq!(presence(), Presence::Offline);
        watches.forget(A);
        assert_eq!(presence(), Presence::Unknown);
    }

    #[test]
    fn a_peer_that_comes_again_without_having_gone_is_news() {
        let mut watches = Watches::default();
        let (mut tidings, _) = watches.follow(peer(1)).unwrap();
        watches.said(A, peer(1), true);
        tidings.mark_unchanged();
        watches.said(A, peer(1), true);
        assert!(tidings.has_changed().unwrap());
        watches.said(A, peer(2), true);
        tidings.mark_unchanged();
        assert!(!tidings.has_changed().unwrap());
    }

    #[test]
    fn who_is_on_this_network_is_there_whatever_servers_say() {
        let mut watches = Watches::default();
        let (tidings, _) = watches.follow(peer(1)).unwrap();
        let presence = || tidings.borrow().presence;
        watches.said(A, peer(1), false);
        watches.look_around(|_| true, false);
        assert_eq!(presence(), Presence::Online);
        watches.look_around(|_| false, false);
        assert_eq!(presence(), Presence::Offline);
        watches.forget(A);
        assert_eq!(presence(), Presence::Unknown, "a server may know it");
        watches.look_around(|_| false, true);
        assert_eq!(presence(), Presence::Offline, "there is none");
    }

    #[test]
    fn who_is_followed_no_more_makes_room() {
        let mut watches = Watches::default();
        let all: Vec<_> = (0..MAX_WATCHED as u16)
            .map(|number| watches.follow(peer(number)).unwrap())
            .collect();
        assert!(watches.follow(peer(1000)).is_none());
        assert!(watches.follow(peer(0)).is_some());
        assert!(watches.abandoned().is_empty());
        drop(all);
        assert_eq!(watches.abandoned().len(), MAX_WATCHED);
        assert!(watches.follow(peer(1000)).is_some());
    }
}
