//! A session's relay leg on its way to another server, while the one it has stays in use.
//!
//! The dialing side asks for an introduction there, under the same check credentials. Each side sends
//! over the new leg once that is up, and goes on taking what comes over the old one:
//!
//! ```text
//!  dialer    asks ──▶ accepted and bound ──▶ hears the peer over it ──▶ sends over it ──▶ ends the old
//!  acceptor  accepts ──▶ bound ──▶ sends over it; back to the old one, should the new one be ended
//! ```
//!
//! A dialer whose relay is silent does not wait to hear the peer.
//!
//! **Invariants:** one relocation at a time, and one leg that was left. What answers is not given up
//! before the other does.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use gimlet_proto::secret::SessionId;

use super::leg::Leg;
use crate::control::ServerId;

/// How long a relocation may take: an answer of the peer's, and some binds. Less than [`KEPT`], so
/// that an accepting side that has moved still finds the old leg when the dialer gives up.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a dialer that has moved takes what still comes the old way: longer than any round trip.
const GRACE: Duration = Duration::from_secs(3);

/// How long the accepting side keeps the old leg: until the dialer surely has moved or given up. Shorter
/// than any server keeps a session that nobody refreshes.
const KEPT: Duration = Duration::from_secs(15);

/// Time that a silent relay has, besides that in which its silence was noticed, before another server
/// is asked: a round trip, in which it may answer, but no longer than this.
const DOUBT: Duration = Duration::from_millis(250);

/// What a round trip may take longer than measured.
const LATE: Duration = Duration::from_millis(50);

/// First and longest pause before another server is asked again: a network that is silent altogether
/// makes no storm.
const LOOKS: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));

/// A relay that was well for so long has a clean slate.
const FORGIVEN: Duration = Duration::from_secs(60);

/// Sessions of one endpoint move to a nearer server at random moments within this time, and those of
/// all endpoints with them: a server that is back is not run over.
pub(super) const SPREAD: Duration = Duration::from_secs(20);

/// How long a nearer server is left alone where the peer was not found, or did not come.
const ABSENT: Duration = Duration::from_secs(600);

/// Why a leg moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// The server is nearer, or the one we have is about to go.
    Better,
    /// What is sent over the relay is not answered.
    Silence,
    /// The peer asks for it.
    Asked,
}

/// See the [module docs](self).
#[derive(Debug)]
pub(super) struct Relocation {
    pub(super) to: ServerId,
    pub(super) leg: Leg,
    pub(super) why: Why,
    /// The peer has accepted.
    pub(super) agreed: bool,
    /// The peer was heard over the new leg.
    pub(super) heard: bool,
    give_up_at: Instant,
}

impl Relocation {
    pub(super) fn new(to: ServerId, leg: Leg, why: Why, now: Instant) -> Self {
        Self {
            to,
            leg,
            why,
            agreed: why == Why::Asked,
            heard: false,
            give_up_at: now + PATIENCE,
        }
    }

    /// Whether to send over the new leg from now on.
    pub(super) fn is_ready(&self) -> bool {
        let proven = match self.why {
            Why::Better => self.heard,
            Why::Silence | Why::Asked => true,
        };
        self.agreed && self.leg.is_up() && proven
    }

    /// Whether nothing comes of it.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.leg.is_gone() || self.give_up_at <= now
    }

    fn poll_timeout(&self) -> Instant {
        let leg = self.leg.poll_timeout();
        leg.map_or(self.give_up_at, |at| at.min(self.give_up_at))
    }
}

/// A leg that was left.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) home: Option<ServerId>,
    pub(super) leg: Leg,
    pub(super) until: Instant,
}

/// Where a session's relay leg is going, and where it was.
#[derive(Debug, Default)]
pub(super) struct Relocations {
    pub(super) current: Option<Relocation>,
    pub(super) left: Option<Left>,
    /// When it moves to a nearer server.
    pub(super) move_at: Option<Instant>,
    /// Other servers asked for lack of an answer.
    looks: u32,
    look_from: Option<Instant>,
}

impl Relocations {
    /// Whether a message of `server` about `session` is about one of ours.
    pub(super) fn is_at(&self, server: ServerId, session: SessionId) -> bool {
        self.is_going_to(server, session)
            || self
                .left
                .as_ref()
                .is_some_and(|left| left.home == Some(server) && left.leg.session() == session)
    }

    /// Whether it is about the new leg.
    pub(super) fn is_going_to(&self, server: ServerId, session: SessionId) -> bool {
        let current = self.current.as_ref();
        current.is_some_and(|to| to.to == server && to.leg.session() == session)
    }

    /// When to ask another server, with a relay that is doubted since then and has this round trip.
    pub(super) fn look_at(&self, doubted_at: Instant, rtt: Option<Duration>) -> Instant {
        let wait = rtt.map_or(DOUBT, |rtt| DOUBT.min(rtt + LATE));
        let from = self.look_from.unwrap_or(doubted_at);
        from.max(doubted_at + wait)
    }

    /// Another server is asked now.
    pub(super) fn looked(&mut self, now: Instant) {
        let forgiven = |from: Instant| now > from + FORGIVEN;
        if self.look_from.is_some_and(forgiven) {
            self.looks = 0;
        }
        self.look_from = Some(now + (LOOKS.0 * (1 << self.looks.min(5))).min(LOOKS.1));
        self.looks += 1;
    }

    /// Another server can be asked again after this pause, sooner than planned.
    pub(super) fn look_again(&mut self, at: Instant) {
        self.look_from = Some(at);
    }

    /// The peer is not at the nearer server, or did not come there.
    pub(super) fn stay(&mut self, now: Instant) {
        self.move_at = Some(now + ABSENT);
    }

    /// The peer was heard over this leg.
    pub(super) fn heard_over(&mut self, session: SessionId) {
        if let Some(to) = &mut self.current
            && to.leg.session() == session
        {
            to.heard = true;
        }
    }

    /// What was left until now has to go, if this takes its place: `accepting` side or not.
    pub(super) fn leave(
        &mut self,
        home: Option<ServerId>,
        leg: Leg,
        accepting: bool,
        now: Instant,
    ) -> Option<Left> {
        let until = now + if accepting { KEPT } else { GRACE };
        self.left.replace(Left { home, leg, until })
    }

    /// Servers that it needs.
    pub(super) fn needed(&self) -> impl Iterator<Item = ServerId> {
        self.current.iter().map(|to| to.to)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let current = self.current.as_ref().map(Relocation::poll_timeout);
        let left = self.left.as_ref().map(|left| left.until);
        let moves = self.move_at.filter(|_| self.current.is_none());
        [current, left, moves].into_iter().flatten().min()
    }
}

/// The servers that are not asked: where the peer is not, and where we are.
pub(super) fn elsewhere(home: Option<ServerId>, absent: &BTreeSet<ServerId>) -> BTreeSet<ServerId> {
    absent.iter().copied().chain(home).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use gimlet_proto::secret::RelaySecret;

    const MS: Duration = Duration::from_millis(1);

    fn leg(n: u8, now: Instant) -> Leg {
        let secret = RelaySecret([n; 32]);
        Leg::new(SessionId([n; 8]), secret, Duration::from_secs(15), now)
    }

    fn bound(n: u8, now: Instant) -> Leg {
        let mut leg = leg(n, now);
        leg.handle_timeout(now);
        leg.handle_bound(SessionId([n; 8]), 1, now);
        leg
    }

    #[test]
    fn a_better_server_must_let_the_peer_be_heard_and_a_silent_one_is_left_without() {
        let now = Instant::now();
        for (why, ready) in [(Why::Better, false), (Why::Silence, true)] {
            let mut to = Relocation::new(ServerId(1), bound(1, now), why, now);
            assert!(!to.is_ready(), "the peer has not accepted");
            to.agreed = true;
            assert_eq!(to.is_ready(), ready, "{why:?}");
            to.heard = true;
            assert!(to.is_ready());
        }
    }

    #[test]
    fn nobody_moves_before_the_new_leg_is_bound() {
        let now = Instant::now();
        let to = Relocation::new(ServerId(1), leg(1, now), Why::Asked, now);
        assert!(!to.is_ready() && !to.is_over(now));
        assert!(to.is_over(now + PATIENCE));
    }

    #[test]
    fn a_silent_relay_has_a_round_trip_but_not_for_ever() {
        let (relocations, now) = (Relocations::default(), Instant::now());
        let wait = |rtt| relocations.look_at(now, rtt) - now;
        assert_eq!(wait(Some(40 * MS)), 90 * MS);
        assert_eq!(wait(Some(600 * MS)), DOUBT);
        assert_eq!(wait(None), DOUBT);
    }

    #[test]
    fn looks_become_rarer_until_all_was_well_for_long() {
        let (mut relocations, start) = (Relocations::default(), Instant::now());
        let mut pauses = Vec::new();
        let mut now = start;
        for _ in 0..8 {
            relocations.looked(now);
            let next = relocations.look_at(now, None);
            pauses.push((next - now).as_secs());
            now = next;
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60, 60]);
        now += FORGIVEN + MS;
        relocations.looked(now);
        assert_eq!(relocations.look_at(now, None) - now, LOOKS.0);
    }

    #[test]
    fn a_server_speaks_of_its_own_sessions_only() {
        let (mut relocations, now) = (Relocations::default(), Instant::now());
        let to = Relocation::new(ServerId(1), leg(1, now), Why::Asked, now);
        relocations.current = Some(to);
        relocations.leave(Some(ServerId(2)), leg(2, now), true, now);
        let about = |server, n| relocations.is_at(ServerId(server), SessionId([n; 8]));
        assert!(about(1, 1) && about(2, 2));
        assert!(!about(1, 2) && !about(2, 1) && !about(3, 3));
    }
}
