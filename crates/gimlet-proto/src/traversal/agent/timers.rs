//! What paths do when their time has come.

use std::time::Instant;

use super::Agent;
use crate::traversal::Route;
use crate::traversal::config::KEPT;
use crate::traversal::path::{Path, Standing, State, Step};
use crate::traversal::rank::Rank;

impl Agent {
    /// Steps every path that is due, the best first.
    pub(super) fn step_due(&mut self, now: Instant) {
        let mut due: Vec<_> = self
            .paths
            .values()
            .filter(|path| path.next_at().is_some_and(|at| at <= now))
            .map(|path| (path.rank, path.route))
            .collect();
        due.sort_unstable();
        for (_, route) in due {
            self.step(route, now);
        }
    }

    /// Lets a path whose timer fired do what is due.
    pub(super) fn step(&mut self, route: Route, now: Instant) {
        let ready_at = self.checks.ready_at(now);
        let standing = self.standing(route);
        let Some(path) = self.paths.get_mut(&route) else {
            return;
        };
        if path.next_at().is_none_or(|at| at > now) {
            return;
        }
        if ready_at > now {
            path.set_next_at(ready_at);
            return;
        }
        match path.step(now, standing, &self.config) {
            Step::Send(size) => self.send_check(route, size, now),
            Step::Lost if route == self.selected => {
                self.outcome.counts.paths_lost += 1;
                self.doubted_at.get_or_insert(now);
                self.rouse(now);
            }
            Step::Lost | Step::GaveUp => (),
        }
    }

    /// Looks for a way out while the selected path is doubted or lost: what killed it may have killed
    /// the reserve too, so that must answer again before it is chosen, at the size that is
    /// needed now; and paths that were only given up as surplus are tried anew.
    pub(super) fn rouse(&mut self, now: Instant) {
        let mut stale = Vec::new();
        for path in self.paths.values_mut().filter(|p| p.route.is_direct()) {
            if path.is_stale(now) || path.is_valid() && path.proven < self.mtu {
                path.suspect(now);
                stale.push(path.route);
            } else if path.state == State::Idle && path.proven > 0 {
                path.renew();
            }
        }
        for route in stale {
            self.step(route, now);
        }
        self.burst(now);
    }

    fn standing(&self, route: Route) -> Standing {
        let selected = route == self.selected;
        let rank = |route| self.paths.get(&route).map_or(Rank::Relay, |p| p.rank);
        let mut reserve: Vec<_> = self
            .paths
            .values()
            .filter(|p| p.route.is_direct() && p.route != self.selected && p.is_usable())
            .map(Path::order)
            .collect();
        reserve.sort_unstable();
        Standing {
            selected,
            pinned: selected || route == Route::Relay || self.lead.nominated() == Some(route),
            kept: reserve.iter().take(KEPT).any(|&(_, kept)| kept == route),
            hopeless: self.selected.is_direct() && rank(route) >= rank(self.selected),
            mtu: self.mtu,
        }
    }

    /// Starts or stops checking the relay, as its state and ours allow.
    pub(super) fn check_relay(&mut self, now: Instant) {
        if self.relay_up && self.remote.is_some() {
            let gap = self.config.first_retry;
            self.relay().start(gap, now);
            self.step(Route::Relay, now);
        }
    }

    pub(super) fn relay(&mut self) -> &mut Path {
        self.paths
            .get_mut(&Route::Relay)
            .expect("made in new() and never removed")
    }
}
