//! quinn's view of the shared port: it sends on the real socket and receives what the pump hands it.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use quinn::udp::{EcnCodepoint, RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use tokio::sync::mpsc;

/// Datagrams that may wait for quinn: 6 MB, or what it takes in 0.2 s when all peers sign in at once.
/// More are dropped, as a full socket buffer would.
const QUEUE: usize = 4096;

/// Of these, those that may wait when one more arrives that begins a connection. Peers repeat such,
/// while what is under way would be thrown back by a loss.
const FOR_NEWCOMERS: usize = QUEUE / 2;

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
    /// The socket, and where the pumps put datagrams.
    pub(crate) fn new(socket: Arc<dyn AsyncUdpSocket>) -> (Arc<Self>, Inbox) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let received = Mutex::new(receiver);
        (Arc::new(Self { socket, received }), Inbox(sender))
    }
}

/// Where the pumps put datagrams.
#[derive(Debug, Clone)]
pub(crate) struct Inbox(mpsc::Sender<Datagram>);

impl Inbox {
    /// A place for a datagram with these bytes; `None` while there is no room for its kind.
    pub(crate) fn place_for(&self, bytes: &[u8]) -> Option<mpsc::Permit<'_, Datagram>> {
        let is_crowded = self.0.capacity() <= QUEUE - FOR_NEWCOMERS;
        match is_crowded && begins_a_connection(bytes) {
            true => None,
            false => self.0.try_reserve().ok(),
        }
    }
}

/// Whether it is an Initial packet of QUIC version 1, by its first byte (RFC 9000 section 17.2). One
/// that looks like it and is not has no better claim.
fn begins_a_connection(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| first & 0xf0 == 0xc0)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(first: u8) -> Datagram {
        Datagram {
            source: ([192, 0, 2, 1], 1).into(),
            destination: None,
            ecn: None,
            bytes: vec![first; 3],
        }
    }

    #[test]
    fn newcomers_leave_room_for_what_is_under_way() {
        let (sender, mut receiver) = mpsc::channel(QUEUE);
        let inbox = Inbox(sender);
        let [newcomer, handshake, short] = [0xc3, 0xe1, 0x41];
        let fill = |first: u8| {
            let bytes = [first; 3];
            let places = std::iter::from_fn(|| inbox.place_for(&bytes));
            places.map(|place| place.send(datagram(first))).count()
        };
        assert_eq!(fill(newcomer), FOR_NEWCOMERS);
        assert_eq!(fill(handshake), QUEUE - FOR_NEWCOMERS);
        assert_eq!(fill(short), 0);
        let taken = (0..QUEUE - FOR_NEWCOMERS).map(|_| receiver.try_recv().unwrap());
        assert_eq!(taken.count(), QUEUE - FOR_NEWCOMERS);
        assert!(inbox.place_for(&[newcomer]).is_none());
        receiver.try_recv().unwrap();
        assert!(inbox.place_for(&[newcomer]).is_some());
    }
}
