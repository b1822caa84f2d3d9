//! STUN on a socket: answers Binding requests, at a rate per prefix; and the second port's task.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use gimlet_proto::limit::{Limiter, Rate};
use gimlet_proto::relay::runs::{Content, runs};
use gimlet_proto::stun::answer_binding;
use quinn::AsyncUdpSocket;
use quinn::udp::{BATCH_SIZE, RecvMeta};
use tokio::time;

use crate::counters::Counters;
use crate::pump::{self, Outlet};

/// Prefixes remembered: 200 KB. Only a flood from more at once is judged too leniently.
const PREFIXES: usize = 4096;

/// Answers requests, counted and limited.
pub(crate) struct Responder {
    limiter: Limiter,
    counters: Arc<Counters>,
}

impl Responder {
    pub(crate) fn new(rate: Rate, counters: Arc<Counters>) -> Self {
        Self {
            limiter: Limiter::new(rate, PREFIXES, rand::random()),
            counters,
        }
    }

    /// The answer to a datagram that begins like STUN.
    pub(crate) fn answer(
        &mut self,
        datagram: &[u8],
        source: SocketAddr,
        now: Instant,
    ) -> Option<Vec<u8>> {
        // Before any parsing: a flood should cost as little as can be.
        if !self.limiter.allow(source.ip(), now) {
            self.counters.stun_limited.one();
            return None;
        }
        let source = SocketAddr::new(source.ip().to_canonical(), source.port());
        let answer = answer_binding(datagram, source);
        match &answer {
            Some(_) => self.counters.stun_answered.one(),
            None => self.counters.stun_ignored.one(),
        }
        answer
    }
}

/// Longest request taken on the second port; whatever is longer is cut and then no request.
const MAX_REQUEST: usize = 2048;

/// Serves a socket that only answers STUN, until receiving fails for good.
pub(crate) async fn serve(
    socket: Arc<dyn AsyncUdpSocket>,
    mut responder: Responder,
    counters: Arc<Counters>,
) -> io::Result<()> {
    let mut outlet = Outlet::new(socket.clone(), counters.clone());
    let segments = socket.max_receive_segments();
    let mut memory = vec![0; BATCH_SIZE * MAX_REQUEST * segments];
    let mut metas = [RecvMeta::default(); BATCH_SIZE];
    let mut failures = pump::Failures::default();
    loop {
        let received = {
            let mut buffers: Vec<_> = memory
                .chunks_mut(MAX_REQUEST * segments)
                .map(IoSliceMut::new)
                .collect();
            std::future::poll_fn(|cx| socket.poll_recv(cx, &mut buffers, &mut metas)).await
        };
        let count = match received {
            Ok(count) => count,
            Err(error) => {
                failures.count(error, &counters)?;
                continue;
            }
        };
        failures = pump::Failures::default();
        let now = time::Instant::now().into_std();
        let batches = memory.chunks(MAX_REQUEST * segments).zip(&metas);
        for (buffer, meta) in batches.take(count) {
            if meta.len == 0 {
                counters.foreign_dropped.one();
            }
            for run in runs(&buffer[..meta.len], meta.stride) {
                match run.content {
                    Content::Stun => {
                        if let Some(answer) = responder.answer(run.bytes, meta.addr, now) {
                            outlet.send(meta.addr, &answer, meta.dst_ip).await;
                        }
                    }
                    Content::Frames(_) | Content::Quic | Content::Nothing => {
                        counters.foreign_dropped.add(run.segments() as u64);
                    }
                }
            }
        }
    }
}
