//! The pumps: each owns one of the sockets of the main port, and takes every datagram where it belongs.
//!
//! The system spreads senders over the sockets (`SO_REUSEPORT`), so each core works on its own share. The
//! first pump, this one, owns the relay as well; the others are [`Follower`]s. Every pump has a *lane*,
//! its own copy of where the sides of each session are, so that data is judged and sent on where it
//! arrives, without a lock and from the buffer it was received in. A sender that would fill the shared
//! socket gets one of its own ([`Annexes`]). What takes more than that (bind frames,
//! strangers, STUN) the followers hand to this one; QUIC goes from all of them into quinn's queue.
//!
//! Forwarding happens here and in no other task, so handshakes and lists never hold it up. What the control
//! task decides arrives as commands.

mod annexes;
mod aside;
mod follower;
mod inlet;
mod outlet;
pub(crate) mod overflow;
mod plan;
mod seat;
mod shard;

use std::io;
use std::sync::Arc;
use std::time::Instant;

use gimlet_net::path;
use gimlet_proto::frame::Frame;
use gimlet_proto::relay::runs::{Content, Run};
use gimlet_proto::relay::{self, Action, Answer, Command, Dropped, Relay};
use quinn::AsyncUdpSocket;
use tokio::sync::mpsc;
use tokio::time;

use crate::counters::Counters;
use crate::quic_socket::Inbox;
use crate::responder::Responder;
pub(crate) use annexes::Annexes;
pub(crate) use aside::{Asides, asides};
pub(crate) use follower::Follower;
pub(crate) use inlet::Failures;
use inlet::Inlet;
pub(crate) use outlet::Outlet;
use plan::Plan;
pub(crate) use seat::Seat;
use shard::{Origin, Shard, Wants};

/// Updates that may wait for a follower, which takes them before anything else; were it to stand still,
/// the relay would wait for it.
pub(crate) const UPDATES: usize = 1024;

/// Datagrams handed over that are looked at in a turn, so that neither they nor what arrives here
/// starves the other.
const ASIDES: usize = 64;

/// What the first pump works with.
pub(crate) struct Pump {
    pub(crate) socket: Arc<dyn AsyncUdpSocket>,
    pub(crate) annexes: Annexes,
    pub(crate) quic: Inbox,
    pub(crate) relay: Relay,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) events: mpsc::Sender<relay::Event>,
    pub(crate) responder: Responder,
    pub(crate) counters: Arc<Counters>,
    /// What the followers hand over.
    pub(crate) asides: Asides,
    /// Where they hear of the relay's decisions.
    pub(crate) followers: Vec<mpsc::Sender<relay::Update>>,
}

impl Pump {
    /// Runs until the control task is gone, or receiving fails for good.
    pub(crate) async fn run(mut self) -> io::Result<()> {
        // Answers of the other sockets leave from this one too; a fresh one is not ready at once.
        path::writable(&self.socket).await?;
        let mut inlet = Inlet::new();
        let mut outlet = Outlet::new(self.socket.clone(), self.counters.clone());
        let lane = self.relay.lane(now());
        let mut shard = Shard::new(lane, self.quic.clone(), self.counters.clone());
        let mut plan = Plan::default();
        let mut failures = Failures::default();
        loop {
            let due_at = self.relay.poll_timeout().map(time::Instant::from_std);
            let due = async {
                match due_at {
                    Some(due_at) => time::sleep_until(due_at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                // First, so that a session opens before a full socket's worth of its data is judged.
                command = self.commands.recv() => match command {
                    Some(command) => self.relay.handle_command(command, now()),
                    None => return Ok(()),
                },
                received = inlet.receive(&self.socket, &mut self.annexes) => match received {
                    Ok(()) => {
                        failures = Failures::default();
                        self.take(&inlet, &mut shard, &mut plan, &mut outlet).await;
                        outlet.send_planned(&mut plan, &mut inlet).await;
                    }
                    Err(error) => failures.count(error, &self.counters)?,
                },
                () = self.asides.ready() => (),
                () = due => self.relay.handle_timeout(now()),
            }
            for _ in 0..ASIDES {
                let Some(aside) = self.asides.take() else {
                    break;
                };
                let run = aside.run();
                self.serve(&aside.origin, &run, None, &mut outlet).await;
            }
            self.drain(&mut shard, &mut outlet).await;
        }
    }

    /// Judges what was received. What only has to be sent on is planned; the rest is done.
    async fn take(
        &mut self,
        inlet: &Inlet,
        shard: &mut Shard,
        plan: &mut Plan,
        outlet: &mut Outlet,
    ) {
        let now = now();
        shard.begin(inlet, now);
        for batch in inlet.batches() {
            for (origin, run) in batch.runs() {
                match shard.take(&origin, &run, plan, now) {
                    Wants::Nothing => (),
                    Wants::Relay => self.serve(&origin, &run, Some(plan), outlet).await,
                }
            }
        }
        shard.end();
        let (queue, metas) = (inlet.queue(), inlet.metas());
        self.annexes.settle(queue, metas, &mut shard.lane, now);
    }

    /// What a lane leaves to the relay, and STUN. What is to be sent on is planned, if there is a plan.
    async fn serve(
        &mut self,
        origin: &Origin,
        run: &Run<'_>,
        plan: Option<&mut Plan>,
        outlet: &mut Outlet,
    ) {
        match run.content {
            Content::Frames(frame) => match self.judge(origin, &frame, run) {
                Action::Forward { to } => match plan {
                    Some(plan) => plan.push(to, origin, run),
                    None => outlet.forward(to, run, origin.ecn).await,
                },
                Action::Answer(answer) => {
                    let answer = answer.as_bytes();
                    outlet.send(origin.source, answer, origin.here).await;
                }
                Action::Held | Action::Dropped(_) => (),
            },
            Content::Stun => {
                let (source, here) = (origin.source, origin.here);
                if let Some((to, answer)) = self.responder.answer(run.bytes, source, here, now()) {
                    outlet.send(to, &answer, here).await;
                }
            }
            Content::Quic | Content::Nothing => self.counters.foreign_dropped.one(),
        }
    }

    /// What the relay says, counted.
    fn judge(&mut self, origin: &Origin, frame: &Frame<'_>, run: &Run<'_>) -> Action {
        let segments = run.segments() as u64;
        let action = self.relay.handle(origin.source, frame, run, now());
        match action {
            Action::Forward { .. } => {
                self.counters.relayed_packets.add(segments);
                self.counters.relayed_bytes.add(run.bytes.len() as u64);
            }
            Action::Answer(Answer::Bound(_)) => self.counters.relay_bound.one(),
            Action::Answer(Answer::Unknown(_)) => self.counters.relay_unknown.one(),
            Action::Held => self.counters.relay_held.add(segments),
            Action::Dropped(Dropped::Throttled(_)) => self.counters.relay_throttled.add(segments),
            Action::Dropped(_) => self.counters.relay_dropped.add(segments),
        }
        action
    }

    /// Tells the lanes what the relay decided, sends what it let go of, and reports what it ended. An
    /// event that finds no room stays in the machine until the next turn.
    async fn drain(&mut self, shard: &mut Shard, outlet: &mut Outlet) {
        while let Some(update) = self.relay.poll_update() {
            for follower in &self.followers {
                // One that has ended takes the server with it.
                let _ = follower.send(update.clone()).await;
            }
            shard.lane.apply(update);
        }
        while let Some(transmit) = self.relay.poll_transmit() {
            outlet.send(transmit.to, &transmit.datagram, None).await;
        }
        while let Ok(permit) = self.events.try_reserve() {
            let Some(event) = self.relay.poll_event() else {
                return;
            };
            permit.send(event);
        }
    }
}

fn now() -> Instant {
    time::Instant::now().into_std()
}
