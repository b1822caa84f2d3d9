//! What one receive call of a bare relay brings, to be sent on as it is.

use std::future::poll_fn;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};

/// Room in each buffer for all that the kernel joins.
pub(super) const BUFFER: usize = 65_536;

/// A socket with `N` buffers, each of which takes what the kernel joins.
pub(super) struct Batch<const N: usize> {
    socket: Arc<dyn AsyncUdpSocket>,
    poller: Pin<Box<dyn UdpPoller>>,
    memory: Vec<u8>,
    metas: [RecvMeta; N],
    /// Buffers that the last receive call filled.
    filled: usize,
}

impl<const N: usize> Batch<N> {
    /// Empty ones.
    pub(super) fn new(socket: Arc<dyn AsyncUdpSocket>) -> Self {
        Self {
            poller: socket.clone().create_io_poller(),
            socket,
            memory: vec![0; BUFFER * N],
            metas: [RecvMeta::default(); N],
            filled: 0,
        }
    }

    /// Fills the first `offered` of them, as far as there is something; tells what came.
    pub(super) async fn receive(&mut self, offered: usize) -> io::Result<&[RecvMeta]> {
        let (socket, memory, metas) = (&self.socket, &mut self.memory, &mut self.metas);
        self.filled = poll_fn(|cx| {
            let mut chunks = memory.chunks_mut(BUFFER);
            let mut buffers: [IoSliceMut<'_>; N] =
                std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
            socket.poll_recv(cx, &mut buffers[..offered], &mut metas[..offered])
        })
        .await?;
        Ok(&self.metas[..self.filled])
    }

    /// Sends each on to where `route` says for its source; returns the bytes sent.
    pub(super) async fn send_on(
        &mut self,
        mut route: impl FnMut(SocketAddr) -> Option<SocketAddr>,
    ) -> io::Result<u64> {
        let mut bytes = 0;
        let filled = self
            .memory
            .chunks(BUFFER)
            .zip(&self.metas)
            .take(self.filled);
        for (buffer, meta) in filled {
            let Some(destination) = route(meta.addr) else {
                continue;
            };
            let transmit = Transmit {
                destination,
                ecn: meta.ecn,
                contents: &buffer[..meta.len],
                segment_size: (meta.len > meta.stride).then_some(meta.stride),
                src_ip: None,
            };
            send(&*self.socket, &mut self.poller, &transmit).await?;
            bytes += meta.len as u64;
        }
        Ok(bytes)
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
        poll_fn(|cx| poller.as_mut().poll_writable(cx)).await?;
    }
}
