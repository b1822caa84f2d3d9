//! A UDP socket of a simulated host, as quinn wants it.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use gimlet_sim::HostId;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};

use crate::world::Wire;

/// Datagrams waiting to be read, as in a kernel's buffer; more are lost.
const MAX_INBOX: usize = 4096;

/// Segments per send, so that batches are batches here, too.
const SEGMENTS: usize = 10;

/// A UDP socket of a simulated host.
pub struct SimSocket {
    wire: Arc<Wire>,
    host: HostId,
    local: SocketAddr,
    inbox: Mutex<Inbox>,
    /// Its process is dead: nothing gets out of it or in any more.
    mute: AtomicBool,
}

#[derive(Default)]
struct Inbox {
    datagrams: VecDeque<(SocketAddr, Vec<u8>)>,
    reader: Option<Waker>,
}

impl SimSocket {
    pub(crate) fn new(wire: Arc<Wire>, host: HostId, local: SocketAddr) -> Arc<Self> {
        Arc::new(Self {
            wire,
            host,
            local,
            inbox: Mutex::default(),
            mute: AtomicBool::new(false),
        })
    }

    /// As when the system takes it from a process that was killed: whatever its tasks still want to
    /// say is not said.
    pub(crate) fn mute(&self) {
        self.mute.store(true, Ordering::Relaxed);
    }

    pub(crate) fn deliver(&self, from: SocketAddr, datagram: Vec<u8>) {
        if self.mute.load(Ordering::Relaxed) {
            return;
        }
        let mut inbox = self.inbox.lock().expect("no reader panics");
        if inbox.datagrams.len() < MAX_INBOX {
            inbox.datagrams.push_back((from, datagram));
        }
        if let Some(reader) = inbox.reader.take() {
            reader.wake();
        }
    }
}

impl AsyncUdpSocket for SimSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        if self.mute.load(Ordering::Relaxed) {
            return Ok(());
        }
        let size = transmit
            .segment_size
            .unwrap_or(transmit.contents.len())
            .max(1);
        for datagram in transmit.contents.chunks(size) {
            self.wire
                .send(self.host, self.local, transmit.destination, datagram)?;
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut inbox = self.inbox.lock().expect("no reader panics");
        let mut count = 0;
        while count < bufs.len().min(meta.len()) {
            let Some((addr, datagram)) = inbox.datagrams.pop_front() else {
                break;
            };
            let len = datagram.len().min(bufs[count].len());
            bufs[count][..len].copy_from_slice(&datagram[..len]);
            meta[count] = RecvMeta {
                addr,
                len,
                stride: len,
                ecn: None,
                dst_ip: None,
            };
            count += 1;
        }
        if count > 0 {
            return Poll::Ready(Ok(count));
        }
        inbox.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    fn max_transmit_segments(&self) -> usize {
        SEGMENTS
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

impl fmt::Debug for SimSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimSocket({})", self.local)
    }
}

#[derive(Debug)]
struct AlwaysWritable;

impl UdpPoller for AlwaysWritable {
    fn poll_writable(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
