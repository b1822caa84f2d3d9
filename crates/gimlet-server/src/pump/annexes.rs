//! Sockets for senders that would fill the one that everybody shares.
//!
//! The system's receive buffer is a queue of all senders together, which drops from its tail, whoever's that is.
//! So a sender found [heavy](gimlet_proto::relay::Lane::poll_heavy) gets an *annex*: one more socket on the same
//! port, connected to that sender, to which the system then takes all that comes from there. What is
//! too much is dropped by the system, in that sender's own buffer, at no cost to this process. Which socket is read
//! next say [`Turns`]. All sessions of that sender come through it, so shares are by address there, and not by session as
//! in a [`Lane`].
//!
//! An annex is closed when little comes through it. Where none can be had (other systems, tunnels,
//! the simulator), everything stays in the shared queue, and the lane's shares are all there is.

use std::io::IoSliceMut;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use gimlet_net::socket;
use gimlet_proto::relay::turns::{QueueId, Turns};
use gimlet_proto::relay::{HeavySender, Lane};
use gimlet_proto::secret::SessionId;
use gimlet_proto::tunnel::is_tunnel;
use quinn::AsyncUdpSocket;
use quinn::udp::RecvMeta;

use super::now;
use super::overflow::Loss;
use crate::counters::Counters;

/// Annexes of one shard: as many flooders at once are an attack, and may take 4 MiB each of the
/// system's memory. Further ones share the queue of all.
const MAX_ANNEXES: usize = 16;

/// How often it is looked which are still of use.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// With less in such a time an annex is closed: nobody holds one for nothing, and so little fills no buffer.
const MIN_BYTES: u64 = 4 << 20;

/// Errors taken from a socket in a row: ICMP messages, which its peer can have sent.
const MAX_ERRORS: usize = 4;

/// Those of one shard.
pub(crate) struct Annexes {
    /// The address of the shared socket; `None` where there can be no annex.
    local: Option<SocketAddr>,
    counters: Arc<Counters>,
    open: Vec<Annex>,
    turns: Turns,
    next_id: QueueId,
    look_at: Option<Instant>,
}

struct Annex {
    id: QueueId,
    source: SocketAddr,
    session: SessionId,
    socket: Arc<dyn AsyncUdpSocket>,
    /// Since it was last looked at.
    bytes: u64,
    buffers: u64,
    loss: Loss,
}

impl Annexes {
    /// None yet. `local` is where the shared socket of the system's is bound.
    pub(crate) fn new(local: Option<SocketAddr>, counters: Arc<Counters>) -> Self {
        Self {
            local,
            counters,
            open: Vec::new(),
            turns: Turns::default(),
            next_id: 0,
            look_at: None,
        }
    }

    /// Receives from those that are owed something.
    pub(super) fn poll_owed(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<(QueueId, usize)> {
        while let Some(id) = self.turns.owed() {
            if let Poll::Ready(count) = self.poll(id, cx, bufs, metas) {
                return Poll::Ready((id, count));
            }
            self.turns.empty(id);
        }
        Poll::Pending
    }

    /// When [`poll_any`](Self::poll_any) is to be asked again though nothing has come.
    pub(super) fn held(&self) -> Option<Instant> {
        if self.open.is_empty() {
            return None;
        }
        self.turns.held(now())
    }

    /// Receives from any.
    pub(super) fn poll_any(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<(QueueId, usize)> {
        if self.open.is_empty() {
            return Poll::Pending;
        }
        for id in self.turns.rest(now()) {
            if let Poll::Ready(count) = self.poll(id, cx, bufs, metas) {
                return Poll::Ready((id, count));
            }
        }
        Poll::Pending
    }

    fn poll(
        &self,
        id: QueueId,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<usize> {
        let Some(annex) = self.open.iter().find(|annex| annex.id == id) else {
            return Poll::Pending;
        };
        for _ in 0..MAX_ERRORS {
            match annex.socket.poll_recv(cx, bufs, metas) {
                Poll::Ready(Ok(count)) => return Poll::Ready(count),
                Poll::Ready(Err(_)) => self.counters.receive_failed.one(),
                Poll::Pending => return Poll::Pending,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// What was received was dealt with: whose turn it was is noted, and annexes are opened and closed.
    pub(super) fn settle(
        &mut self,
        queue: Option<QueueId>,
        metas: &[RecvMeta],
        lane: &mut Lane,
        now: Instant,
    ) {
        let bytes: usize = metas.iter().map(|meta| meta.len).sum();
        let cost = (bytes + metas.len() * PER_BUFFER) as u64;
        match queue {
            None => {
                self.charge(metas);
                self.turns.shared(cost, lane.senders());
                if let Some(until) = lane.held_until() {
                    self.turns.hold(until);
                }
            }
            Some(id) => {
                self.turns.own(id, cost);
                if let Some(annex) = self.open.iter_mut().find(|annex| annex.id == id) {
                    annex.bytes += bytes as u64;
                    annex.buffers += metas.len() as u64;
                }
            }
        }
        if let Some(heavy) = lane.poll_heavy() {
            let meta = metas.iter().find(|meta| meta.addr == heavy.source);
            let here = meta.and_then(|meta| meta.dst_ip);
            if self.open(heavy, here) {
                lane.set_apart(heavy.source, heavy.session, true);
            }
        }
        if self.look_at.is_some_and(|at| at <= now) {
            self.look(lane);
            self.look_at = None;
        }
        if self.look_at.is_none() && !self.open.is_empty() {
            self.look_at = Some(now + LOOK_INTERVAL);
        }
    }

    /// What was in the shared queue before its sender's annex was opened counts too.
    fn charge(&mut self, metas: &[RecvMeta]) {
        for annex in &self.open {
            let own = metas.iter().filter(|meta| meta.addr == annex.source);
            let cost: usize = own.map(|meta| meta.len + PER_BUFFER).sum();
            if cost > 0 {
                self.turns.charge(annex.id, cost as u64);
            }
        }
    }

    /// Whether it has an annex now.
    fn open(&mut self, heavy: HeavySender, here: Option<IpAddr>) -> bool {
        let HeavySender {
            source,
            session,
            cost,
        } = heavy;
        let Some(local) = self.local else {
            return false;
        };
        let is_open = self.open.iter().any(|annex| annex.source == source);
        if is_open || self.open.len() >= MAX_ANNEXES || is_tunnel(source) {
            return is_open;
        }
        let here = match (here, local.is_ipv6()) {
            (Some(IpAddr::V4(here)), true) => here.to_ipv6_mapped().into(),
            (Some(here), _) => here,
            (None, _) => local.ip(),
        };
        match socket::bind_aside(SocketAddr::new(here, local.port()), source) {
            Ok((socket, drops)) => {
                tracing::debug!(%source, %session, "a heavy sender has a socket of its own");
                let id = self.next_id;
                self.next_id += 1;
                self.turns.open(id);
                self.turns.charge(id, cost);
                self.counters.annexes.one();
                self.open.push(Annex {
                    id,
                    source,
                    session,
                    socket,
                    bytes: 0,
                    buffers: 0,
                    loss: Loss::new(drops),
                });
                true
            }
            Err(error) => {
                tracing::warn!(%error, "no sockets for heavy senders, so they share one with all");
                self.local = None;
                false
            }
        }
    }

    /// Tells what the system dropped, and closes those that are of no use any more.
    fn look(&mut self, lane: &mut Lane) {
        let Self {
            open,
            turns,
            counters,
            ..
        } = self;
        open.retain_mut(|annex| {
            let lost = annex.loss.since();
            if lost > 0 {
                // The system counts what it joined as one.
                let each = annex.bytes / annex.buffers.max(1);
                lane.dropped(annex.source, annex.session, lost * each);
                counters.relay_throttled.add(lost);
            }
            let stays = annex.bytes >= MIN_BYTES;
            (annex.bytes, annex.buffers) = (0, 0);
            if !stays {
                turns.close(annex.id);
                lane.set_apart(annex.source, annex.session, false);
            }
            stays
        });
    }
}

/// What a buffer costs besides its bytes.
const PER_BUFFER: usize = 1024;
