//! Where the control sessions are: who may be early, and where a side is reached before it binds.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::interface::Control;
use crate::id::ConnId;

/// One entry a control session, which the control side bounds.
#[derive(Debug, Default)]
pub(super) struct Controls {
    addresses: BTreeMap<Control, SocketAddr>,
    by_address: BTreeMap<SocketAddr, Control>,
}

impl Controls {
    pub(super) fn place(&mut self, control: Control, address: SocketAddr) {
        self.remove(control);
        // Two control sessions through one socket share an address; the newest is the one that counts.
        if let Some(other) = self.by_address.insert(address, control) {
            self.addresses.remove(&other);
        }
        self.addresses.insert(control, address);
    }

    pub(super) fn remove(&mut self, control: Control) {
        if let Some(address) = self.addresses.remove(&control) {
            self.by_address.remove(&address);
        }
    }

    /// The control session at this address.
    pub(super) fn at(&self, address: SocketAddr) -> Option<Control> {
        self.by_address.get(&address).copied()
    }

    /// The address of this control session; where it is gone, of the newest of its peer, which
    /// may have reconnected.
    pub(super) fn reach(&self, control: Control) -> Option<SocketAddr> {
        let own = self.addresses.get(&control);
        own.or_else(|| self.newest(control)).copied()
    }

    fn newest(&self, control: Control) -> Option<&SocketAddr> {
        let of_peer = |n| Control {
            conn: ConnId(n),
            ..control
        };
        let mut all = self.addresses.range(of_peer(0)..=of_peer(u64::MAX));
        all.next_back().map(|(_, address)| address)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> (usize, usize) {
        (self.addresses.len(), self.by_address.len())
    }
}
