//! Starting the pumps, each on its seat.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use gimlet_proto::relay::{self, Command, Relay};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::counters::Counters;
use crate::pump::{self, Annexes, Follower, Pump, Seat};
use crate::quic_socket::Inbox;
use crate::responder::Responder;
use crate::sockets::Sockets;

/// What they work with.
pub(super) struct Pumps {
    pub(super) sockets: Sockets,
    /// In the order of the sockets; who has none runs here.
    pub(super) seats: VecDeque<Seat>,
    /// Where the main sockets are.
    pub(super) local: SocketAddr,
    pub(super) quic: Inbox,
    pub(super) relay: Relay,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) events: mpsc::Sender<relay::Event>,
    pub(super) responder: Responder,
    pub(super) counters: Arc<Counters>,
}

impl Pumps {
    /// Starts one for each main socket.
    pub(super) fn start(mut self, tasks: &mut JoinSet<io::Result<()>>, now: Instant) {
        let is_real = !self.sockets.drops.is_empty();
        let local = is_real.then_some(self.local);
        let main_seat = self.next_seat();
        let (hand, asides) = pump::asides();
        let mut followers = Vec::new();
        for socket in std::mem::take(&mut self.sockets.shards) {
            let (told, updates) = mpsc::channel(pump::UPDATES);
            followers.push(told);
            let follower = Follower {
                socket,
                annexes: Annexes::new(local, self.counters.clone()),
                quic: self.quic.clone(),
                lane: self.relay.lane(now),
                updates,
                hand: hand.clone(),
                counters: self.counters.clone(),
            };
            self.next_seat().run(tasks, follower.run());
        }
        if is_real {
            let drops = self.sockets.drops;
            tasks.spawn(pump::overflow::watch(drops, self.counters.clone()));
        }
        let pump = Pump {
            socket: self.sockets.main,
            annexes: Annexes::new(local, self.counters.clone()),
            quic: self.quic,
            relay: self.relay,
            commands: self.commands,
            events: self.events,
            responder: self.responder,
            counters: self.counters,
            asides,
            followers,
        };
        main_seat.run(tasks, pump.run());
    }

    fn next_seat(&mut self) -> Seat {
        self.seats.pop_front().unwrap_or_else(Seat::here)
    }
}
