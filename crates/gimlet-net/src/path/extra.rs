//! Sockets besides the endpoint's own: opened to probe a NAT or to search for a port with, and kept
//! where a session comes to live on one.
//!
//! ```text
//!  attach ──▶ Listening ──adopt──▶ Adopted ──▶ detach
//!             a task of its own    read with the endpoint's sockets,
//!             takes STUN only      carries QUIC like them
//! ```
//!
//! Hundreds may listen at once, and quinn asks every socket it knows for every packet: so those that
//! only search stay out of its way.

use std::collections::BTreeMap;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use arc_swap::{ArcSwap, Guard};
use gimlet_proto::demux::{self, Kind};
use gimlet_proto::traversal::SocketId;
use quinn::udp::RecvMeta;
use quinn::{AsyncUdpSocket, UdpPoller};
use tokio::task::AbortHandle;

use super::{PathSocket, Report, Via};

/// The number of the first; those before it are the endpoint's own.
const FIRST: u16 = 256;

/// Sockets besides the endpoint's own: one search of 400, discovery, and sessions that live on one.
/// Each takes a file descriptor and some kilobytes.
const MAX: usize = 512;

/// Longest datagram taken while listening: checks and answers are no longer than a packet.
const MAX_DATAGRAM: usize = 2048;

pub(super) type Adopted = Vec<(SocketId, Arc<dyn AsyncUdpSocket>)>;

#[derive(Debug, Default)]
pub(super) struct Extras {
    sockets: ArcSwap<BTreeMap<SocketId, Extra>>,
    /// Those that quinn reads, in a shape that is quick to walk.
    adopted: ArcSwap<Adopted>,
    /// Counts changes of `adopted`.
    generation: AtomicU64,
}

#[derive(Debug, Clone)]
struct Extra {
    socket: Arc<dyn AsyncUdpSocket>,
    /// While it only listens.
    reader: Option<AbortHandle>,
}

impl Extras {
    pub(super) fn get(&self, id: SocketId) -> Option<Arc<dyn AsyncUdpSocket>> {
        self.sockets
            .load()
            .get(&id)
            .map(|extra| extra.socket.clone())
    }

    /// Those that quinn reads.
    pub(super) fn adopted(&self) -> Guard<Arc<Adopted>> {
        self.adopted.load()
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Puts a changed set in place. Callers hold the lock for changes.
    fn replace(&self, sockets: BTreeMap<SocketId, Extra>) {
        let adopted: Vec<_> = sockets
            .iter()
            .filter(|(_, extra)| extra.reader.is_none())
            .map(|(&id, extra)| (id, extra.socket.clone()))
            .collect();
        if adopted.len() != self.adopted.load().len() {
            self.adopted.store(Arc::new(adopted));
            self.generation.fetch_add(1, Ordering::Release);
        }
        self.sockets.store(Arc::new(sockets));
    }
}

impl PathSocket {
    /// Listens on one more socket, for STUN only: it is reported like any other's. `None` where
    /// there are too many.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn attach(self: &Arc<Self>, socket: Arc<dyn AsyncUdpSocket>) -> Option<SocketId> {
        let _guard = self.lock();
        let mut sockets = BTreeMap::clone(&self.extras.sockets.load());
        if sockets.len() >= MAX {
            return None;
        }
        let next = sockets
            .last_key_value()
            .map_or(FIRST, |(last, _)| last.0.wrapping_add(1).max(FIRST));
        // A number is used again only after all others were.
        let id = (next..=u16::MAX)
            .chain(FIRST..next)
            .map(SocketId)
            .find(|id| !sockets.contains_key(id))?;
        let reader = tokio::spawn(listen(Arc::downgrade(self), id, socket.clone()));
        let reader = Some(reader.abort_handle());
        sockets.insert(id, Extra { socket, reader });
        self.extras.replace(sockets);
        Some(id)
    }

    /// Lets an attached socket carry QUIC: a session lives on it.
    pub fn adopt(&self, id: SocketId) {
        let _guard = self.lock();
        let mut sockets = BTreeMap::clone(&self.extras.sockets.load());
        let Some(reader) = sockets.get_mut(&id).and_then(|extra| extra.reader.take()) else {
            return;
        };
        reader.abort();
        self.extras.replace(sockets);
        self.receiver.wake();
    }

    /// Closes an attached socket.
    pub fn detach(&self, id: SocketId) {
        let _guard = self.lock();
        let mut sockets = BTreeMap::clone(&self.extras.sockets.load());
        let Some(extra) = sockets.remove(&id) else {
            return;
        };
        if let Some(reader) = extra.reader {
            reader.abort();
        }
        self.extras.replace(sockets);
    }

    /// The local address of any of its sockets.
    pub fn local_addr_of(&self, id: SocketId) -> Option<SocketAddr> {
        match self.sockets.get(usize::from(id.0)) {
            Some(socket) => socket.local_addr().ok(),
            None => self.extras.get(id)?.local_addr().ok(),
        }
    }
}

/// Waits until a fresh socket can be written to; what is sent before is lost.
///
/// # Errors
///
/// When it cannot be waited for.
pub async fn writable(socket: &Arc<dyn AsyncUdpSocket>) -> io::Result<()> {
    let mut poller = socket.clone().create_io_poller();
    std::future::poll_fn(|cx| poller.as_mut().poll_writable(cx)).await
}

/// Reports the STUN that comes in, until the socket fails or its owner is gone.
async fn listen(paths: Weak<PathSocket>, id: SocketId, socket: Arc<dyn AsyncUdpSocket>) {
    let mut memory = vec![0; MAX_DATAGRAM];
    loop {
        let mut meta = [RecvMeta::default()];
        let mut buffers = [IoSliceMut::new(&mut memory)];
        let received =
            std::future::poll_fn(|cx| socket.poll_recv(cx, &mut buffers, &mut meta)).await;
        let Some(paths) = paths.upgrade() else {
            return;
        };
        match received {
            Ok(0) => (),
            Ok(_) => paths.sort_extra(id, &memory[..meta[0].len.min(MAX_DATAGRAM)], meta[0]),
            Err(_) => {
                paths.counters.receive_errors.add(1);
                // An ICMP error is reported once; anything else would repeat for ever.
                tokio::task::yield_now().await;
            }
        }
    }
}

impl PathSocket {
    fn sort_extra(&self, socket: SocketId, data: &[u8], meta: RecvMeta) {
        for datagram in data.chunks(meta.stride.max(1)) {
            let remote = meta.addr;
            match demux::classify(datagram) {
                Some(Kind::Stun) => self.report(Report::Stun {
                    via: Via::Direct { socket, remote },
                    datagram: datagram.to_vec(),
                }),
                // The peer may take a path before we have; it repeats what is lost here.
                Some(Kind::Quic) => match self.table.load().of_remote(socket, remote) {
                    Some(link) => self.inject(link, datagram.to_vec()),
                    None => self.counters.stranger_quic.add(1),
                },
                Some(Kind::Frame) => self.counters.bad_frame.add(1),
                None => self.counters.unknown_protocol.add(1),
            }
        }
    }
}

/// Ready when every socket that may carry QUIC is: which one a link will use next is not known when
/// it waits.
#[derive(Debug)]
pub(super) struct AllWritable {
    paths: Arc<PathSocket>,
    own: Vec<Pin<Box<dyn UdpPoller>>>,
    adopted: Vec<Pin<Box<dyn UdpPoller>>>,
    generation: u64,
}

impl AllWritable {
    pub(super) fn new(paths: Arc<PathSocket>) -> Self {
        let sockets = paths.sockets.iter().cloned();
        let mut all = Self {
            own: sockets.map(AsyncUdpSocket::create_io_poller).collect(),
            adopted: Vec::new(),
            generation: 0,
            paths,
        };
        all.follow();
        all
    }

    fn follow(&mut self) {
        let generation = self.paths.extras.generation();
        if self.generation != generation {
            self.generation = generation;
            let adopted = self.paths.extras.adopted();
            let pollers = adopted
                .iter()
                .map(|(_, socket)| socket.clone().create_io_poller());
            self.adopted = pollers.collect();
        }
    }
}

impl UdpPoller for AllWritable {
    fn poll_writable(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.follow();
        let Self { own, adopted, .. } = &mut *self;
        for poller in own.iter_mut().chain(adopted) {
            ready!(poller.as_mut().poll_writable(cx))?;
        }
        Poll::Ready(Ok(()))
    }
}
