//! The receive buffers of the main socket.

use std::io::{self, IoSliceMut};
use std::sync::Arc;
use std::task::Poll;

use gimlet_proto::relay::runs::{Run, runs};
use gimlet_proto::relay::turns::QueueId;
use quinn::AsyncUdpSocket;
use quinn::udp::{BATCH_SIZE, RecvMeta};
use tokio::time;

use super::annexes::Annexes;
use super::shard::Origin;
use crate::counters::Counters;

/// Room for one receive: the most that GRO joins, or the largest datagram. What a smaller buffer
/// cuts off would be lost.
const BUFFER: usize = 65_536;

/// Buffers offered while they come back well filled: what is sent on is then still in the processor's
/// cache. On loopback, forwarding took 0.41 s of CPU a GiB with all buffers and 0.22 s with four.
const FULL_BUFFERS: usize = 4;

/// From this many bytes a buffer on average, they are well filled.
const WELL_FILLED: usize = BUFFER / 4;

/// Buffers for one receive call. The memory is 2 MiB of addresses, of which only what traffic
/// touches is real.
pub(super) struct Inlet {
    memory: Box<[u8]>,
    metas: [RecvMeta; BATCH_SIZE],
    count: usize,
    offered: usize,
    is_dry: bool,
    queue: Option<QueueId>,
}

impl Inlet {
    pub(super) fn new() -> Self {
        Self {
            memory: vec![0; BUFFER * BATCH_SIZE].into_boxed_slice(),
            metas: [RecvMeta::default(); BATCH_SIZE],
            count: 0,
            offered: BATCH_SIZE,
            is_dry: true,
            queue: None,
        }
    }

    /// Receives what is there, in the shared socket or an annex, or waits. Cancel safe.
    pub(super) async fn receive(
        &mut self,
        socket: &Arc<dyn AsyncUdpSocket>,
        annexes: &mut Annexes,
    ) -> io::Result<()> {
        let Self {
            memory,
            metas,
            count,
            offered,
            is_dry,
            queue,
        } = self;
        (*queue, *count) = (None, 0);
        let again_at = annexes.held();
        let receive = std::future::poll_fn(|cx| {
            let mut chunks = memory.chunks_mut(BUFFER);
            let mut buffers: [IoSliceMut<'_>; BATCH_SIZE] = std::array::from_fn(|_| {
                IoSliceMut::new(chunks.next().expect("the memory is BATCH_SIZE buffers"))
            });
            let few = &mut buffers[..FULL_BUFFERS];
            if let Poll::Ready((id, count)) = annexes.poll_owed(cx, few, metas) {
                return Poll::Ready(Ok((Some(id), count)));
            }
            let shared = &mut buffers[..*offered];
            if let Poll::Ready(count) = socket.poll_recv(cx, shared, &mut metas[..*offered]) {
                return Poll::Ready(count.map(|count| (None, count)));
            }
            let few = &mut buffers[..FULL_BUFFERS];
            let any = annexes.poll_any(cx, few, metas);
            any.map(|(id, count)| Ok((Some(id), count)))
        });
        (*queue, *count) = match again_at {
            None => receive.await?,
            Some(at) => match time::timeout_at(at.into(), receive).await {
                Ok(received) => received?,
                // Nothing came; annexes are looked at next time.
                Err(_) => return Ok(()),
            },
        };
        if queue.is_some() {
            return Ok(());
        }
        *is_dry = *count < *offered;
        let bytes: usize = metas[..*count].iter().map(|meta| meta.len).sum();
        *offered = match bytes >= *count * WELL_FILLED {
            true => FULL_BUFFERS,
            false => BATCH_SIZE,
        };
        Ok(())
    }

    /// Whose queue it was that the last receive took from; `None` is that of all.
    pub(super) fn queue(&self) -> Option<QueueId> {
        self.queue
    }

    /// What the last receive says of each buffer.
    pub(super) fn metas(&self) -> &[RecvMeta] {
        &self.metas[..self.count]
    }

    /// Whether the last receive from the queue of all took all there was.
    pub(super) fn is_dry(&self) -> bool {
        self.is_dry
    }

    /// What the last receive brought.
    pub(super) fn batches(&self) -> impl Iterator<Item = Batch<'_>> {
        let batches = self.memory.chunks(BUFFER).zip(&self.metas).enumerate();
        batches
            .take(self.count)
            .map(|(index, (buffer, meta))| Batch {
                at: index * BUFFER,
                bytes: &buffer[..meta.len.min(BUFFER)],
                meta,
            })
    }

    /// All buffers.
    pub(super) fn memory(&mut self) -> &mut [u8] {
        &mut self.memory
    }
}

/// What lies in one buffer.
pub(super) struct Batch<'a> {
    at: usize,
    bytes: &'a [u8],
    meta: &'a RecvMeta,
}

impl<'a> Batch<'a> {
    /// Its runs, each with where it came from and where it lies.
    pub(super) fn runs(&self) -> impl Iterator<Item = (Origin, Run<'a>)> {
        let Self { at, bytes, meta } = *self;
        let mut next = 0;
        // An empty datagram is a run too: of nothing that anybody here speaks.
        let empty = bytes.is_empty().then(|| Run::single(bytes));
        empty
            .into_iter()
            .chain(runs(bytes, meta.stride))
            .map(move |run| {
                let begin = next;
                next += run.bytes.len();
                let room = match next == bytes.len() {
                    true => BUFFER - bytes.len(),
                    false => 0,
                };
                let origin = Origin {
                    source: meta.addr,
                    here: meta.dst_ip,
                    ecn: meta.ecn,
                    at: at + begin,
                    room,
                };
                (origin, run)
            })
    }
}

/// Successive receive errors after which the socket is taken for broken. One alone is an ICMP
/// message that some systems report here.
const MAX_FAILURES: u32 = 100;

/// Counts receive errors in a row.
#[derive(Debug, Default)]
pub(crate) struct Failures(u32);

impl Failures {
    /// Counts one; gives it back when there were too many.
    pub(crate) fn count(&mut self, error: io::Error, counters: &Counters) -> io::Result<()> {
        counters.receive_failed.one();
        self.0 += 1;
        match self.0 < MAX_FAILURES {
            true => Ok(()),
            false => Err(error),
        }
    }
}
