//! The floor under any relay: what came in goes out as it is, to the other side.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gimlet_net::socket;
use quinn::AsyncUdpSocket;

use super::batch::Batch;

/// Buffers offered to one receive call; more would have left the processor's cache when they are
/// sent on.
const BUFFERS: usize = 4;

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
    let mut batch = Batch::<BUFFERS>::new(socket);
    let mut other = None;
    loop {
        batch.receive(BUFFERS).await?;
        let route = |from| match from == to {
            true => other,
            false => {
                other = Some(from);
                Some(to)
            }
        };
        let bytes = batch.send_on(route).await?;
        forwarded.fetch_add(bytes, Ordering::Relaxed);
    }
}
