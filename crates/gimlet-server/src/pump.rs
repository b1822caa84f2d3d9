//! The pump: owns the main socket and the relay, and takes every datagram where it belongs.
//!
//! Forwarding happens here and in no other task, so handshakes and lists never hold it up. The
//! relay machine needs no lock: what the control task decides arrives as commands, and a batch is
//! judged and sent on from the buffer it was received in.

mod inlet;
mod outlet;

use std::io;
use std::sync::Arc;
use std::time::Instant;

use gimlet_net::path;
use gimlet_proto::frame::Frame;
use gimlet_proto::relay::runs::{Content, Run, runs};
use gimlet_proto::relay::{self, Action, Answer, Command, Relay};
use quinn::AsyncUdpSocket;
use quinn::udp::RecvMeta;
use tokio::sync::mpsc;
use tokio::time;

use crate::counters::Counters;
use crate::quic_socket::Datagram;
use crate::responder::Responder;
pub(crate) use inlet::Failures;
use inlet::Inlet;
pub(crate) use outlet::Outlet;

/// What the pump works with.
pub(crate) struct Pump {
    pub(crate) socket: Arc<dyn AsyncUdpSocket>,
    pub(crate) quic: mpsc::Sender<Datagram>,
    pub(crate) relay: Relay,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) events: mpsc::Sender<relay::Event>,
    pub(crate) responder: Responder,
    pub(crate) counters: Arc<Counters>,
}

impl Pump {
    /// Runs until the control task is gone, or receiving fails for good.
    pub(crate) async fn run(mut self) -> io::Result<()> {
        // Answers of the other sockets leave from this one too; a fresh one is not ready at once.
        path::writable(&self.socket).await?;
        let mut inlet = Inlet::new();
        let mut outlet = Outlet::new(self.socket.clone(), self.counters.clone());
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
                received = inlet.receive(&self.socket) => match received {
                    Ok(()) => {
                        failures = Failures::default();
                        let now = now();
                        for (batch, meta) in inlet.batches() {
                            self.take(batch, meta, &mut outlet, now).await;
                        }
                    }
                    Err(error) => failures.count(error, &self.counters)?,
                },
                () = due => self.relay.handle_timeout(now()),
            }
            self.drain(&mut outlet).await;
        }
    }

    async fn take(&mut self, batch: &[u8], meta: &RecvMeta, outlet: &mut Outlet, now: Instant) {
        if batch.is_empty() {
            self.counters.foreign_dropped.one();
        }
        for run in runs(batch, meta.stride) {
            match run.content {
                Content::Frames(frame) => self.relay(&frame, &run, meta, outlet, now).await,
                Content::Quic => self.hand_to_quinn(run.bytes, meta),
                Content::Stun => {
                    let answer = self
                        .responder
                        .answer(run.bytes, meta.addr, meta.dst_ip, now);
                    if let Some((to, answer)) = answer {
                        outlet.send(to, &answer, meta.dst_ip).await;
                    }
                }
                Content::Nothing => self.counters.foreign_dropped.one(),
            }
        }
    }

    async fn relay(
        &mut self,
        frame: &Frame<'_>,
        run: &Run<'_>,
        meta: &RecvMeta,
        outlet: &mut Outlet,
        now: Instant,
    ) {
        let segments = run.segments() as u64;
        match self.relay.handle(meta.addr, frame, run, now) {
            Action::Forward { to } => {
                self.counters.relayed_packets.add(segments);
                self.counters.relayed_bytes.add(run.bytes.len() as u64);
                outlet.forward(to, run, meta.ecn).await;
            }
            Action::Answer(answer) => {
                match answer {
                    Answer::Bound(_) => self.counters.relay_bound.one(),
                    Answer::Unknown(_) => self.counters.relay_unknown.one(),
                }
                outlet.send(meta.addr, answer.as_bytes(), meta.dst_ip).await;
            }
            Action::Held => self.counters.relay_held.add(segments),
            Action::Dropped(_) => self.counters.relay_dropped.add(segments),
        }
    }

    fn hand_to_quinn(&self, bytes: &[u8], meta: &RecvMeta) {
        let Ok(permit) = self.quic.try_reserve() else {
            return self.counters.quic_dropped.one();
        };
        self.counters.quic_received.one();
        permit.send(Datagram {
            source: meta.addr,
            destination: meta.dst_ip,
            ecn: meta.ecn,
            bytes: bytes.to_vec(),
        });
    }

    /// Sends what the relay let go of, and reports what it ended. An event that finds no room
    /// stays in the machine until the next turn.
    async fn drain(&mut self, outlet: &mut Outlet) {
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
