//! Choosing the path: the controlling side decides and nominates, the controlled side follows.

use std::time::{Duration, Instant};

use super::Agent;
use crate::traversal::config::MAX_RETRY;
use crate::traversal::path::{Path, State};
use crate::traversal::rank::is_better;
use crate::traversal::{Event, Role, Route};

/// Who leads, and what that side remembers of nominations.
#[derive(Debug)]
pub(super) enum Lead {
    /// We nominate.
    Ours {
        /// Nominations so far.
        number: u32,
        /// The last one, until it is answered.
        pending: Option<Pending>,
    },
    /// We follow.
    Theirs {
        /// Highest nomination taken.
        highest: u64,
        /// The path it was for.
        nominated: Route,
    },
}

/// A nomination on the wire.
#[derive(Debug)]
pub(super) struct Pending {
    route: Route,
    gap: Duration,
    next_at: Instant,
}

impl Lead {
    pub(super) fn new(role: Role) -> Self {
        match role {
            Role::Controlling => Self::Ours {
                number: 0,
                pending: None,
            },
            Role::Controlled => Self::Theirs {
                highest: 0,
                nominated: Route::Relay,
            },
        }
    }

    /// The low half of the tie-breaker.
    pub(super) fn number(&self) -> u32 {
        match self {
            Self::Ours { number, .. } => *number,
            Self::Theirs { .. } => 0,
        }
    }

    /// The path that the other side chose.
    pub(super) fn nominated(&self) -> Option<Route> {
        match self {
            Self::Ours { .. } => None,
            Self::Theirs { nominated, .. } => Some(*nominated),
        }
    }

    /// When the nomination is to be repeated.
    pub(super) fn repeat_at(&self) -> Option<Instant> {
        match self {
            Self::Ours { pending, .. } => pending.as_ref().map(|p| p.next_at),
            Self::Theirs { .. } => None,
        }
    }

    /// Takes the answer to a nomination.
    pub(super) fn answered(&mut self, of: u32) {
        if let Self::Ours { number, pending } = self
            && *number == of
        {
            *pending = None;
        }
    }

    /// Takes a nomination, or not; see [`Agent::handle_nomination`].
    pub(super) fn accept(
        &mut self,
        number: u64,
        via: Route,
        works: impl Fn(Route) -> bool,
    ) -> bool {
        let Self::Theirs { highest, nominated } = self else {
            return false;
        };
        let repeated = number == *highest && via == *nominated;
        let newer = number > *highest || number == *highest && !works(*nominated) && works(via);
        if newer {
            (*highest, *nominated) = (number, via);
        }
        newer || repeated
    }
}

impl Agent {
    /// Moves to the path that should be used now, if that is another one.
    pub(super) fn choose(&mut self, now: Instant) {
        let next = match self.lead {
            Lead::Ours { .. } => self.lead_to(now),
            Lead::Theirs { nominated, .. } => self.follow(nominated),
        };
        if next != self.selected {
            self.select(next, now);
        }
    }

    /// The controlling side's choice: a direct path whenever one is proven, the best when the
    /// current one is lost, another than a working one only if that is clearly better.
    fn lead_to(&self, now: Instant) -> Route {
        let current = self.paths.get(&self.selected);
        let best = self.best_direct();
        match current.filter(|path| path.route.is_direct() && path.is_usable()) {
            Some(current) => match best {
                Some(best)
                    if is_better(
                        current.merit(),
                        best.merit(),
                        now.saturating_duration_since(self.selected_at),
                    ) =>
                {
                    best.route
                }
                Some(_) | None => current.route,
            },
            None => match best {
                Some(best) => best.route,
                None if self.relay_works() || self.relay_answers() => Route::Relay,
                None => self.selected,
            },
        }
    }

    /// The controlled side's choice: what was nominated, as long as it works, else whatever does.
    /// When packets flow again it returns to the nominated path, so both sides converge.
    fn follow(&self, nominated: Route) -> Route {
        let works = |route: Route| match route {
            Route::Relay => self.relay_works(),
            Route::Direct { .. } => self.paths.get(&route).is_some_and(Path::is_usable),
        };
        if works(nominated) {
            nominated
        } else if works(self.selected) {
            self.selected
        } else if self.relay_works() {
            Route::Relay
        } else if let Some(best) = self.best_direct() {
            best.route
        } else if self.relay_answers() {
            Route::Relay
        } else {
            self.selected
        }
    }

    fn best_direct(&self) -> Option<&Path> {
        self.paths
            .values()
            .filter(|path| path.route.is_direct() && path.is_valid())
            .filter(|path| path.proven >= self.mtu || path.route == self.selected)
            .min_by_key(|path| path.order())
    }

    /// The relay counts as working until it is known not to.
    fn relay_works(&self) -> bool {
        self.relay_up && !self.paths.get(&Route::Relay).is_some_and(Path::is_dead)
    }

    /// A relay that was dead and answers again is not trusted yet, but better than nothing at all.
    fn relay_answers(&self) -> bool {
        let relay = self.paths.get(&Route::Relay);
        self.relay_up && relay.is_some_and(|path| matches!(path.state, State::Probation { .. }))
    }

    fn select(&mut self, route: Route, now: Instant) {
        self.selected = route;
        self.selected_at = now;
        self.doubted_at = None;
        let path = self.paths.get(&route);
        let strategy = path.and_then(|path| path.strategy(&self.local));
        let rtt = path.and_then(|path| path.rtt);
        self.push_event(Event::Selected {
            route,
            strategy,
            rtt,
        });
        if route.is_direct() {
            self.outcome.strategy = strategy;
            if self.outcome.times.direct.is_none() {
                self.outcome.times.direct = Some(self.elapsed(now));
            }
        }
        self.hasten(route, now);
        self.nominate(route, rtt, now);
    }

    /// Nominates the selected route again: it works from where we are now, but the other side may see
    /// us at another address than the one it sends to.
    pub(super) fn confirm_choice(&mut self, now: Instant) {
        let route = self.selected;
        let rtt = self.paths.get(&route).and_then(|path| path.rtt);
        self.nominate(route, rtt, now);
    }

    fn nominate(&mut self, route: Route, rtt: Option<Duration>, now: Instant) {
        let Lead::Ours { number, pending } = &mut self.lead else {
            return;
        };
        *number += 1;
        let first = self.config.first_retry;
        let gap = rtt.map_or(first, |rtt| (rtt * 3 / 2).max(first));
        *pending = Some(Pending {
            route,
            gap,
            next_at: now + gap,
        });
        let number = *number;
        self.send_nomination(route, number, now);
    }

    /// Repeats the nomination until it is answered: it is what the other side's sending hangs on.
    pub(super) fn repeat_nomination(&mut self, now: Instant) {
        let Lead::Ours {
            number,
            pending: Some(pending),
        } = &mut self.lead
        else {
            return;
        };
        if pending.next_at <= now {
            pending.next_at = now + pending.gap;
            pending.gap = (pending.gap * 3 / 2).min(MAX_RETRY);
            let (number, route) = (*number, pending.route);
            self.send_nomination(route, number, now);
        }
    }
}
