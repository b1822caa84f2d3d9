//! Runs the prober of `gimlet_proto::nat`: its datagrams through our sockets and fresh ones, its report
//! to whoever wants to know. After it, in the background, how long mappings live.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use gimlet_net::path;
use gimlet_proto::nat::{Event, Lifetime, Plan, Prober, Report, Slot, Transmit};
use gimlet_proto::traversal::{Family, PortKnowledge, SocketId};
use quinn::AsyncUdpSocket;

use super::{Command, Engine, now};
use crate::endpoint::NetReport;

/// Which machine a fresh socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Run {
    /// The prober of this round.
    Probe(u32),
    /// The lifetime measurement of this round.
    Lifetime(u32),
}

/// What opening a machine's sockets came to.
pub(crate) type Opened = Vec<(u8, Option<Arc<dyn AsyncUdpSocket>>)>;

/// See the [module docs](self).
#[derive(Debug, Default)]
pub(super) struct Discovery {
    /// Counts starts, so that sockets opened for an earlier round are let go.
    round: u32,
    started_at: Option<Instant>,
    prober: Option<Prober>,
    lifetime: Option<Lifetime>,
    probing: BTreeMap<u8, SocketId>,
    waiting: BTreeMap<u8, SocketId>,
}

impl Discovery {
    /// Where servers see our own sockets.
    pub(super) fn mapped(&self) -> Vec<(SocketId, SocketAddr)> {
        self.prober.as_ref().map(Prober::mapped).unwrap_or_default()
    }

    /// How our NAT gives out ports, besides its class.
    pub(super) fn port_knowledge(&self) -> PortKnowledge {
        let report = self.prober.as_ref().map(Prober::report);
        PortKnowledge {
            step: report.and_then(|report| report.step),
            block: report.and_then(|report| report.block),
            exact: report.is_some_and(|report| report.two_addresses),
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let prober = self.prober.as_ref().and_then(Prober::poll_timeout);
        let lifetime = self.lifetime.as_ref().and_then(Lifetime::poll_timeout);
        prober.into_iter().chain(lifetime).min()
    }

    fn sockets(&mut self, run: Run) -> &mut BTreeMap<u8, SocketId> {
        match run {
            Run::Probe(_) => &mut self.probing,
            Run::Lifetime(_) => &mut self.waiting,
        }
    }

    fn is_current(&self, run: Run) -> bool {
        match run {
            Run::Probe(round) => round == self.round && self.prober.is_some(),
            Run::Lifetime(round) => round == self.round && self.lifetime.is_some(),
        }
    }
}

impl Engine {
    /// Asks these servers how we are seen and how the NAT behaves, unless that is being done. Each
    /// family's first is the main one. What was known before is forgotten.
    pub(super) fn discover(&mut self, targets: Vec<(SocketId, SocketAddr)>) {
        if self.asked == targets && self.discovery.prober.is_some() {
            return;
        }
        self.asked.clone_from(&targets);
        self.close_discovery();
        let now = now();
        let plan = Plan {
            targets,
            local: self.local_addrs(),
            fresh: true,
            allow_loopback: self.allow_loopback(),
        };
        let discovery = &mut self.discovery;
        discovery.round = discovery.round.wrapping_add(1);
        discovery.started_at = Some(now);
        discovery.prober = Some(Prober::new(plan, rand::random(), now));
        self.drive_discovery();
        // What needs no answer can be told at once.
        self.announce_candidates();
    }

    /// Asks everything anew: this host may be somewhere else.
    pub(super) fn discover_again(&mut self) {
        // Without servers there is nobody to ask, or not yet.
        if !self.asked.is_empty() {
            let targets = std::mem::take(&mut self.asked);
            self.discover(targets);
        }
    }

    /// Feeds a datagram; `false` when it is nothing to a prober.
    pub(super) fn handle_discovery(
        &mut self,
        socket: SocketId,
        remote: SocketAddr,
        datagram: &[u8],
        now: Instant,
    ) -> bool {
        let discovery = &mut self.discovery;
        let slot_of = |sockets: &BTreeMap<u8, SocketId>| {
            let found = sockets.iter().find(|(_, id)| **id == socket);
            found.map(|(&slot, _)| slot)
        };
        let slot = match (slot_of(&discovery.probing), slot_of(&discovery.waiting)) {
            (Some(slot), _) => Slot::Fresh(slot),
            (None, Some(slot)) => {
                if let Some(lifetime) = &mut discovery.lifetime {
                    lifetime.handle_datagram(slot, remote, datagram, now);
                }
                self.drive_discovery();
                return true;
            }
            (None, None) => Slot::Own(socket),
        };
        let known = match &mut discovery.prober {
            Some(prober) => prober.handle_datagram(slot, remote, datagram, now),
            None => false,
        };
        if known {
            self.drive_discovery();
            // Also what the report does not name: another port seen by another server.
            self.announce_candidates();
        }
        known
    }

    pub(super) fn handle_discovery_timeout(&mut self, now: Instant) {
        if self.discovery.poll_timeout().is_none_or(|at| now < at) {
            return;
        }
        if let Some(prober) = &mut self.discovery.prober {
            prober.handle_timeout(now);
        }
        if let Some(lifetime) = &mut self.discovery.lifetime {
            lifetime.handle_timeout(now);
        }
        self.drive_discovery();
    }

    /// Sockets asked for are open, as far as they could be.
    pub(super) fn discovery_opened(&mut self, run: Run, opened: Opened) {
        if !self.discovery.is_current(run) {
            return;
        }
        let now = now();
        for (slot, socket) in opened {
            let port = socket.as_ref().and_then(|socket| socket.local_addr().ok());
            let attached = socket.and_then(|socket| self.shared.socket.attach(socket));
            if let Some(id) = attached {
                self.discovery.sockets(run).insert(slot, id);
            }
            let port = port.filter(|_| attached.is_some()).map(|addr| addr.port());
            match (run, port) {
                (Run::Probe(_), port) => {
                    if let Some(prober) = &mut self.discovery.prober {
                        match port {
                            Some(port) => prober.handle_opened(slot, port, now),
                            None => prober.handle_open_failed(slot, now),
                        }
                    }
                }
                (Run::Lifetime(_), port) => {
                    if let Some(lifetime) = &mut self.discovery.lifetime {
                        match port {
                            Some(_) => lifetime.handle_opened(slot, now),
                            None => lifetime.handle_open_failed(slot, now),
                        }
                    }
                }
            }
        }
        self.drive_discovery();
    }

    /// Closes the fresh sockets.
    pub(super) fn close_discovery(&mut self) {
        let discovery = &mut self.discovery;
        let probing = std::mem::take(&mut discovery.probing);
        let waiting = std::mem::take(&mut discovery.waiting);
        discovery.lifetime = None;
        for id in probing.into_values().chain(waiting.into_values()) {
            self.shared.socket.detach(id);
        }
    }

    fn drive_discovery(&mut self) {
        let round = self.discovery.round;
        let (mut changed, mut ended) = (false, false);
        let mut events = Vec::new();
        if let Some(prober) = &mut self.discovery.prober {
            while let Some(event) = prober.poll_event() {
                changed |= matches!(event, Event::Changed | Event::Settled);
                ended |= event == Event::Finished;
                events.push(event);
            }
        }
        self.apply_discovery(Run::Probe(round), &events);
        if let Some(prober) = &mut self.discovery.prober {
            let transmits: Vec<_> = std::iter::from_fn(|| prober.poll_transmit()).collect();
            self.send_discovery(Run::Probe(round), transmits);
        }
        if ended {
            self.measure_lifetime();
        }
        if changed {
            self.publish_discovery();
        }
        self.drive_lifetime();
    }

    fn drive_lifetime(&mut self) {
        let run = Run::Lifetime(self.discovery.round);
        let Some(lifetime) = &mut self.discovery.lifetime else {
            return;
        };
        let events: Vec<_> = std::iter::from_fn(|| lifetime.poll_event()).collect();
        let transmits: Vec<_> = std::iter::from_fn(|| lifetime.poll_transmit()).collect();
        let found = lifetime.lifetime();
        self.send_discovery(run, transmits);
        self.apply_discovery(run, &events);
        if events.contains(&Event::Finished) {
            self.discovery.lifetime = None;
            tracing::debug!(lifetime = ?found, "mapping lifetime");
            self.mappings_live(found);
            self.shared.report.send_if_modified(|report| {
                let Some(report) = report else { return false };
                report.details.lifetime = found;
                found.is_some()
            });
        }
    }

    /// Opens and closes what a machine wants opened and closed.
    fn apply_discovery(&mut self, run: Run, events: &[Event]) {
        let mut wanted = Vec::new();
        for event in events {
            match *event {
                Event::Open { slot, v6 } => wanted.push((slot, v6)),
                Event::Close { slot } => {
                    if let Some(id) = self.discovery.sockets(run).remove(&slot) {
                        self.shared.socket.detach(id);
                    }
                }
                Event::Changed | Event::Settled | Event::Finished => (),
            }
        }
        if wanted.is_empty() {
            return;
        }
        let (shared, commands) = (self.shared.clone(), self.commands.clone());
        tokio::spawn(async move {
            let mut opened = Opened::new();
            for (slot, v6) in wanted {
                let family = if v6 { Family::V6 } else { Family::V4 };
                let socket = match shared.network.open(family) {
                    Ok(socket) if path::writable(&socket).await.is_ok() => Some(socket),
                    Ok(_) | Err(_) => None,
                };
                opened.push((slot, socket));
            }
            if let Some(commands) = commands.upgrade() {
                // Gone with the endpoint.
                let _ = commands
                    .send(Command::DiscoveryOpened { run, opened })
                    .await;
            }
        });
    }

    fn send_discovery(&self, run: Run, transmits: Vec<Transmit>) {
        let fresh = match run {
            Run::Probe(_) => &self.discovery.probing,
            Run::Lifetime(_) => &self.discovery.waiting,
        };
        for transmit in transmits {
            let socket = match transmit.slot {
                Slot::Own(socket) => Some(socket),
                Slot::Fresh(slot) => fresh.get(&slot).copied(),
            };
            if let Some(socket) = socket {
                let paths = &self.shared.socket;
                paths.send_plain(socket, transmit.remote, &transmit.payload);
            }
        }
    }

    /// Background work for endpoints that stay: peers may dial them at any time.
    fn measure_lifetime(&mut self) {
        let Some(prober) = &self.discovery.prober else {
            return;
        };
        let v4 = prober
            .plan()
            .targets
            .iter()
            .find(|(_, addr)| addr.is_ipv4());
        let worthwhile = prober.report().translated == Some(true) && !self.shared.alpns.is_empty();
        if let (Some(&(_, server)), true) = (v4, worthwhile) {
            self.discovery.lifetime = Some(Lifetime::new(server, rand::random()));
        }
    }

    /// Candidates as soon as they are known; the class when our own sockets are done and when the
    /// report is settled, so that peers and server are not told of every step between.
    fn publish_discovery(&mut self) {
        let Some(prober) = &self.discovery.prober else {
            return;
        };
        let (settled, mapped) = (prober.is_settled(), prober.is_mapped());
        let details = prober.report().clone();
        let nat = details.class;
        if settled {
            self.publish_report(details);
        }
        if settled || (mapped && !self.has_class()) {
            self.shared
                .nat
                .send_if_modified(|known| std::mem::replace(known, nat) != nat);
        }
        self.announce_candidates();
    }

    fn has_class(&self) -> bool {
        self.shared.nat.borrow().mapping.is_some()
    }

    fn publish_report(&self, details: Report) {
        let started_at = self.discovery.started_at;
        let report = NetReport {
            reflexive_v4: details.reflexive_v4,
            reflexive_v6: details.reflexive_v6,
            local: self
                .local_addrs()
                .into_iter()
                .map(|(_, addr)| addr)
                .collect(),
            nat: details.class,
            elapsed: started_at
                .map(|at| now().saturating_duration_since(at))
                .unwrap_or_default(),
            details,
        };
        self.shared.report.send_replace(Some(report));
    }
}
