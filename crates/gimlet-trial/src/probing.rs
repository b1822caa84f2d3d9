//! Before anybody dials: both sides find out about their NATs, as endpoints do when they come online.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use gimlet_proto::nat::{Event, Plan, Prober, Slot, Transmit};
use gimlet_proto::stun::{Vantage, answer_discovery};
use gimlet_proto::traversal::SocketId;
use gimlet_sim::{Delivery, Rng};

use crate::layout::{SERVER_IPS, STUN_PORTS, stun_servers};
use crate::peer::{ACCEPTOR, DIALER};
use crate::world::World;

/// A prober ends by itself after 1.5 s; this is for what it may still have under way.
const PATIENCE: Duration = Duration::from_secs(3);

/// A side's prober and the sockets it has opened.
#[derive(Debug)]
pub(crate) struct Probing {
    prober: Prober,
    slots: BTreeMap<u8, SocketId>,
    finished: bool,
}

impl Probing {
    pub(crate) fn next_at(&self) -> Option<std::time::Instant> {
        self.prober.poll_timeout().filter(|_| !self.finished)
    }

    fn slot_of(&self, socket: SocketId) -> Slot {
        let fresh = self.slots.iter().find(|(_, id)| **id == socket);
        fresh.map_or(Slot::Own(socket), |(slot, _)| Slot::Fresh(*slot))
    }
}

impl World {
    /// Lets both sides probe, and tells them what came of it.
    pub(crate) fn probe(&mut self, dice: &mut Rng) {
        for who in [DIALER, ACCEPTOR] {
            let own = SocketId(0);
            let plan = Plan {
                targets: stun_servers().map(|server| (own, server)).to_vec(),
                local: self.peers[who]
                    .address_of(own)
                    .map(|addr| (own, addr))
                    .into_iter()
                    .collect(),
                fresh: true,
                allow_loopback: false,
            };
            let mut seed = [0; 32];
            seed[..8].copy_from_slice(&dice.next_u64().to_be_bytes());
            self.peers[who].probing = Some(Probing {
                prober: Prober::new(plan, seed, self.now),
                slots: BTreeMap::new(),
                finished: false,
            });
            self.drive_prober(who);
        }
        self.run_until(self.now + PATIENCE, |world| {
            let finished = |p: &Probing| p.finished;
            world
                .peers
                .iter()
                .all(|peer| peer.probing.as_ref().is_none_or(finished))
        });
        for peer in &mut self.peers {
            if let Some(Probing { prober, slots, .. }) = peer.probing.take() {
                peer.close_sockets(&slots.into_values().collect::<Vec<_>>());
                peer.learn(prober.report());
            }
        }
    }

    /// Feeds a datagram to a side's prober; false if there is none, or it is nothing to it.
    pub(crate) fn take_probe(
        &mut self,
        who: usize,
        socket: SocketId,
        remote: SocketAddr,
        datagram: &[u8],
    ) -> bool {
        let now = self.now;
        let Some(probing) = &mut self.peers[who].probing else {
            return false;
        };
        let slot = probing.slot_of(socket);
        let taken = probing.prober.handle_datagram(slot, remote, datagram, now);
        self.drive_prober(who);
        taken
    }

    /// Tells a prober the time, if it waits for it.
    pub(crate) fn tick_prober(&mut self, who: usize) {
        let now = self.now;
        if let Some(probing) = &mut self.peers[who].probing
            && probing.next_at().is_some_and(|at| at <= now)
        {
            probing.prober.handle_timeout(now);
            self.drive_prober(who);
        }
    }

    /// Does what a prober wants done.
    fn drive_prober(&mut self, who: usize) {
        let now = self.now;
        loop {
            let peer = &mut self.peers[who];
            let Some(probing) = &mut peer.probing else {
                return;
            };
            if let Some(Transmit {
                slot,
                remote,
                payload,
            }) = probing.prober.poll_transmit()
            {
                let socket = match slot {
                    Slot::Own(socket) => Some(socket),
                    Slot::Fresh(slot) => probing.slots.get(&slot).copied(),
                };
                if let Some(socket) = socket {
                    self.send(who, socket, remote, payload);
                }
                continue;
            }
            match probing.prober.poll_event() {
                Some(Event::Open { slot, .. }) => {
                    let id = peer.open_socket();
                    let port = peer.port_of(id).unwrap_or_default();
                    if let Some(probing) = &mut peer.probing {
                        probing.slots.insert(slot, id);
                        probing.prober.handle_opened(slot, port, now);
                    }
                }
                Some(Event::Close { slot }) => {
                    if let Some(id) = probing.slots.remove(&slot) {
                        peer.close_sockets(&[id]);
                    }
                }
                Some(Event::Finished) => probing.finished = true,
                Some(Event::Changed | Event::Settled) => (),
                None => return,
            }
        }
    }

    /// Answers STUN as the server does, from the port and address that are asked for.
    pub(crate) fn serve(&mut self, delivery: &Delivery) {
        let Delivery { src, dst, .. } = *delivery;
        let other_ip = SERVER_IPS[usize::from(dst.ip() == SERVER_IPS[0])];
        let ip = (self.server_addresses > 1).then_some(other_ip);
        let port = STUN_PORTS[usize::from(dst.port() == STUN_PORTS[0])];
        let vantage = Vantage {
            here: Some(dst),
            other_ip: ip,
            other_port: Some(port),
        };
        if let Some(reply) = answer_discovery(&delivery.payload, src, &vantage) {
            let from = SocketAddr::new(
                ip.filter(|_| reply.from.ip).unwrap_or(dst.ip()),
                if reply.from.port { port } else { dst.port() },
            );
            self.answer(from, reply.to, reply.bytes);
        }
    }
}
