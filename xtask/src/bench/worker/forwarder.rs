//! The floor under any relay: what came in goes out as it is, to the other side.

use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gimlet_net::socket;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};

/// Buffers offered to one receive call; more would have left the processor's cache when they are
/// sent on.
const BUFFERS: usize = 4;

/// Room in each for all that the kernel joins.
const BUFFER: usize = 65_536;

/// A running forwarder between one fixed address and whoever spoke last.
pub(super) struct Forwarder {
    /// Where it listens.
    pub(super) addr: SocketAddr,
    forwarded: Arc<AtomicU64>,
}

impl Forwarder {
    /// Starts one in front of `to`.
    pub(super) fn start(to: SocketAddr) -> anyhow::Result<Self> {
        let socket = socket::bind((Ipv4Addr::LOCALHOST, 0).into(), false)?;
        let forwarder = Self {
            addr: socket.local_addr()?,
            forwarded: Arc::default(),
        };
        tokio::spawn(run(socket, to, forwarder.forwarded.clone()));
        Ok(forwarder)
    }

    /// Bytes sent on so far.
    pub(super) fn forwarded(&self) -> u64 {
        self.forwarded.load(Ordering::Relaxed)
    }
}

async fn run(
    socket: Arc<dyn AsyncUdpSocket>,
    to: SocketAddr,
    forwarded: Arc<AtomicU64>,
) -> io::Result<()> {
    let mut memory = vec![0; BUFFER * BUFFERS];
    let mut metas = [RecvMeta::default(); BUFFERS];
    let mut poller = socket.clone().create_io_poller();
    let mut other = None;
    loop {
        let count = std::future::poll_fn(|cx| {
            let mut chunks = memory.chunks_mut(BUFFER);
            let mut buffers: [IoSliceMut<'_>; BUFFERS] =
                std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
            socket.poll_recv(cx, &mut buffers, &mut metas)
        })
        .await?;
        for (buffer, meta) in memory.chunks(BUFFER).zip(&metas).take(count) {
            let destination = match other {
                Some(other) if meta.addr == to => other,
                None if meta.addr == to => continue,
                Some(_) | None => {
                    other = Some(meta.addr);
                    to
                }
            };
            let transmit = Transmit {
                destination,
                ecn: meta.ecn,
                contents: &buffer[..meta.len],
                segment_size: (meta.len > meta.stride).then_some(meta.stride),
                src_ip: None,
            };
            send(&*socket, &mut poller, &transmit).await?;
            forwarded.fetch_add(meta.len as u64, Ordering::Relaxed);
        }
    }
}

/// Sends, waiting for room where the system has none.
pub(super) async fn send(
    socket: &dyn AsyncUdpSocket,
    poller: &mut Pin<Box<dyn UdpPoller>>,
    transmit: &Transmit<'_>,
) -> io::Result<()> {
    loop {
        match socket.try_send(transmit) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
            sent => return sent,
        }
        std::future::poll_fn(|cx| poller.as_mut().poll_writable(cx)).await?;
    }
}
