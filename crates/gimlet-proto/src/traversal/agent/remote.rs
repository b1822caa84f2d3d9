//! The other side: its credentials, and the pairs its candidates make.

use std::time::Instant;

use super::Agent;
use crate::candidate::{Candidate, CandidateKind, MAX_CANDIDATES, NatClass, is_sendable};
use crate::secret::Credentials;
use crate::stun::Seal;
use crate::traversal::config::{BURST, MAX_PAIRS, MAX_PEER_REFLEXIVE, PACE};
use crate::traversal::path::{Origin, Path, State};
use crate::traversal::rank::Rank;
use crate::traversal::{Event, Route, canonical};

/// What is known of the other side.
#[derive(Debug)]
pub(super) struct Remote {
    /// Makes our checks and verifies their answers.
    pub(super) seal: Seal,
    pub(super) fragment: [u8; 8],
    pub(super) nat: NatClass,
    /// How many candidates it announced, of any use or not.
    pub(super) announced: usize,
}

impl Agent {
    /// Takes the other side's credentials. Paths learned from checks that came before them stay if
    /// those checks were made with the same.
    pub(super) fn meet(&mut self, credentials: Credentials, nat: NatClass, now: Instant) {
        self.remote = Some(Remote {
            seal: Seal::new(&credentials, &self.credentials),
            fragment: credentials.fragment,
            nat,
            announced: 0,
        });
        self.outcome.times.remote_known = Some(self.elapsed(now));
        let foreign: Vec<_> = self
            .paths
            .values()
            .filter(|path| match path.origin {
                Origin::Learned { sender, .. } => sender != credentials.fragment,
                Origin::Relay | Origin::Announced(_) => false,
            })
            .map(|path| path.route)
            .collect();
        for route in foreign {
            self.remove(route);
        }
        self.check_relay(now);
    }

    /// Pairs candidates with the sockets that reach them.
    pub(super) fn add_candidates(&mut self, candidates: &[Candidate]) {
        for candidate in candidates {
            let Some(remote) = &mut self.remote else {
                return;
            };
            remote.announced = remote.announced.saturating_add(1);
            let addr = canonical(candidate.addr);
            let useful = remote.announced <= 2 * MAX_CANDIDATES
                && is_sendable(addr, self.config.allow_loopback);
            if !useful || !self.add_pairs(candidate.kind, addr) {
                let ignored = &mut self.outcome.counts.candidates_ignored;
                *ignored = ignored.saturating_add(1);
            }
        }
    }

    /// Whether any pair came of it.
    fn add_pairs(&mut self, kind: CandidateKind, remote: std::net::SocketAddr) -> bool {
        let origin = Origin::Announced(kind);
        let rank = Rank::of(kind, remote, &self.local);
        let mut added = false;
        for (socket, family) in self.sockets.clone() {
            if !family.reaches(remote) {
                continue;
            }
            let route = Route::Direct { socket, remote };
            let full = self.paths.len() > MAX_PAIRS;
            match self.paths.get_mut(&route) {
                // What a check taught before its announcement came now has a better name.
                Some(path) => {
                    added |= matches!(path.origin, Origin::Learned { .. });
                    if matches!(path.origin, Origin::Learned { .. }) || rank < path.rank {
                        path.origin = origin;
                        path.rank = rank;
                    }
                }
                None if full => (),
                None => {
                    self.paths.insert(route, Path::new(route, origin, rank));
                    added = true;
                }
            }
        }
        added
    }

    /// Adds the path that a valid check came over. At the limit the oldest of its kind that is of no
    /// use makes room; `false` if there is none.
    pub(super) fn learn(&mut self, route: Route, sender: [u8; 8], now: Instant) -> bool {
        let Route::Direct { socket, remote } = route else {
            return false;
        };
        let learned = |path: &&Path| matches!(path.origin, Origin::Learned { .. });
        let full = self.paths.values().filter(learned).count() >= MAX_PEER_REFLEXIVE
            || self.paths.len() > MAX_PAIRS;
        if full {
            let oldest = self
                .paths
                .values()
                .filter(|path| {
                    !path.is_usable()
                        && path.route != self.selected
                        && self.lead.nominated() != Some(path.route)
                })
                .filter_map(|path| match path.origin {
                    Origin::Learned { at, .. } => Some((at, path.route)),
                    Origin::Relay | Origin::Announced(_) => None,
                })
                .min();
            let Some((_, oldest)) = oldest else {
                return false;
            };
            self.remove(oldest);
        }
        let rank = Rank::of(CandidateKind::PeerReflexive, remote, &self.local);
        let origin = Origin::Learned { at: now, sender };
        let mut path = Path::new(route, origin, rank);
        path.found_by = self.search.strategy_of(socket, remote);
        self.paths.insert(route, path);
        true
    }

    pub(super) fn remove(&mut self, route: Route) {
        let removed = self.paths.remove(&route);
        if let (Some(path), Route::Direct { socket, remote }) = (removed, route)
            && path.allowed
        {
            self.push_event(Event::Disallowed { socket, remote });
        }
    }

    /// Begins the best of the waiting pairs at once, and leaves the rest to the pacer. Pairs that a
    /// check already came over go first: their NATs are open.
    pub(super) fn burst(&mut self, now: Instant) {
        if self.remote.is_none() || self.pacer_at.is_some() {
            return;
        }
        if let Some(until) = self.hold_until.filter(|&until| until > now) {
            self.pacer_at = Some(until);
            return;
        }
        for _ in 0..BURST {
            self.begin_next(now);
        }
        self.arm_pacer(now);
    }

    /// Begins the next waiting pair when it is time.
    pub(super) fn pace(&mut self, now: Instant) {
        if self.pacer_at.is_some_and(|at| at <= now) {
            if self.hold_until.is_some() {
                return self.end_hold(now);
            }
            self.begin_next(now);
            self.arm_pacer(now);
        }
    }

    /// Lets go of what was held back, at its time or because the other side has begun.
    pub(super) fn end_hold(&mut self, now: Instant) {
        if self.hold_until.take().is_some() {
            self.pacer_at = None;
            self.burst(now);
        }
    }

    fn arm_pacer(&mut self, now: Instant) {
        let waiting = self.paths.values().any(|p| p.state == State::Waiting);
        self.pacer_at = waiting.then(|| now + PACE);
    }

    fn begin_next(&mut self, now: Instant) {
        let next = self
            .paths
            .values_mut()
            .filter(|path| path.state == State::Waiting)
            .min_by_key(|path| (path.requests == 0, path.rank, path.route));
        if let Some(path) = next {
            path.start(self.config.first_retry, now);
            let route = path.route;
            self.step(route, now);
        }
    }
}
