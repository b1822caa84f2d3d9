//! The path socket: real paths to a peer hidden behind one virtual address.
//!
//! quinn 0.11 knows one remote address per connection. It gets [`PathSocket`] as its UDP socket and
//! sees only virtual addresses: one per peer and one per server, stable for life on **both** sides.
//! Where a peer's packets really go is its [`Link`]'s [`Target`], switched by the owner between two
//! packets without quinn, or any stream, noticing.
//!
//! ```text
//!   quinn ──virtual address──▶ PathSocket ──Target::Relay──▶ server   [8][0][session] packet
//!                                         ╰─Target::Direct─▶ peer     packet
//! ```
//!
//! What arrives and is not QUIC (STUN, relay control) goes to the owner as a [`Report`].
//!
//! # Invariants
//!
//! - QUIC is taken only from addresses in the table: a peer's proven ones and the servers'. Relay
//!   frames are taken only from servers.
//! - Batches stay batches: a GSO transmit leaves as one, a GRO buffer of one link is handed up as
//!   one. Only the relay costs a copy, of the packets behind their ten-byte headers.
//! - No send error reaches quinn, which would end every connection: it is counted and reported.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use arc_swap::ArcSwap;
use futures_util::task::AtomicWaker;
use gimlet_proto::secret::SessionId;
use gimlet_proto::traversal::SocketId;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use tokio::sync::mpsc;

mod asleep;
mod counters;
mod extra;
mod link;
mod receive;
mod report;
mod send;
mod table;
#[cfg(test)]
mod tests;
mod twin;

pub use counters::{Counters, CountersSnapshot};
pub use extra::writable;
pub use link::{Link, Target};
pub use report::{Report, Via};

use crate::virtual_addr::VirtualAddr;
use table::Table;

/// Reports waiting for the owner. A burst of checks for every link of a busy endpoint fits; past
/// it, STUN is lost as it could be on any wire, and repeated by its sender.
const MAX_REPORTS: usize = 1024;

/// Datagrams put back for quinn: what was held while a session was being accepted, and the rare
/// batch that mixes links.
const MAX_INJECTED: usize = 256;

/// Receive batches without anything for quinn before other tasks get their turn.
const ROUNDS: usize = 16;

/// See the [module docs](self).
#[derive(Debug)]
pub struct PathSocket {
    sockets: Box<[Arc<dyn AsyncUdpSocket>]>,
    extras: extra::Extras,
    table: ArcSwap<Table>,
    /// Serialises changes of `table`; readers never take it.
    changing: Mutex<()>,
    reports: mpsc::Sender<Report>,
    injected: Mutex<VecDeque<(VirtualAddr, Vec<u8>)>>,
    injected_len: AtomicUsize,
    receiver: AtomicWaker,
    /// Which socket is asked first, in turn.
    turn: AtomicUsize,
    clock: link::Clock,
    asleep: asleep::Asleep,
    counters: Counters,
}

impl PathSocket {
    /// Puts the virtual addresses over `sockets`; the index of a socket is its [`SocketId`].
    ///
    /// # Panics
    ///
    /// Without sockets, or with more than 256: higher numbers are for [attached](Self::attach) ones.
    pub fn new(sockets: Vec<Arc<dyn AsyncUdpSocket>>) -> (Arc<Self>, mpsc::Receiver<Report>) {
        assert!((1..=256).contains(&sockets.len()), "1 to 256 sockets");
        let (reports, owner) = mpsc::channel(MAX_REPORTS);
        let socket = Self {
            sockets: sockets.into(),
            extras: extra::Extras::default(),
            table: ArcSwap::default(),
            changing: Mutex::new(()),
            reports,
            injected: Mutex::default(),
            injected_len: AtomicUsize::new(0),
            receiver: AtomicWaker::new(),
            turn: AtomicUsize::new(0),
            clock: link::Clock::new(),
            asleep: asleep::Asleep::default(),
            counters: Counters::default(),
        };
        (Arc::new(socket), owner)
    }

    /// Waits until every socket can be written to. A fresh one cannot before the runtime has looked
    /// at it once, and what is [sent plainly](Self::send_plain) then is lost.
    ///
    /// # Errors
    ///
    /// When a socket cannot be waited for.
    pub async fn writable(self: &Arc<Self>) -> io::Result<()> {
        let mut poller = self.clone().create_io_poller();
        std::future::poll_fn(|cx| poller.as_mut().poll_writable(cx)).await
    }

    /// The local address of each real socket, in the order of [`SocketId`]s.
    pub fn local_addrs(&self) -> Vec<io::Result<SocketAddr>> {
        self.sockets
            .iter()
            .map(|socket| socket.local_addr())
            .collect()
    }

    /// Makes `link` known: packets to its address follow its target.
    pub fn add_link(&self, link: &Arc<Link>) {
        self.change(|table| table.add_link(link.clone()));
    }

    /// Forgets a link with its sessions and addresses.
    pub fn remove_link(&self, addr: VirtualAddr) {
        self.change(|table| table.remove_link(addr));
    }

    /// Takes relay frames of `session` for `link`.
    pub fn add_session(&self, session: SessionId, link: &Arc<Link>) {
        self.change(|table| table.add_session(session, link.clone()));
    }

    /// Takes no more relay frames of `session`.
    pub fn remove_session(&self, session: SessionId) {
        self.change(|table| table.remove_session(session));
    }

    /// Takes QUIC from `remote` for `link`. Returns false, and changes nothing, where the address
    /// is another link's: two peers never share one, so the earlier proof stands until withdrawn.
    pub fn allow(&self, socket: SocketId, remote: SocketAddr, link: &Arc<Link>) -> bool {
        self.change(|table| table.allow(socket, remote, link.clone()))
    }

    /// The link whose QUIC is taken from `remote`.
    pub fn link_at(&self, socket: SocketId, remote: SocketAddr) -> Option<VirtualAddr> {
        self.table
            .load()
            .of_remote(socket, remote)
            .map(|link| link.addr())
    }

    /// Takes no more QUIC from `remote` for `link`.
    pub fn disallow(&self, socket: SocketId, remote: SocketAddr, link: &Arc<Link>) {
        self.change(|table| table.disallow(socket, remote, link));
    }

    /// Takes QUIC for `link` over the relay only.
    pub fn disallow_all(&self, link: &Link) {
        self.change(|table| table.disallow_all(link.addr()));
    }

    /// Takes relay frames from `remote`, and its QUIC for `link`: it is a server.
    pub fn add_server(&self, socket: SocketId, remote: SocketAddr, link: &Arc<Link>) {
        self.change(|table| table.add_server(socket, remote, link.clone()));
    }

    /// Hands a datagram to quinn as if it had come for `link`.
    pub fn inject(&self, link: &Link, datagram: Vec<u8>) {
        let mut injected = self.injected.lock().unwrap_or_else(PoisonError::into_inner);
        if injected.len() >= MAX_INJECTED {
            self.counters.overflow.add(1);
            return;
        }
        injected.push_back((link.addr(), datagram));
        self.injected_len.store(injected.len(), Ordering::Release);
        drop(injected);
        self.receiver.wake();
    }

    /// Counts a reported STUN datagram that the owner has no use for.
    pub fn note_bad_stun(&self) {
        self.counters.bad_stun.add(1);
    }

    /// What was received, sent and dropped so far.
    pub fn counters(&self) -> CountersSnapshot {
        self.counters.snapshot()
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Table) -> T) -> T {
        let _guard = self.lock();
        let mut table = Table::clone(&self.table.load());
        let result = change(&mut table);
        self.table.store(Arc::new(table));
        result
    }

    fn report(&self, report: Report) {
        if self.reports.try_send(report).is_err() {
            self.counters.overflow.add(1);
        }
    }

    fn take_injected(&self, bufs: &mut [IoSliceMut<'_>], meta: &mut [RecvMeta]) -> usize {
        if self.injected_len.load(Ordering::Acquire) == 0 {
            return 0;
        }
        let mut injected = self.injected.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = 0;
        while taken < bufs.len().min(meta.len()) {
            let Some((addr, datagram)) = injected.pop_front() else {
                break;
            };
            if datagram.is_empty() || datagram.len() > bufs[taken].len() {
                continue;
            }
            bufs[taken][..datagram.len()].copy_from_slice(&datagram);
            meta[taken] = RecvMeta {
                addr: addr.to_socket_addr(),
                len: datagram.len(),
                stride: datagram.len(),
                ecn: None,
                dst_ip: None,
            };
            taken += 1;
        }
        self.injected_len.store(injected.len(), Ordering::Release);
        taken
    }
}

impl AsyncUdpSocket for PathSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(extra::AllWritable::new(self))
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.receiver.register(cx.waker());
        let injected = self.take_injected(bufs, meta);
        if injected > 0 {
            return Poll::Ready(Ok(injected));
        }
        let table = self.table.load();
        let adopted = self.extras.adopted();
        let all = self.sockets.len() + adopted.len();
        for _ in 0..ROUNDS {
            let first = self.turn.fetch_add(1, Ordering::Relaxed);
            let settled = self.asleep.is_settled();
            let mut idle = 0;
            for turn in 0..all {
                let index = (first + turn) % all;
                let (socket, real) = match self.sockets.get(index) {
                    Some(own) => (SocketId(index as u16), own),
                    None => {
                        let (id, socket) = &adopted[index - self.sockets.len()];
                        (*id, socket)
                    }
                };
                match real.poll_recv(cx, bufs, meta) {
                    Poll::Pending => idle += 1,
                    Poll::Ready(Ok(count)) if self.asleep.is_stale(self.clock.now()) => {
                        self.counters.slept_through.add(count as u64);
                    }
                    Poll::Ready(Ok(count)) => {
                        if self.sort(socket, &table, &mut bufs[..count], &mut meta[..count]) {
                            return Poll::Ready(Ok(count));
                        }
                    }
                    // An error here would end the endpoint; it says nothing about other packets.
                    Poll::Ready(Err(_)) => self.counters.receive_errors.add(1),
                }
            }
            if idle == all {
                if settled {
                    self.asleep.emptied();
                }
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        // Virtual addresses are IPv6, and quinn dials only the family it is bound to.
        Ok(VirtualAddr::new(0).to_socket_addr())
    }

    fn max_transmit_segments(&self) -> usize {
        self.sockets
            .iter()
            .map(|socket| socket.max_transmit_segments())
            .min()
            .unwrap_or(1)
    }

    fn max_receive_segments(&self) -> usize {
        // quinn makes room for so many of the longest datagrams, and one of those is as long as a batch of
        // shorter ones can be.
        1
    }

    fn may_fragment(&self) -> bool {
        self.sockets.iter().any(|socket| socket.may_fragment())
    }
}
