//! Chooses among an endpoint's servers: which one is asked first, which one is kept warm beside it,
//! and which are signed in to for a while because a peer is there.
//!
//! A machine without I/O: feed what happens, then read [`wanted`](Roles::wanted),
//! [`primary`](Roles::primary) and [`order`](Roles::order), then sleep until
//! [`poll_timeout`](Roles::poll_timeout). The list's first server is tried at once and the others are
//! measured meanwhile, so that a nearer one costs no one who is alone any time.
//!
//! **Invariants:** two servers at most are wanted for themselves, others only for [`NEEDED`] after
//! the last need. A primary that works is left only for a server that is nearer by [`margin`] and has
//! worked for [`STABLE`], so that two servers never take turns.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::ServerId;
use super::standing::ServerRole;

/// Round trips that differ by less are the same; the list's order decides.
const TIE: Duration = Duration::from_millis(10);

/// A primary is kept unless another server is nearer by this, or by a quarter: less would be felt by
/// nobody, and measurements vary by as much.
const MARGIN: Duration = Duration::from_millis(20);

/// How long a server has worked before one that works is left for it: a server that is being
/// restarted again and again is no better.
const STABLE: Duration = Duration::from_secs(10);

/// After the first sign-in, how long measurements still decide without delay.
const SETTLING: Duration = Duration::from_secs(2);

/// Time that the first attempt has for itself before the next server is tried as well: twice a long
/// round trip.
const HEAD_START: Duration = Duration::from_millis(500);

/// Pause after the first sign-in before the second: a command that is over by then costs one server
/// only, and measurements are there.
const WARM_AFTER: Duration = Duration::from_secs(1);

/// How long a server is kept that nobody has needed since.
pub(crate) const NEEDED: Duration = Duration::from_secs(60);

/// How long a server that failed comes last, unless it answers a measurement: some attempts.
const FAILED: Duration = Duration::from_secs(30);

/// How long one comes last that refused for a reason that only a person can change.
const REFUSED: Duration = Duration::from_secs(300);

/// How long one comes last that says that it goes down. It takes less.
const DRAINING: Duration = Duration::from_secs(5);

/// Servers wanted for themselves: one to be asked, one to take over.
const SEATS: usize = 2;

/// Measurements that count: the least of them, so that a busy moment does not.
const SAMPLES: usize = 3;

/// Why a server comes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shunned {
    /// It did not answer; one that answers measurements is back.
    Silent { until: Instant },
    /// It does not want us now.
    Unwilling { until: Instant },
}

impl Shunned {
    fn until(self) -> Instant {
        match self {
            Self::Silent { until } | Self::Unwilling { until } => until,
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Known {
    /// Newest last.
    samples: Vec<Duration>,
    online_since: Option<Instant>,
    shunned: Option<Shunned>,
    needed_until: Option<Instant>,
}

impl Known {
    fn rtt(&self) -> Option<Duration> {
        self.samples.iter().min().copied()
    }

    fn sample(&mut self, rtt: Duration) {
        if self.samples.len() >= SAMPLES {
            self.samples.remove(0);
        }
        self.samples.push(rtt);
    }
}

/// See the [module docs](self).
#[derive(Debug)]
pub(crate) struct Roles {
    known: Vec<Known>,
    primary: Option<ServerId>,
    wanted: BTreeSet<ServerId>,
    /// When the first sign-in succeeded.
    settled_from: Option<Instant>,
    /// When the second seat is taken, too.
    second_at: Instant,
    /// The time of the last input.
    now: Instant,
}

impl Roles {
    /// With so many servers.
    pub(crate) fn new(servers: usize, now: Instant) -> Self {
        let mut roles = Self {
            known: vec![Known::default(); servers],
            primary: None,
            wanted: BTreeSet::new(),
            settled_from: None,
            second_at: now + HEAD_START,
            now,
        };
        roles.choose(now);
        roles
    }

    /// A server answered a measurement, or did not.
    pub(crate) fn handle_measured(&mut self, id: ServerId, rtt: Option<Duration>, now: Instant) {
        let Some(known) = self.known.get_mut(id.index()) else {
            return;
        };
        if let Some(rtt) = rtt {
            known.sample(rtt);
            if let Some(Shunned::Silent { .. }) = known.shunned {
                known.shunned = None;
            }
        }
        self.choose(now);
    }

    /// We are signed in to a server.
    pub(crate) fn handle_online(&mut self, id: ServerId, rtt: Duration, now: Instant) {
        let Some(known) = self.known.get_mut(id.index()) else {
            return;
        };
        known.sample(rtt);
        known.online_since = Some(now);
        known.shunned = None;
        if self.settled_from.is_none() {
            self.settled_from = Some(now);
            self.second_at = now + WARM_AFTER;
        }
        self.choose(now);
    }

    /// We are not, or not any more; `definite`: it would refuse again.
    pub(crate) fn handle_offline(&mut self, id: ServerId, definite: bool, now: Instant) {
        let Some(known) = self.known.get_mut(id.index()) else {
            return;
        };
        known.online_since = None;
        known.shunned = Some(match definite {
            true => Shunned::Unwilling {
                until: now + REFUSED,
            },
            false => Shunned::Silent {
                until: now + FAILED,
            },
        });
        self.second_at = self.second_at.min(now);
        self.choose(now);
    }

    /// A session ended because it was not wanted any more.
    pub(crate) fn handle_dismissed(&mut self, id: ServerId, now: Instant) {
        if let Some(known) = self.known.get_mut(id.index()) {
            known.online_since = None;
        }
        self.choose(now);
    }

    /// A server says that it goes down.
    pub(crate) fn handle_draining(&mut self, id: ServerId, now: Instant) {
        if let Some(known) = self.known.get_mut(id.index()) {
            let until = now + DRAINING;
            known.shunned = Some(Shunned::Unwilling { until });
        }
        self.second_at = self.second_at.min(now);
        self.choose(now);
    }

    /// Somebody is there whom we talk to or want to.
    pub(crate) fn handle_needed(&mut self, id: ServerId, now: Instant) {
        if let Some(known) = self.known.get_mut(id.index()) {
            known.needed_until = Some(now + NEEDED);
        }
        self.choose(now);
    }

    /// Advances time.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.choose(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) must next be called.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let of_each = self.known.iter().flat_map(|known| {
            [
                known.shunned.map(Shunned::until),
                known.needed_until,
                known.online_since.map(|since| since + STABLE),
            ]
        });
        let of_each = of_each.flatten();
        // What was due by the last input has been done with it.
        let ahead = |at: &Instant| *at > self.now;
        of_each.chain([self.second_at]).filter(ahead).min()
    }

    /// The server that is asked first; `None` while we are signed in nowhere.
    pub(crate) fn primary(&self) -> Option<ServerId> {
        self.primary
    }

    /// The servers to be signed in to.
    pub(crate) fn wanted(&self) -> &BTreeSet<ServerId> {
        &self.wanted
    }

    /// The servers we are signed in to, best first.
    pub(crate) fn order(&self) -> Vec<ServerId> {
        let mut order = self.ranking();
        order.retain(|&id| self.is_online(id));
        if let Some(primary) = self.primary {
            order.retain(|&id| id != primary);
            order.insert(0, primary);
        }
        order
    }

    /// All servers, best first, whether or not we are signed in.
    pub(crate) fn ranking(&self) -> Vec<ServerId> {
        let mut left: Vec<_> = self.ids().collect();
        let mut ranking = Vec::new();
        let class = |id: &ServerId| (self.is_shunned(*id), self.rtt(*id).is_none());
        while let Some(best) = left.iter().map(class).min() {
            let peers = || left.iter().copied().filter(|id| class(id) == best);
            let nearest = peers().filter_map(|id| self.rtt(id)).min();
            let near = |id: &ServerId| self.rtt(*id) <= nearest.map(|rtt| rtt + TIE);
            let Some(first) = peers().find(near) else {
                break;
            };
            ranking.push(first);
            left.retain(|&id| id != first);
        }
        ranking
    }

    /// What a server is now.
    pub(crate) fn role(&self, id: ServerId) -> ServerRole {
        let needed = self.known.get(id.index()).and_then(|k| k.needed_until);
        match self.primary {
            Some(primary) if primary == id => ServerRole::Primary,
            _ if !self.wanted.contains(&id) => ServerRole::Idle,
            Some(_) if self.warm() == Some(id) || needed.is_none() => ServerRole::Warm,
            Some(_) => ServerRole::OnDemand,
            None => ServerRole::Idle,
        }
    }

    /// The round trip to a server, once known.
    pub(crate) fn rtt(&self, id: ServerId) -> Option<Duration> {
        self.known.get(id.index()).and_then(Known::rtt)
    }

    /// Whether a server comes last: it failed, refused or is going down.
    pub(crate) fn is_shunned(&self, id: ServerId) -> bool {
        let known = self.known.get(id.index());
        known.is_none_or(|known| known.shunned.is_some())
    }

    pub(crate) fn is_online(&self, id: ServerId) -> bool {
        let known = self.known.get(id.index());
        known.is_some_and(|known| known.online_since.is_some())
    }

    fn ids(&self) -> impl Iterator<Item = ServerId> + use<> {
        (0..self.known.len() as u8).map(ServerId)
    }

    /// The one that takes over when the primary goes.
    fn warm(&self) -> Option<ServerId> {
        self.order().get(1).copied()
    }

    /// The one place where decisions are made.
    fn choose(&mut self, now: Instant) {
        self.now = now;
        for known in &mut self.known {
            known.shunned = known.shunned.filter(|shunned| shunned.until() > now);
            known.needed_until = known.needed_until.filter(|&until| until > now);
        }
        let ranking = self.ranking();
        self.choose_primary(&ranking, now);
        let incumbents = self.primary.into_iter();
        let first = ranking.first().copied();
        let due = self.second_at <= now;
        let spare = ranking.iter().copied().find(|&id| Some(id) != self.primary);
        let begun = ranking.iter().copied().filter(|&id| {
            let nearer = spare.is_some_and(|spare| self.is_nearer(spare, id));
            self.wanted.contains(&id) && !self.is_shunned(id) && !(due && nearer)
        });
        let begun: Vec<_> = begun.collect();
        let rest = ranking.iter().copied().filter(|_| due);
        let mut seats = Vec::new();
        for id in incumbents.chain(first).chain(begun).chain(rest) {
            if !seats.contains(&id) && seats.len() < SEATS {
                seats.push(id);
            }
        }
        let needed = self.ids();
        let needed = needed.filter(|id| self.known[id.index()].needed_until.is_some());
        self.wanted = seats.into_iter().chain(needed).collect();
    }

    fn choose_primary(&mut self, ranking: &[ServerId], now: Instant) {
        let online = || ranking.iter().copied().filter(|&id| self.is_online(id));
        let best = online().next();
        let standing = self.primary.filter(|&id| self.is_online(id));
        self.primary = match (standing, best) {
            (Some(primary), Some(best)) if !self.displaces(best, primary, now) => Some(primary),
            (_, best) => best,
        };
    }

    fn displaces(&self, best: ServerId, primary: ServerId, now: Instant) -> bool {
        if self.is_shunned(primary) {
            return !self.is_shunned(best);
        }
        let settling = self
            .settled_from
            .is_some_and(|since| now < since + SETTLING);
        if settling {
            // The ranking has weighed everything.
            return best != primary;
        }
        let since = self.known[best.index()].online_since;
        self.is_nearer(best, primary) && since.is_some_and(|since| since + STABLE <= now)
    }

    /// Whether one server is nearer than another by so much that it matters.
    pub(crate) fn is_nearer(&self, one: ServerId, other: ServerId) -> bool {
        match (self.rtt(one), self.rtt(other)) {
            (Some(near), Some(far)) => near + margin(far) < far,
            (None, _) | (_, None) => false,
        }
    }
}

fn margin(rtt: Duration) -> Duration {
    MARGIN.max(rtt / 4)
}

#[cfg(test)]
mod tests;
