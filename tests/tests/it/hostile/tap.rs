//! A real socket that remembers what was sent on it: what somebody on the way would see.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};

/// Datagrams remembered a socket: the handshakes and checks of a few sessions.
const MAX_SEEN: usize = 512;

#[derive(Debug)]
pub(super) struct Tap {
    socket: Arc<dyn AsyncUdpSocket>,
    seen: Mutex<Vec<Vec<u8>>>,
}

impl Tap {
    pub(super) fn new(socket: Arc<dyn AsyncUdpSocket>) -> Arc<Self> {
        let seen = Mutex::default();
        Arc::new(Self { socket, seen })
    }

    /// Copies of what was sent.
    pub(super) fn seen(&self) -> Vec<Vec<u8>> {
        self.seen.lock().expect("nobody panics with it").clone()
    }
}

impl AsyncUdpSocket for Tap {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.socket.clone().create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let size = transmit.segment_size.unwrap_or(transmit.contents.len());
        let mut seen = self.seen.lock().expect("nobody panics with it");
        for datagram in transmit.contents.chunks(size.max(1)) {
            if seen.len() < MAX_SEEN {
                seen.push(datagram.to_vec());
            }
        }
        drop(seen);
        self.socket.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.socket.poll_recv(cx, bufs, meta)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.socket.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.socket.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.socket.may_fragment()
    }
}
