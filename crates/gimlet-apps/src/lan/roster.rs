//! Who is on the network, from what mDNS says: bounded, and believed only as far as it goes.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use gimlet::{Name, PeerId};

use super::LanPeer;

/// Announcements remembered: a large office. More is somebody who makes them up.
const MAX_INSTANCES: usize = 1024;

/// Addresses of one announcement that are looked at.
const MAX_ADDRESSES: usize = 8;

/// What one announcement says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Announcement {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) addrs: Vec<SocketAddr>,
}

/// All announcements by instance; a peer may have several, one for each of its programs.
#[derive(Debug)]
pub(super) struct Roster {
    me: PeerId,
    instances: BTreeMap<String, LanPeer>,
}

impl Roster {
    pub(super) fn new(me: PeerId) -> Self {
        Self {
            me,
            instances: BTreeMap::new(),
        }
    }

    /// An announcement was heard. Ours, those without an id, and those without an address on a local
    /// network are left out.
    pub(super) fn found(&mut self, instance: String, said: Announcement) {
        let mut addrs = said.addrs;
        addrs.retain(|addr| is_usable(*addr));
        addrs.sort_by_key(|addr| (is_loopback(*addr), addr.is_ipv6(), *addr));
        addrs.dedup();
        addrs.truncate(MAX_ADDRESSES);
        let peer = said.id.and_then(|id| id.parse::<PeerId>().ok());
        let peer = peer.filter(|peer| *peer != self.me && !addrs.is_empty());
        let Some(peer) = peer else {
            self.instances.remove(&instance);
            return;
        };
        if self.instances.len() >= MAX_INSTANCES && !self.instances.contains_key(&instance) {
            return;
        }
        let name = said.name.and_then(|name| name.parse::<Name>().ok());
        self.instances
            .insert(instance, LanPeer { peer, name, addrs });
    }

    /// An announcement was taken back, or was not repeated.
    pub(super) fn lost(&mut self, instance: &str) {
        self.instances.remove(instance);
    }

    /// Everybody there, each once, with all addresses of all of its programs.
    pub(super) fn peers(&self) -> BTreeMap<PeerId, LanPeer> {
        let mut peers: BTreeMap<PeerId, LanPeer> = BTreeMap::new();
        for found in self.instances.values() {
            match peers.get_mut(&found.peer) {
                None => {
                    peers.insert(found.peer, found.clone());
                }
                Some(peer) => {
                    peer.name = peer.name.take().or_else(|| found.name.clone());
                    let new = found.addrs.iter().filter(|addr| !peer.addrs.contains(addr));
                    let new: Vec<_> = new.copied().collect();
                    peer.addrs.extend(new);
                    peer.addrs.truncate(MAX_ADDRESSES);
                }
            }
        }
        peers
    }
}

fn is_usable(addr: SocketAddr) -> bool {
    // A link-local address means nothing without its interface.
    let lacks_scope = match addr {
        SocketAddr::V6(addr) => addr.ip().is_unicast_link_local() && addr.scope_id() == 0,
        SocketAddr::V4(_) => false,
    };
    gimlet::is_local(addr.ip()) && addr.port() != 0 && !lacks_scope
}

fn is_loopback(addr: SocketAddr) -> bool {
    match addr.ip() {
        IpAddr::V4(ip) => ip.is_loopback(),
        IpAddr::V6(ip) => ip.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u8) -> PeerId {
        PeerId::from_bytes([n; 32])
    }

    fn says(id: &str, addrs: &[&str]) -> Announcement {
        Announcement {
            id: Some(id.to_owned()),
            name: Some("bob".to_owned()),
            addrs: addrs.iter().map(|addr| addr.parse().unwrap()).collect(),
        }
    }

    fn roster() -> Roster {
        Roster::new(peer(9))
    }

    #[test]
    fn a_peer_is_there_from_its_announcement_until_that_ends() {
        let mut roster = roster();
        let id = peer(1).to_string();
        roster.found("a".to_owned(), says(&id, &["192.168.1.2:70"]));
        let found = &roster.peers()[&peer(1)];
        assert_eq!(found.name, "bob".parse().ok());
        assert_eq!(found.addrs, ["192.168.1.2:70".parse().unwrap()]);
        roster.lost("a");
        assert!(roster.peers().is_empty());
    }

    #[test]
    fn our_own_announcement_is_left_out() {
        let mut roster = roster();
        let id = peer(9).to_string();
        roster.found("me".to_owned(), says(&id, &["192.168.1.2:70"]));
        assert!(roster.peers().is_empty());
    }

    #[test]
    fn two_programs_of_one_peer_are_one_peer() {
        let mut roster = roster();
        let id = peer(1).to_string();
        roster.found("a".to_owned(), says(&id, &["192.168.1.2:70"]));
        roster.found(
            "b".to_owned(),
            says(&id, &["192.168.1.2:71", "192.168.1.2:70"]),
        );
        let peers = roster.peers();
        assert_eq!((peers.len(), peers[&peer(1)].addrs.len()), (1, 2));
    }

    #[test]
    fn nobody_is_sent_to_addresses_elsewhere() {
        let mut roster = roster();
        let id = peer(1).to_string();
        let elsewhere = [
            "8.8.8.8:53",
            "[2001:db8::1]:53",
            "10.0.0.1:0",
            "[fe80::1]:70",
        ];
        roster.found("a".to_owned(), says(&id, &elsewhere));
        assert!(roster.peers().is_empty());
        let some = [
            "8.8.8.8:53",
            "[fe80::1%2]:70",
            "127.0.0.1:70",
            "10.0.0.1:70",
        ];
        roster.found("a".to_owned(), says(&id, &some));
        let addrs: Vec<_> = roster.peers()[&peer(1)]
            .addrs
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(addrs, ["10.0.0.1:70", "[fe80::1%2]:70", "127.0.0.1:70"]);
    }

    #[test]
    fn what_is_no_peer_is_left_out_and_names_are_looked_at() {
        let mut roster = roster();
        roster.found("a".to_owned(), says("nobody", &["10.0.0.1:70"]));
        let nameless = Announcement {
            name: Some("Bob\u{1b}[2J".to_owned()),
            ..says(&peer(1).to_string(), &["10.0.0.1:70"])
        };
        roster.found("b".to_owned(), nameless);
        let peers = roster.peers();
        assert_eq!((peers.len(), &peers[&peer(1)].name), (1, &None));
    }

    #[test]
    fn made_up_announcements_fill_the_roster_no_further() {
        let mut roster = roster();
        let id = peer(1).to_string();
        for n in 0..2 * MAX_INSTANCES {
            roster.found(n.to_string(), says(&id, &["10.0.0.1:70"]));
        }
        assert_eq!(roster.instances.len(), MAX_INSTANCES);
        assert!(roster.peers()[&peer(1)].addrs.len() <= MAX_ADDRESSES);
    }
}
