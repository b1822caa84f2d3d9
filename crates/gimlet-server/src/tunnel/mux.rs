//! One socket of UDP and all tunnels.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use gimlet_proto::tunnel::is_tunnel;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};

use super::Tunnels;

/// See [`Tunnels::wrap`].
#[derive(Debug)]
pub(super) struct MuxSocket {
    udp: Arc<dyn AsyncUdpSocket>,
    tunnels: Arc<Tunnels>,
    /// Whether what comes out of tunnels comes here.
    receives: bool,
    /// Whose turn it is to be asked first, so that neither side starves the other.
    tunnels_first: AtomicBool,
}

impl MuxSocket {
    pub(super) fn new(udp: Arc<dyn AsyncUdpSocket>, tunnels: Arc<Tunnels>, receives: bool) -> Self {
        Self {
            udp,
            tunnels,
            receives,
            tunnels_first: AtomicBool::new(false),
        }
    }

    fn poll_udp(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let received = self.udp.poll_recv(cx, bufs, meta);
        if let Poll::Ready(Ok(count)) = received {
            // Nobody is there: somebody pretends.
            let forged = meta[..count].iter_mut().filter(|m| is_tunnel(m.addr));
            forged.for_each(|meta| meta.len = 0);
        }
        received
    }

    fn poll_tunnels(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        match self.receives {
            true => self.tunnels.poll_fill(cx, bufs, meta).map(Ok),
            false => Poll::Pending,
        }
    }
}

impl AsyncUdpSocket for MuxSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        // Tunnels take what they are given, or drop it.
        self.udp.clone().create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        if is_tunnel(transmit.destination) {
            self.tunnels.send(transmit);
            return Ok(());
        }
        self.udp.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let tunnels_first = self.tunnels_first.fetch_xor(true, Ordering::Relaxed);
        for tunnels in [tunnels_first, !tunnels_first] {
            let received = match tunnels {
                true => self.poll_tunnels(cx, bufs, meta),
                false => self.poll_udp(cx, bufs, meta),
            };
            if received.is_ready() {
                return received;
            }
        }
        Poll::Pending
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.udp.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.udp.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.udp.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.udp.may_fragment()
    }
}
