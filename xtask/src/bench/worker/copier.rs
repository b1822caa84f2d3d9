//! The floor under any relay of many sessions: a batch comes in and goes out as it is, to where a
//! table by source port says.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use gimlet_net::socket;
use quinn::AsyncUdpSocket;

use super::batch::{BUFFER, Batch};

/// Buffers offered to one receive call: as many as let a thousand sessions' small batches share a
/// call.
const BUFFERS: usize = 32;

/// Of them while they come well filled: what is sent on is still in the processor's cache.
const FULL_BUFFERS: usize = 4;

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
    let mut batch = Batch::<BUFFERS>::new(socket);
    let mut offered = BUFFERS;
    loop {
        let came = batch.receive(offered).await?;
        let bytes: usize = came.iter().map(|meta| meta.len).sum();
        offered = match bytes >= came.len() * BUFFER / 4 {
            true => FULL_BUFFERS,
            false => BUFFERS,
        };
        batch
            .send_on(|from| table[usize::from(from.port())])
            .await?;
    }
}
