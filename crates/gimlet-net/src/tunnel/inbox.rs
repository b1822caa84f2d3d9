//! Packets that came out of tunnels and wait to be fetched, in batches as from a UDP socket.

use std::io::IoSliceMut;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use gimlet_proto::tunnel::split_first;
use quinn::udp::RecvMeta;
use tokio::sync::mpsc;

use super::pool::Pool;

/// Messages that may wait: 1 MiB at most. Past it, tunnels are read no more until there is room, and
/// TCP tells the other side.
const MAX_MESSAGES: usize = 16;

/// Packets that came together, whole ones only.
#[derive(Debug)]
pub struct Received {
    /// The address that stands for where they come from.
    pub from: SocketAddr,
    /// The packets, each behind its length.
    pub packets: Vec<u8>,
}

/// What of them is left to be fetched.
#[derive(Debug)]
struct Rest {
    received: Received,
    /// Where the next packet begins.
    at: usize,
}

/// See the top of this file.
#[derive(Debug)]
pub struct Inbox {
    messages: mpsc::Receiver<Received>,
    rest: Option<Rest>,
    /// Where memory goes once it is emptied.
    pool: Pool,
}

/// An inbox, and where messages are put into it.
pub fn inbox(pool: Pool) -> (mpsc::Sender<Received>, Inbox) {
    let (sender, messages) = mpsc::channel(MAX_MESSAGES);
    let inbox = Inbox {
        messages,
        rest: None,
        pool,
    };
    (sender, inbox)
}

impl Inbox {
    /// Fetches packets: each buffer gets successive ones of one origin and one length, of which the
    /// last may be shorter, as the system joins datagrams (GRO). Pending, with nothing fetched, when
    /// there are none; once nobody can bring any more, for ever.
    pub fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<usize> {
        let mut filled = 0;
        while filled < bufs.len().min(meta.len()) {
            let Some(mut rest) = self.rest.take() else {
                match self.messages.poll_recv(cx) {
                    Poll::Ready(Some(received)) => self.rest = Some(Rest { received, at: 0 }),
                    Poll::Ready(None) | Poll::Pending if filled == 0 => return Poll::Pending,
                    Poll::Ready(None) | Poll::Pending => break,
                }
                continue;
            };
            let left = rest.received.packets.get(rest.at..).unwrap_or_default();
            let Filled { used, len, stride } = fill(left, &mut bufs[filled]);
            rest.at += used;
            if len > 0 {
                meta[filled] = RecvMeta {
                    addr: rest.received.from,
                    len,
                    stride,
                    ecn: None,
                    dst_ip: None,
                };
                filled += 1;
            }
            // Nothing used: it is no packet, so the rest is none either.
            match used > 0 && used < left.len() {
                true => self.rest = Some(rest),
                false => self.pool.put(rest.received.packets),
            }
        }
        Poll::Ready(filled)
    }
}

/// What went into a buffer.
struct Filled {
    /// Bytes of the message that are done with.
    used: usize,
    /// Bytes of packets.
    len: usize,
    /// The length of each packet but the last.
    stride: usize,
}

/// Copies packets from the front of a message into a buffer. A packet longer than the buffer is lost, as
/// a datagram would be.
fn fill(message: &[u8], buf: &mut [u8]) -> Filled {
    let (mut left, mut len, mut stride) = (message, 0, 0);
    while let Some((packet, rest)) = split_first(left) {
        let is_first = len == 0;
        let fits = len + packet.len() <= buf.len();
        let waits = !is_first && (!fits || packet.len() > stride);
        if waits {
            break;
        }
        if fits {
            buf[len..len + packet.len()].copy_from_slice(packet);
            len += packet.len();
        }
        let is_last = !is_first && packet.len() < stride;
        if is_first && fits {
            stride = packet.len();
        }
        // Also a packet longer than the buffer: it is lost.
        left = rest;
        if is_last {
            break;
        }
    }
    let used = message.len() - left.len();
    Filled { used, len, stride }
}
