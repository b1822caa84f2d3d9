//! Who is on this network, as whoever looks for peers has told: where to dial before any server is asked.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use gimlet_proto::id::PeerId;
use tokio::sync::watch;

use super::{MAX_ADDRESSES, is_local};

/// Peers remembered: a large office. They come from strangers, who can make up any number.
const MAX_PEERS: usize = 1024;

/// Where each peer is, local addresses alone.
pub(crate) type Places = BTreeMap<PeerId, Vec<SocketAddr>>;

/// See the [module docs](self).
#[derive(Debug, Default)]
pub(crate) struct Nearby {
    places: watch::Sender<Places>,
}

impl Nearby {
    /// Replaces what was known.
    pub(crate) fn set(&self, peers: impl IntoIterator<Item = (PeerId, Vec<SocketAddr>)>) {
        let usable = |(peer, mut addrs): (PeerId, Vec<SocketAddr>)| {
            addrs.retain(|addr| is_local(addr.ip()));
            addrs.truncate(MAX_ADDRESSES);
            (!addrs.is_empty()).then_some((peer, addrs))
        };
        let now: Places = peers
            .into_iter()
            .filter_map(usable)
            .take(MAX_PEERS)
            .collect();
        self.places.send_if_modified(|places| {
            let changed = *places != now;
            *places = now;
            changed
        });
    }

    /// The addresses of a peer; none where it was not found.
    pub(crate) fn addrs_of(&self, peer: PeerId) -> Vec<SocketAddr> {
        self.places.borrow().get(&peer).cloned().unwrap_or_default()
    }

    pub(crate) fn has(&self, peer: PeerId) -> bool {
        self.places.borrow().contains_key(&peer)
    }

    /// Follows it.
    pub(crate) fn changes(&self) -> watch::Receiver<Places> {
        self.places.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u16) -> PeerId {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&n.to_be_bytes());
        PeerId::from_bytes(bytes)
    }

    fn addrs(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn only_places_on_this_network_are_kept() {
        let nearby = Nearby::default();
        nearby.set([
            (id(1), addrs(&["192.168.1.2:70", "8.8.8.8:70"])),
            (id(2), addrs(&["8.8.8.8:70"])),
        ]);
        assert_eq!(nearby.addrs_of(id(1)), addrs(&["192.168.1.2:70"]));
        assert!(nearby.has(id(1)) && !nearby.has(id(2)));
        nearby.set([]);
        assert_eq!(nearby.addrs_of(id(1)), []);
    }

    #[test]
    fn made_up_peers_and_addresses_take_no_more_room() {
        let nearby = Nearby::default();
        let many = vec![addrs(&["10.0.0.1:70"])[0]; 100];
        nearby.set((0..3000).map(|n| (id(n), many.clone())));
        assert_eq!(nearby.places.borrow().len(), MAX_PEERS);
        assert_eq!(nearby.addrs_of(id(0)).len(), MAX_ADDRESSES);
    }

    #[test]
    fn the_same_again_is_no_change() {
        let nearby = Nearby::default();
        let mut changes = nearby.changes();
        changes.mark_unchanged();
        nearby.set([(id(1), addrs(&["10.0.0.1:70"]))]);
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        nearby.set([(id(1), addrs(&["10.0.0.1:70"]))]);
        assert!(!changes.has_changed().unwrap());
    }
}
