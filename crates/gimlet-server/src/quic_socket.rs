//! quinn's view of the shared port: it sends on the real socket and receives what the pump hands it.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use quinn::udp::{EcnCodepoint, RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use tokio::sync::mpsc;

/// Datagrams that may wait for quinn: 1.5 MB, or some 20 ms of a flood. More are dropped, as a full
/// socket buffer would.
pub(crate) const QUEUE: usize = 1024;

/// Datagrams that quinn may send in one call. A connection keeps room for so many as long as it lives,
/// 12 KiB for the ten it would take, and control sessions rarely have two to send.
const SEGMENTS: usize = 1;

/// One QUIC datagram on its way from the pump to quinn.
#[derive(Debug)]
pub(crate) struct Datagram {
    pub(crate) source: SocketAddr,
    pub(crate) destination: Option<std::net::IpAddr>,
    pub(crate) ecn: Option<EcnCodepoint>,
    pub(crate) bytes: Vec<u8>,
}

/// The socket given to quinn.
#[derive(Debug)]
pub(crate) struct QuicSocket {
    socket: Arc<dyn AsyncUdpSocket>,
    /// Only quinn's endpoint driver takes this lock.
    received: Mutex<mpsc::Receiver<Datagram>>,
}

impl QuicSocket {
    /// The socket, and where the pump puts datagrams.
    pub(crate) fn new(socket: Arc<dyn AsyncUdpSocket>) -> (Arc<Self>, mpsc::Sender<Datagram>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let received = Mutex::new(receiver);
        (Arc::new(Self { socket, received }), sender)
    }
}

impl AsyncUdpSocket for QuicSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.socket.clone().create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        match self.socket.try_send(transmit) {
            // Any other error would end the connection, or all of them.
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                tracing::trace!(%error, to = %transmit.destination, "send failed");
                Ok(())
            }
            sent => sent,
        }
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let Ok(mut received) = self.received.lock() else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        let mut count = 0;
        for (buf, meta) in bufs.iter_mut().zip(meta) {
            // Without the pump nothing comes any more: an error would only make quinn log one, at every
            // graceful stop.
            let Poll::Ready(Some(datagram)) = received.poll_recv(cx) else {
                break;
            };
            // Longer than quinn said it takes: it will not decrypt, and is dropped there.
            let len = datagram.bytes.len().min(buf.len());
            buf[..len].copy_from_slice(&datagram.bytes[..len]);
            *meta = RecvMeta {
                addr: datagram.source,
                len,
                stride: len,
                ecn: datagram.ecn,
                dst_ip: datagram.destination,
            };
            count += 1;
        }
        match count {
            0 => Poll::Pending,
            count => Poll::Ready(Ok(count)),
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        SEGMENTS
    }

    fn may_fragment(&self) -> bool {
        self.socket.may_fragment()
    }
}
