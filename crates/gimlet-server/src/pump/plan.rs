//! What is to be sent of one receive call: runs where they lie, joined where that takes fewer calls.
//!
//! GRO and GSO batch for us where a sender's batches are long. Those of real streams are short: quinn
//! sends ten datagrams at once, so four buffers of 12 kB arrive where one of 50 kB could leave. Such a run is
//! copied behind the one before it, into the unused rest of that one's receive buffer: copying 12 kB
//! takes a microsecond, a send call two or three.

use std::net::SocketAddr;
use std::ops::Range;

use gimlet_proto::relay::runs::Run;
use quinn::udp::EcnCodepoint;

use super::shard::Origin;

/// Longest run that is copied: with longer ones the copy costs what the call does.
const MAX_COPY: usize = 16 * 1024;

/// Runs looked at for one to join: those of a few dozen sessions that take turns.
const REACH: usize = 32;

/// Most bytes of one batch: a UDP datagram's length field counts the whole of it, less 48 bytes of
/// UDP and IPv6 headers.
pub(super) const MAX_BATCH: usize = 65_535 - 48;

/// Runs to be sent, in the order of their arrival. As many at most as one receive call brings; the memory
/// is kept for the next.
#[derive(Debug, Default)]
pub(super) struct Plan {
    sends: Vec<Send>,
}

/// One batch to one address.
#[derive(Debug, Clone, Copy)]
pub(super) struct Send {
    pub(super) to: SocketAddr,
    pub(super) ecn: Option<EcnCodepoint>,
    pub(super) stride: usize,
    at: usize,
    /// 0 once it was joined to another.
    len: usize,
    /// Bytes free behind it.
    room: usize,
}

impl Plan {
    pub(super) fn push(&mut self, to: SocketAddr, origin: &Origin, run: &Run<'_>) {
        self.sends.push(Send {
            to,
            ecn: origin.ecn,
            stride: run.stride,
            at: origin.at,
            len: run.bytes.len(),
            room: origin.room,
        });
    }

    pub(super) fn len(&self) -> usize {
        self.sends.len()
    }

    pub(super) fn clear(&mut self) {
        self.sends.clear();
    }

    /// What is to be sent of the run at `index`, with later ones joined to it in `memory`; `None` if it
    /// was joined itself. A batch has at most `segments` datagrams.
    pub(super) fn batch(
        &mut self,
        index: usize,
        segments: usize,
        memory: &mut [u8],
    ) -> Option<Send> {
        let (done, later) = self.sends.split_at_mut(index + 1);
        let mut send = *done.last()?;
        if send.len == 0 {
            return None;
        }
        for next in later.iter_mut().take(REACH) {
            // What one address gets stays in order: no further than the first that can't be joined.
            if next.to != send.to || next.len == 0 {
                continue;
            }
            if !send.can_take(next, segments) {
                break;
            }
            memory.copy_within(next.bytes(), send.at + send.len);
            send.stride = send.stride.max(next.stride);
            send.len += next.len;
            send.room -= next.len;
            next.len = 0;
        }
        Some(send)
    }
}

impl Send {
    /// Where it lies.
    pub(super) fn bytes(&self) -> Range<usize> {
        self.at..self.at + self.len
    }

    /// Whether `next` may be sent behind this as one batch: all datagrams of one length, but the last.
    fn can_take(&self, next: &Self, segments: usize) -> bool {
        let is_full = self.len.is_multiple_of(self.stride);
        let fits = next.stride == self.stride || next.len < self.stride;
        let count = self.len / self.stride + next.len.div_ceil(self.stride);
        is_full
            && fits
            && next.ecn == self.ecn
            && next.len <= MAX_COPY.min(self.room)
            && self.len + next.len <= MAX_BATCH
            && count <= segments
            // A shorter run of several datagrams would be cut at the wrong places.
            && (next.stride == self.stride || next.len <= next.stride)
    }
}

#[cfg(test)]
mod tests;
