//! What every pump does by itself: forward data of bound sides, and hand QUIC to quinn.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use gimlet_proto::relay::runs::{Content, Run};
use gimlet_proto::relay::{Action, Dropped, Lane};
use quinn::udp::EcnCodepoint;

use super::inlet::Inlet;
use super::plan::Plan;
use crate::counters::Counters;
use crate::quic_socket::{Datagram, Inbox};

/// Where a run came from, and where it lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    pub(super) source: SocketAddr,
    /// The address it was sent to.
    pub(super) here: Option<IpAddr>,
    pub(super) ecn: Option<EcnCodepoint>,
    /// Its first byte, counted from that of the inlet's memory.
    pub(super) at: usize,
    /// Bytes free behind it; 0 if something else lies there.
    pub(super) room: usize,
}

/// Who has to look at a run.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wants {
    /// Nobody else: it is done, planned or dropped.
    Nothing,
    /// The pump that has relay and responder.
    Relay,
}

pub(super) struct Shard {
    pub(super) lane: Lane,
    quic: Inbox,
    counters: Arc<Counters>,
    /// Packets and bytes of this turn: shards would take the counters' cache line from each other
    /// with every run.
    relayed: (u64, u64),
    /// What the system had dropped when it was last looked at.
    overflowed: u64,
}

impl Shard {
    pub(super) fn new(lane: Lane, quic: Inbox, counters: Arc<Counters>) -> Self {
        Self {
            lane,
            quic,
            counters,
            relayed: (0, 0),
            overflowed: 0,
        }
    }

    /// A receive call brought something.
    pub(super) fn begin(&mut self, inlet: &Inlet, now: Instant) {
        let overflowed = self.counters.receive_overflowed.value();
        if std::mem::replace(&mut self.overflowed, overflowed) != overflowed {
            self.lane.overflowed();
        }
        match inlet.queue() {
            None => self.lane.received(inlet.is_dry(), now),
            Some(_) => self.lane.received_own(),
        }
    }

    /// All of it was looked at.
    pub(super) fn end(&mut self) {
        let (packets, bytes) = std::mem::take(&mut self.relayed);
        if packets > 0 {
            self.counters.relayed_packets.add(packets);
            self.counters.relayed_bytes.add(bytes);
        }
    }

    pub(super) fn take(
        &mut self,
        origin: &Origin,
        run: &Run<'_>,
        plan: &mut Plan,
        now: Instant,
    ) -> Wants {
        let frame = match run.content {
            Content::Frames(frame) => frame,
            Content::Stun => return Wants::Relay,
            Content::Quic => return self.hand_to_quinn(origin, run.bytes),
            Content::Nothing => {
                self.counters.foreign_dropped.one();
                return Wants::Nothing;
            }
        };
        let segments = run.segments() as u64;
        match self.lane.handle(origin.source, &frame, run, now) {
            Some(Action::Forward { to }) => {
                self.relayed.0 += segments;
                self.relayed.1 += run.bytes.len() as u64;
                plan.push(to, origin, run);
            }
            Some(Action::Dropped(Dropped::Throttled(_))) => {
                self.counters.relay_throttled.add(segments);
            }
            Some(Action::Dropped(_)) => self.counters.relay_dropped.add(segments),
            // A lane does neither of the first two.
            Some(Action::Answer(_) | Action::Held) | None => return Wants::Relay,
        }
        Wants::Nothing
    }

    fn hand_to_quinn(&self, origin: &Origin, bytes: &[u8]) -> Wants {
        match self.quic.place_for(bytes) {
            None => self.counters.quic_dropped.one(),
            Some(place) => {
                self.counters.quic_received.one();
                place.send(Datagram {
                    source: origin.source,
                    destination: origin.here,
                    ecn: origin.ecn,
                    bytes: bytes.to_vec(),
                });
            }
        }
        Wants::Nothing
    }
}
