//! What the engine does when this host's place in the network changes, and how it notices.
//!
//! Signs of a change: the network says so (addresses, routes, waking up); a server sees one of our
//! sockets elsewhere than before; what flowed stops; the system refuses to send. The first two mean a
//! move: everything is gathered, bound and checked anew. The others are doubts: what would show a
//! move is asked at once.
//!
//! **Invariant:** nothing that works is given up here. Agents doubt the path in use and keep it if it
//! answers; relay legs stay up while they bind again.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use gimlet_net::virtual_addr::VirtualAddr;
use gimlet_net::watch::Changes;
use gimlet_proto::traversal::{Route, SocketId};

use super::Engine;
use super::lookout::{Lookout, Seen};

/// Shortest time between two moves. A change of network comes as a burst of news, and a server that
/// lies about where it sees us must not keep us busy.
const SETTLE: Duration = Duration::from_millis(500);

/// Shortest time between two rounds of questions to the server.
const DOUBT: Duration = Duration::from_secs(1);

/// How often flows are looked at, while anything flows.
const PULSE: Duration = Duration::from_millis(100);

/// Silence, besides a quarter of a round trip, after which a flow counts as stopped and its path is
/// asked: the side that only receives sends nothing of its own, so behind a router that forgot its
/// mapping nobody else can find out. Each end of a transfer costs a check for it, and on a long way
/// each pause for an answer. A whole round trip would come on top of the one that the check takes.
const STOPPED: Duration = Duration::from_millis(200);

/// Silence after which a flow is over. Longer than what [`Report::Flowing`] takes for a silence, so that
/// none begins unseen.
///
/// [`Report::Flowing`]: gimlet_net::path::Report::Flowing
const OVER: Duration = Duration::from_secs(3);

/// Gap between keep-alives until a NAT's patience is known: half of 30 s, the shortest to plan for.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// Bounds of that gap. More often would cost battery for NATs that hardly exist; less often, and a
/// mapping that has moved is found out too late.
const KEEPALIVE_BOUNDS: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(25));

/// How often mappings must be refreshed that a NAT forgets after `lifetime`: twice in it, so that one
/// refresh may be lost.
fn keepalive(lifetime: Option<Duration>) -> Duration {
    lifetime.map_or(KEEPALIVE, |lifetime| {
        (lifetime / 2).clamp(KEEPALIVE_BOUNDS.0, KEEPALIVE_BOUNDS.1)
    })
}

/// What the engine keeps of its own place in the network.
#[derive(Debug)]
pub(super) struct Movement {
    lookout: Lookout,
    keepalive: Duration,
    /// What the system told last.
    told: Changes,
    /// The host's addresses at that time.
    addresses: Vec<IpAddr>,
    moved_at: Option<Instant>,
    /// Moves again then: more happened while the last one settled.
    again_at: Option<Instant>,
    doubted_at: Option<Instant>,
    /// Looks at flows then; `None` while nothing flows.
    pulse_at: Option<Instant>,
}

impl Movement {
    /// At a host with these addresses.
    pub(super) fn new(told: Changes, addresses: Vec<IpAddr>) -> Self {
        Self {
            lookout: Lookout::new(KEEPALIVE),
            keepalive: KEEPALIVE,
            told,
            addresses,
            moved_at: None,
            again_at: None,
            doubted_at: None,
            pulse_at: None,
        }
    }

    /// Gap between keep-alives of every kind.
    pub(super) fn keepalive(&self) -> Duration {
        self.keepalive
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let lookout = self.lookout.poll_timeout();
        [self.again_at, self.pulse_at, lookout]
            .into_iter()
            .flatten()
            .min()
    }
}

impl Engine {
    /// This host is somewhere else, or was away: begins everything anew, without giving up what works.
    pub(super) fn moved(&mut self, why: &'static str, now: Instant) {
        if let Some(last) = self.movement.moved_at.filter(|&last| now < last + SETTLE) {
            self.movement.again_at = Some(last + SETTLE);
            return;
        }
        tracing::info!(why, "network changed");
        self.movement.moved_at = Some(now);
        self.movement.again_at = None;
        // Servers will say where they see us now; what they said before may be somebody else's.
        self.observed = None;
        self.servers.forget_seen(now);
        self.movement.lookout.restart(now);
        self.drive_lookout(now);
        self.control.moved();
        self.renew_port_map();
        self.gather_again();
        self.each_entry(|entry| {
            entry.session.leg.verify(now);
            entry.session.agent.restart(now);
        });
    }

    /// The system tells of a change. Other interfaces than those we can be reached at come and go, too:
    /// with the same addresses as before, what works is doubted but not begun anew.
    pub(super) fn handle_changes(&mut self, changes: Changes, now: Instant) {
        let before = std::mem::replace(&mut self.movement.told, changes);
        let addresses = (self.shared.network.addresses)(false);
        let same = std::mem::replace(&mut self.movement.addresses, addresses.clone()) == addresses;
        if before.wakes != changes.wakes {
            self.moved("the host woke up", now);
        } else if same {
            self.each_entry(|entry| {
                let selected = entry.session.agent.selected();
                entry.session.agent.handle_suspect(selected, now);
                entry.session.leg.verify(now);
            });
            self.doubt(now);
        } else {
            self.moved("the host's addresses are others", now);
        }
    }

    /// Asks for everything that a move changes. Peers are told also when nothing did: they check our
    /// addresses again.
    fn gather_again(&mut self) {
        self.announced = Default::default();
        self.discover_again();
    }

    /// Something that worked is silent: finds out at once whether we have moved.
    pub(super) fn doubt(&mut self, now: Instant) {
        if let Some(last) = self.movement.doubted_at
            && now < last + DOUBT
        {
            return;
        }
        self.movement.doubted_at = Some(now);
        self.movement.lookout.hurry(now);
        self.drive_lookout(now);
    }

    /// A path is silent or refuses to send: its leg of the relay will be needed.
    pub(super) fn doubt_entry(&mut self, addr: VirtualAddr, now: Instant) {
        self.with_entry(addr, |entry| entry.session.leg.verify(now));
        self.doubt(now);
    }

    /// Watches a socket's mapping from this server on.
    pub(super) fn watch_mapping(&mut self, socket: SocketId, server: SocketAddr, now: Instant) {
        self.movement.lookout.watch((socket, server), now);
        self.drive_lookout(now);
    }

    /// An answer to the lookout; `false` when it is none.
    pub(super) fn handle_lookout(
        &mut self,
        socket: SocketId,
        remote: SocketAddr,
        datagram: &[u8],
        now: Instant,
    ) -> bool {
        let lookout = &mut self.movement.lookout;
        let Some(seen) = lookout.handle_datagram(socket, remote, datagram, now) else {
            return false;
        };
        if seen == Seen::Moved {
            self.moved("a server sees us elsewhere", now);
        }
        true
    }

    fn drive_lookout(&mut self, now: Instant) {
        let lookout = &mut self.movement.lookout;
        lookout.handle_timeout(&mut rand::random, now);
        while let Some(((socket, remote), request)) = lookout.poll_transmit() {
            self.shared.socket.send_plain(socket, remote, &request);
        }
    }

    /// How long NATs on the way keep a mapping, once that is known.
    pub(super) fn mappings_live(&mut self, lifetime: Option<Duration>) {
        let interval = keepalive(lifetime);
        if interval != self.movement.keepalive {
            tracing::debug!(?interval, "keep-alive interval");
            self.movement.keepalive = interval;
            self.movement.lookout.set_interval(interval);
            for entry in self.entries.values_mut() {
                entry.session.set_keepalive(interval);
            }
        }
    }

    /// Something flows that did not: looks from now on whether it stops.
    pub(super) fn flowing(&mut self, now: Instant) {
        self.movement.pulse_at.get_or_insert(now + PULSE);
    }

    pub(super) fn handle_movement_timeout(&mut self, now: Instant) {
        self.drive_lookout(now);
        if self.movement.again_at.is_some_and(|at| at <= now) {
            self.moved("more news since", now);
        }
        if self.movement.pulse_at.is_some_and(|at| at <= now) {
            self.pulse(now);
        }
    }

    /// Looks at every flow, and asks the paths of those that stopped.
    fn pulse(&mut self, now: Instant) {
        let mut any = false;
        let mut stopped = Vec::new();
        for (&addr, entry) in &mut self.entries {
            let (socket, link) = (&self.shared.socket, &entry.peer.link);
            let recent = |at: Instant| now.saturating_duration_since(at) < OVER;
            let flows = [socket.sent_at(link), socket.flowed_at(link)];
            any |= flows.into_iter().flatten().any(recent);
            entry.beat.tick(socket.came_at(link));
            let rtt = entry.session.agent.rtt(entry.session.agent.selected());
            let silence = STOPPED + rtt.unwrap_or_default() / 4;
            // Acknowledgements came all the time: none is a sign before a round trip is over.
            let unanswered = socket.unanswered_for(link);
            if unanswered.is_some_and(|time| time >= silence) && entry.beat.is_missed() {
                stopped.push(addr);
                continue;
            }
            if socket.is_overdue(link) {
                stopped.push(addr);
                continue;
            }
            let Some(flowed_at) = socket.flowed_at(link) else {
                continue;
            };
            let stopped_for = now.saturating_duration_since(flowed_at);
            if stopped_for >= silence && stopped_for < OVER && entry.stopped_at != Some(flowed_at) {
                entry.stopped_at = Some(flowed_at);
                stopped.push(addr);
            }
        }
        for &addr in &stopped {
            let mut relayed_by = None;
            self.with_entry(addr, |entry| {
                let route = entry.session.agent.selected();
                relayed_by = entry.session.home.filter(|_| route == Route::Relay);
                tracing::debug!(peer = %entry.peer.id.short(), ?route, "a flow stopped");
                entry.session.agent.handle_suspect(route, now);
                entry.session.leg.verify(now);
            });
            self.doubt_server(relayed_by, now);
        }
        if !stopped.is_empty() {
            self.doubt(now);
        }
        self.movement.pulse_at = any.then(|| now + PULSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keepalives_fit_twice_into_a_mappings_life_within_bounds() {
        for (lifetime_s, interval_ms) in [(2, 5000), (20, 10_000), (30, 15_000), (180, 25_000)] {
            let lifetime = Duration::from_secs(lifetime_s);
            let interval = Duration::from_millis(interval_ms);
            assert_eq!(keepalive(Some(lifetime)), interval, "{lifetime:?}");
        }
        assert_eq!(keepalive(None), KEEPALIVE);
    }
}
