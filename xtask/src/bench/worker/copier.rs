//! The floor under any relay of many sessions: a batch comes in and goes out as it is, to where a
//! table by source port says.

use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use gimlet_net::socket;
use quinn::AsyncUdpSocket;
use quinn::udp::{RecvMeta, Transmit};

use super::forwarder;

/// Buffers offered to one receive call: as many as let a thousand sessions' small batches share a
/// call.
const BUFFERS: usize = 32;

/// Of them while they come well filled: what is sent on is still in the processor's cache.
const FULL_BUFFERS: usize = 4;

/// Room in each for all that the kernel joins.
const BUFFER: usize = 65_536;

/// A running copier.
pub(super) struct Copier {
    /// Where it listens.
    pub(super) addr: SocketAddr,
}

impl Copier {
    /// Starts one that takes what comes from the first of each pair to the second.
    pub(super) fn start(pairs: &[(SocketAddr, SocketAddr)]) -> anyhow::Result<Self> {
        let mut table = vec![None; 1 << 16];
        for (from, to) in pairs {
            table[usize::from(from.port())] = Some(*to);
        }
        let socket = socket::bind((Ipv4Addr::LOCALHOST, 0).into(), false)?;
        let addr = socket.local_addr()?;
        tokio::spawn(run(socket, table));
        Ok(Self { addr })
    }
}

async fn run(socket: Arc<dyn AsyncUdpSocket>, table: Vec<Option<SocketAddr>>) -> io::Result<()> {
    let mut memory = vec![0; BUFFER * BUFFERS];
    let mut metas = [RecvMeta::default(); BUFFERS];
    let mut poller = socket.clone().create_io_poller();
    let mut offered = BUFFERS;
    loop {
        let count = std::future::poll_fn(|cx| {
            let mut chunks = memory.chunks_mut(BUFFER);
            let mut buffers: [IoSliceMut<'_>; BUFFERS] =
                std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
            socket.poll_recv(cx, &mut buffers[..offered], &mut metas[..offered])
        })
        .await?;
        let bytes: usize = metas[..count].iter().map(|meta| meta.len).sum();
        offered = match bytes >= count * BUFFER / 4 {
            true => FULL_BUFFERS,
            false => BUFFERS,
        };
        for (buffer, meta) in memory.chunks(BUFFER).zip(&metas).take(count) {
            let Some(destination) = table[usize::from(meta.addr.port())] else {
                continue;
            };
            let transmit = Transmit {
                destination,
                ecn: meta.ecn,
                contents: &buffer[..meta.len],
                segment_size: (meta.len > meta.stride).then_some(meta.stride),
                src_ip: None,
            };
            forwarder::send(&*socket, &mut poller, &transmit).await?;
        }
    }
}
