//! Packets that came out of tunnels and wait to be fetched, in batches as from a UDP socket.

use std::io::IoSliceMut;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use gimlet_proto::tunnel::split_first;
use quinn::udp::RecvMeta;
use tokio::sync::mpsc;

/// Messages that may wait: 1 MiB at most. Past it, tunnels are read no more until there is room, and
/// TCP tells the other side.
const MAX_MESSAGES: usize = 16;

/// A message that was received and checked.
#[derive(Debug)]
pub struct Received {
    /// The address that stands for where it comes from.
    pub from: SocketAddr,
    /// The packets.
    pub message: Bytes,
}

/// See the top of this file.
#[derive(Debug)]
pub struct Inbox {
    messages: mpsc::Receiver<Received>,
    /// What of the last message is left.
    rest: Option<Received>,
}

/// An inbox, and where messages are put into it.
pub fn inbox() -> (mpsc::Sender<Received>, Inbox) {
    let (sender, messages) = mpsc::channel(MAX_MESSAGES);
    let rest = None;
    (sender, Inbox { messages, rest })
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
            let Some(mut received) = self.rest.take() else {
                match self.messages.poll_recv(cx) {
                    Poll::Ready(Some(received)) => self.rest = Some(received),
                    Poll::Ready(None) | Poll::Pending if filled == 0 => return Poll::Pending,
                    Poll::Ready(None) | Poll::Pending => break,
                }
                continue;
            };
            let (len, stride) = fill(&mut received.message, &mut bufs[filled]);
            if len > 0 {
                meta[filled] = RecvMeta {
                    addr: received.from,
                    len,
                    stride,
                    ecn: None,
                    dst_ip: None,
                };
                filled += 1;
            }
            self.rest = (!received.message.is_empty()).then_some(received);
        }
        Poll::Ready(filled)
    }
}

/// Moves packets from the front of a message into a buffer; how many bytes, and the length of each
/// packet but the last. A packet longer than the buffer is lost, as a datagram would be.
fn fill(message: &mut Bytes, buf: &mut [u8]) -> (usize, usize) {
    let (mut len, mut stride) = (0, 0);
    while let Some((packet, rest)) = split_first(message) {
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
        let used = message.len() - rest.len();
        message.advance(used);
        if is_last {
            break;
        }
    }
    if len == 0 {
        message.clear();
    }
    (len, stride)
}
