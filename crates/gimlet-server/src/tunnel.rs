//! Tunnels: what peers send over TLS because UDP is blocked where they are.
//!
//! Each tunnel gets an [address](gimlet_proto::tunnel::address) that is never on a wire. A [`MuxSocket`]
//! over the real socket receives what comes out of tunnels as if it had come by UDP from there, and puts
//! what is sent there into the tunnel's [`Outbox`]. So pump, relay, STUN and quinn know nothing of it.
//!
//! ```text
//!  TCP ─ TLS ─ WebSocket ─ carry ──▶ Inbox ──╮
//!                            ▲               MuxSocket ◀──▶ pump, quinn
//!                            ╰──── Outbox ◀──╯   ▲
//!  UDP ◀─────────────────────────────────────────╯
//! ```
//!
//! # Invariants
//!
//! - Nothing is sent on a wire to a tunnel's address, and nothing is taken from a wire that claims to
//!   come from one.
//! - A tunnel that is not read, or reads too fast, holds nobody up: its outbox drops, and its TCP
//!   connection is read only as fast as the pump takes it.

mod entrance;
mod listener;
mod mux;
mod upgrade;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io::IoSliceMut;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::task::{Context, Poll};

use gimlet_net::tunnel::{Budget, Inbox, Outbox, Pool, Received, inbox};
use gimlet_proto::tunnel;
use quinn::AsyncUdpSocket;
use quinn::udp::{RecvMeta, Transmit};
use tokio::sync::mpsc;

use crate::counters::Counters;
pub(crate) use listener::Listener;
use mux::MuxSocket;

/// Bytes that may wait for one peer, and grow old: at 100 Mbit/s what leaves in 40 ms, beside the little
/// that [TCP may hold](gimlet_net::tunnel::MAX_UNSENT). What waits longer is better dropped; on faster
/// lines [more](Outbox::new) leave in that time.
const MAX_WAITING: usize = 512 * 1024;

/// Bytes that may wait for all peers together: what 512 do that have stopped reading.
const MAX_WAITING_IN_ALL: usize = 256 << 20;

/// Every open tunnel. See the [module docs](self).
#[derive(Debug)]
pub(crate) struct Tunnels {
    /// Asked for packets to tunnels only, changed when one opens or ends.
    open: RwLock<HashMap<SocketAddr, Arc<Outbox>>>,
    /// Only the pump takes this lock.
    inbox: Mutex<Inbox>,
    deliver: mpsc::Sender<Received>,
    budget: Budget,
    pool: Pool,
    /// Draws the part of an address that says from where.
    origins: RandomState,
    counters: Arc<Counters>,
}

impl Tunnels {
    pub(crate) fn new(counters: Arc<Counters>) -> Arc<Self> {
        let pool = Pool::default();
        let (deliver, inbox) = inbox(pool.clone());
        Arc::new(Self {
            open: RwLock::default(),
            inbox: Mutex::new(inbox),
            deliver,
            budget: Budget::new(MAX_WAITING_IN_ALL),
            pool,
            origins: RandomState::new(),
            counters,
        })
    }

    /// The socket by which tunnels are reached like everybody else. Of all these sockets only one
    /// may receive.
    pub(crate) fn wrap(
        self: &Arc<Self>,
        udp: Arc<dyn AsyncUdpSocket>,
        receives: bool,
    ) -> Arc<dyn AsyncUdpSocket> {
        Arc::new(MuxSocket::new(udp, self.clone(), receives))
    }

    /// Opens a tunnel that comes from `source`. It ends when what is returned is dropped.
    fn open(self: &Arc<Self>, source: IpAddr) -> Open {
        let outbox = Outbox::new(MAX_WAITING, self.budget.clone(), self.pool.clone());
        let outbox = Arc::new(outbox);
        let hash = self.origins.hash_one(network(source)).to_be_bytes();
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        let mut addr = tunnel::address([hash[0], hash[1], hash[2]], rand::random());
        while open.contains_key(&addr) {
            addr = tunnel::address([hash[0], hash[1], hash[2]], rand::random());
        }
        open.insert(addr, outbox.clone());
        self.counters.tunnels.set(open.len());
        self.counters.tunnels_opened.one();
        drop(open);
        Open {
            tunnels: self.clone(),
            addr,
            outbox,
        }
    }

    fn send(&self, transmit: &Transmit<'_>) {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        match open.get(&transmit.destination) {
            Some(outbox) => outbox.push(transmit.contents, transmit.segment_size),
            None => self.counters.tunnel_gone.one(),
        }
    }

    fn poll_fill(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<usize> {
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        inbox.poll_fill(cx, bufs, meta)
    }
}

/// One open tunnel.
struct Open {
    tunnels: Arc<Tunnels>,
    addr: SocketAddr,
    outbox: Arc<Outbox>,
}

impl Drop for Open {
    fn drop(&mut self) {
        let tunnels = &self.tunnels;
        let mut open = tunnels.open.write().unwrap_or_else(PoisonError::into_inner);
        open.remove(&self.addr);
        tunnels.counters.tunnels.set(open.len());
        tunnels.counters.tunnel_dropped.add(self.outbox.dropped());
    }
}

/// The network that limits take for one sender: an IPv4 address, or the first 56 bits of an IPv6
/// one, as [`gimlet_proto::limit`] does.
fn network(source: IpAddr) -> [u8; 7] {
    let mut network = [0; 7];
    match source.to_canonical() {
        IpAddr::V4(ip) => network[..4].copy_from_slice(&ip.octets()),
        IpAddr::V6(ip) => network.copy_from_slice(&ip.octets()[..7]),
    }
    network
}

#[cfg(test)]
mod tests;
