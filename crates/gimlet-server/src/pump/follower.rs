//! A pump on a further socket of the main port: forwards by itself, and hands the rest to the first.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use gimlet_net::path;
use gimlet_proto::relay::runs::{Content, Run};
use gimlet_proto::relay::{Lane, Update};
use quinn::AsyncUdpSocket;
use tokio::sync::mpsc;

use super::annexes::Annexes;
use super::aside::Hand;
use super::inlet::{Failures, Inlet};
use super::now;
use super::outlet::Outlet;
use super::plan::Plan;
use super::shard::{Origin, Shard, Wants};
use crate::counters::Counters;
use crate::quic_socket::Inbox;

/// What a follower works with.
pub(crate) struct Follower {
    pub(crate) socket: Arc<dyn AsyncUdpSocket>,
    pub(crate) annexes: Annexes,
    pub(crate) quic: Inbox,
    pub(crate) lane: Lane,
    pub(crate) updates: mpsc::Receiver<Update>,
    pub(crate) hand: Hand,
    pub(crate) counters: Arc<Counters>,
}

impl Follower {
    /// Runs until the first pump is gone, or receiving fails for good.
    pub(crate) async fn run(mut self) -> io::Result<()> {
        path::writable(&self.socket).await?;
        let mut inlet = Inlet::new();
        let mut outlet = Outlet::new(self.socket.clone(), self.counters.clone());
        let mut shard = Shard::new(self.lane, self.quic, self.counters.clone());
        let mut plan = Plan::default();
        let mut failures = Failures::default();
        loop {
            tokio::select! {
                biased;
                // First, so that what arrives is judged by what the relay has decided.
                update = self.updates.recv() => match update {
                    Some(update) => shard.lane.apply(update),
                    None => return Ok(()),
                },
                received = inlet.receive(&self.socket, &mut self.annexes) => match received {
                    Ok(()) => {
                        failures = Failures::default();
                        let at = now();
                        take(&inlet, &mut shard, &mut plan, &self.hand, &self.counters, at);
                        let (queue, metas) = (inlet.queue(), inlet.metas());
                        self.annexes.settle(queue, metas, &mut shard.lane, at);
                        outlet.send_planned(&mut plan, &mut inlet).await;
                    }
                    Err(error) => failures.count(error, &self.counters)?,
                },
            }
        }
    }
}

fn take(
    inlet: &Inlet,
    shard: &mut Shard,
    plan: &mut Plan,
    hand: &Hand,
    counters: &Counters,
    now: Instant,
) {
    shard.begin(inlet, now);
    for batch in inlet.batches() {
        for (origin, run) in batch.runs() {
            match shard.take(&origin, &run, plan, now) {
                Wants::Nothing => (),
                Wants::Relay => hand_over(hand, &origin, &run, counters),
            }
        }
    }
    shard.end();
}

fn hand_over(hand: &Hand, origin: &Origin, run: &Run<'_>, counters: &Counters) {
    if !hand.over(origin, run) {
        match run.content {
            Content::Stun => counters.stun_limited.one(),
            Content::Frames(_) | Content::Quic | Content::Nothing => {
                counters.relay_dropped.add(run.segments() as u64);
            }
        }
    }
}
