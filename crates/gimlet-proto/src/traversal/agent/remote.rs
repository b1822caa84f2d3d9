//! The other side: its credentials, and the pairs its candidates make.

use std::net::SocketAddr;
use std::time::Instant;

use super::Agent;
use crate::candidate::{Candidate, CandidateKind, NatClass, is_sendable};
use crate::secret::Credentials;
use crate::stun::Seal;
use crate::traversal::budget::Budget;
use crate::traversal::config::{
    BURST, MAX_PAIRS, MAX_PEER_REFLEXIVE, OFFERS_AT_ONCE, OFFERS_PER_SECOND, PACE,
};
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
    /// Limits what it can make us check by announcing.
    offers: Budget,
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
            offers: Budget::new(OFFERS_PER_SECOND, OFFERS_AT_ONCE, now),
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

    /// Pairs candidates with the sockets that reach them. One that is announced again is checked
    /// again: the other side's network changed.
    /// Whether anything is to be checked that was not.
    pub(super) fn add_candidates(&mut self, candidates: &[Candidate], now: Instant) -> bool {
        let mut news = false;
        for candidate in candidates {
            let Some(remote) = &mut self.remote else {
                return false;
            };
            remote.announced = remote.announced.saturating_add(1);
            let addr = canonical(candidate.addr);
            let useful = is_sendable(addr, self.config.allow_loopback)
                && (self.is_settled(addr) || self.take_offer(now));
            let added = useful && self.add_pairs(candidate.kind, addr);
            news |= added;
            if !added {
                let ignored = &mut self.outcome.counts.candidates_ignored;
                *ignored = ignored.saturating_add(1);
            }
        }
        news
    }

    /// Whether any pair came of it.
    fn add_pairs(&mut self, kind: CandidateKind, remote: SocketAddr) -> bool {
        let origin = Origin::Announced(kind);
        let rank = Rank::of(kind, remote, &self.local);
        let mut added = false;
        for (socket, family) in self.sockets.clone() {
            if !family.reaches(remote) {
                continue;
            }
            let route = Route::Direct { socket, remote };
            if !self.paths.contains_key(&route) && self.paths.len() > MAX_PAIRS {
                self.make_room();
            }
            let full = self.paths.len() > MAX_PAIRS;
            match self.paths.get_mut(&route) {
                // What a check taught before its announcement came now has a better name.
                Some(path) => {
                    added |= matches!(path.origin, Origin::Learned { .. });
                    if path.state == State::Idle || path.is_dead() {
                        path.state = State::Waiting;
                        added = true;
                    }
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

    /// Whether every pair with this address is being checked or works: announcing it changes nothing.
    fn is_settled(&self, addr: SocketAddr) -> bool {
        let mut pairs = self.paths.values().filter(|path| match path.route {
            Route::Direct { remote, .. } => remote == addr,
            Route::Relay => false,
        });
        let settled = |path: &Path| path.is_usable() || path.is_pending();
        pairs.next().is_some_and(&settled) && pairs.all(settled)
    }

    fn take_offer(&mut self, now: Instant) -> bool {
        let remote = self.remote.as_mut();
        remote.is_some_and(|remote| remote.offers.take(now))
    }

    /// Forgets the worst pair that did not answer: a roaming peer announces more addresses in its
    /// life than there is room for.
    fn make_room(&mut self) {
        let useless = |path: &&Path| {
            path.route.is_direct()
                && (path.state == State::Idle || path.is_dead())
                && path.route != self.selected
                && self.lead.nominated() != Some(path.route)
        };
        let worst = self.paths.values().filter(useless);
        let worst = worst.max_by_key(|path| path.order()).map(|path| path.route);
        if let Some(route) = worst {
            self.remove(route);
        }
    }

    /// Adds the path that a valid check came over. At the limit the oldest of its kind that is of no
    /// use makes room, for a nominated path any other than those in use; `false` if there is none.
    /// Without that a search that opens more paths than there is room for ends apart: the other
    /// side on a path that this one never takes.
    pub(super) fn learn(
        &mut self,
        route: Route,
        sender: [u8; 8],
        nominated: bool,
        now: Instant,
    ) -> bool {
        let Route::Direct { remote, .. } = route else {
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
                    (nominated || !path.is_usable())
                        && path.route != self.selected
                        && self.lead.nominated() != Some(path.route)
                })
                .filter_map(|path| match path.origin {
                    Origin::Learned { at, .. } => Some((path.is_usable(), at, path.route)),
                    Origin::Relay | Origin::Announced(_) => None,
                })
                .min();
            let Some((_, _, oldest)) = oldest else {
                return false;
            };
            self.remove(oldest);
        }
        let rank = Rank::of(CandidateKind::PeerReflexive, remote, &self.local);
        let origin = Origin::Learned { at: now, sender };
        self.paths.insert(route, Path::new(route, origin, rank));
        true
    }

    /// Names an unproven path after the search, if a round of it is what a check came through. That may
    /// be an announced pair too: plain checks had failed on it by then.
    pub(super) fn credit_search(&mut self, via: Route) {
        let Route::Direct { socket, remote } = via else {
            return;
        };
        if let Some(path) = self.paths.get_mut(&via)
            && path.found_by.is_none()
            && path.proven == 0
        {
            path.found_by = self.search.strategy_of(socket, remote);
        }
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
