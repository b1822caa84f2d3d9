//! STUN on a socket: answers Binding requests, at a rate per prefix; and the task of a socket that does
//! nothing else.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use gimlet_net::path;
use gimlet_proto::limit::Limiter;
use gimlet_proto::relay::runs::{Content, runs};
use gimlet_proto::stun::{Change, answer_binding, answer_discovery};
use quinn::AsyncUdpSocket;
use quinn::udp::{BATCH_SIZE, RecvMeta};
use tokio::time;

use crate::config::Config;
use crate::counters::Counters;
use crate::discovery::{Corner, Corners};
use crate::pump::{self, Outlet};

/// Prefixes remembered: 200 KB. Only a flood from more at once is judged too leniently.
const PREFIXES: usize = 4096;

/// Answers requests, counted and limited.
pub(crate) struct Responder {
    limiter: Limiter,
    /// Of what is more than a plain answer.
    discovery: Limiter,
    corner: Corner,
    corners: Arc<Corners>,
    counters: Arc<Counters>,
}

impl Responder {
    /// For the socket at `corner`.
    pub(crate) fn new(
        config: &Config,
        corner: Corner,
        corners: Arc<Corners>,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            limiter: Limiter::new(config.stun, PREFIXES, rand::random()),
            discovery: Limiter::new(config.discovery, PREFIXES, rand::random()),
            corner,
            corners,
            counters,
        }
    }

    /// The answer to a datagram that begins like STUN, and where to send it from this socket. What
    /// leaves from another one is sent here. `here` is the address it was sent to.
    pub(crate) fn answer(
        &mut self,
        datagram: &[u8],
        source: SocketAddr,
        here: Option<IpAddr>,
        now: Instant,
    ) -> Option<(SocketAddr, Vec<u8>)> {
        // Before any parsing: a flood should cost as little as can be.
        if !self.limiter.allow(source.ip(), now) {
            self.counters.stun_limited.one();
            return None;
        }
        let corner = self.corners.reached(self.corner, here);
        let reply = match self.corners.vantage(corner, here) {
            Some(vantage) => answer_discovery(datagram, source, &vantage),
            None => return self.plainly(datagram, source),
        };
        match reply {
            None => self.counters.stun_ignored.one(),
            Some(reply) if reply.is_plain => {
                self.counters.stun_answered.one();
                return Some((source, reply.bytes));
            }
            Some(reply) if !self.discovery.allow(source.ip(), now) => {
                self.counters.stun_discovery_limited.one();
                let is_here = reply.from == Change::default() && reply.to.port() == source.port();
                return is_here.then(|| self.plainly(datagram, source))?;
            }
            Some(reply) => {
                self.counters.stun_answered.one();
                self.counters.stun_discovery.one();
                // As it came, so that a socket of both families can send it.
                let to = SocketAddr::new(source.ip(), reply.to.port());
                if reply.from == Change::default() {
                    return Some((to, reply.bytes));
                }
                self.counters.stun_moved.one();
                let sent = self
                    .corners
                    .send(corner, here, reply.from, to, &reply.bytes);
                if sent.is_err() {
                    self.counters.send_failed.one();
                }
            }
        }
        None
    }

    fn plainly(&self, datagram: &[u8], source: SocketAddr) -> Option<(SocketAddr, Vec<u8>)> {
        let answer = answer_binding(datagram, source);
        match &answer {
            Some(_) => self.counters.stun_answered.one(),
            None => self.counters.stun_ignored.one(),
        }
        answer.map(|answer| (source, answer))
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
    // Answers of the other sockets leave from this one too; a fresh one is not ready at once.
    path::writable(&socket).await?;
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
                        let answer = responder.answer(run.bytes, meta.addr, meta.dst_ip, now);
                        if let Some((to, answer)) = answer {
                            outlet.send(to, &answer, meta.dst_ip).await;
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
