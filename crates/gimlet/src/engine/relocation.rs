//! A session's relay leg on its way to another server, while the one it has stays in use.
//!
//! The dialing side asks for an introduction there, under the same check credentials. Each side sends
//! over the new leg when it may, and goes on taking what comes over the old one for a while:
//!
//! ```text
//!  dialer    asks ──▶ accepted and bound ──▶ sends over the new leg, later ends the old one
//!  acceptor  accepts ──▶ bound, and hears the dialer over the new leg ──▶ sends over it
//! ```
//!
//! An accepting side whose relay is silent as well does not wait to hear the dialer.
//!
//! **Invariants:** one relocation at a time, and one leg that was left. What answers is not given up
//! before the other does: a dialer that changes its mind before it has moved disturbs nobody.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use gimlet_proto::secret::SessionId;

use super::leg::Leg;
use crate::control::ServerId;

/// How long a relocation may take: an answer of the peer's, and some binds.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long what still comes over the old leg is taken: longer than any round trip.
const GRACE: Duration = Duration::from_secs(3);

/// Silence after which another server is asked: five quarters of a round trip and [`LATE`], so that
/// whatever was asked first had its time, but not less than this, or every hiccup of a radio link
/// would cost an introduction.
const SILENCE: Duration = Duration::from_millis(450);

/// See [`SILENCE`].
const LATE: Duration = Duration::from_millis(100);

/// First and longest pause before another server is asked again: a network that is silent altogether
/// makes no storm.
const LOOKS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// A relay that was well for so long has a clean slate.
const FORGIVEN: Duration = Duration::from_secs(20);

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
    heard: bool,
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

    /// Whether to send over the new leg from now on; `doubted`: what is sent over the old one gets no
    /// answer.
    pub(super) fn is_ready(&self, doubted: bool) -> bool {
        let proven = match self.why {
            Why::Better | Why::Silence => true,
            Why::Asked => self.heard || doubted,
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
    pub(super) session: SessionId,
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
                .is_some_and(|left| left.home == Some(server) && left.session == session)
    }

    /// Whether it is about the new leg.
    pub(super) fn is_going_to(&self, server: ServerId, session: SessionId) -> bool {
        let current = self.current.as_ref();
        current.is_some_and(|to| to.to == server && to.leg.session() == session)
    }

    /// When to ask another server, with a relay that is doubted since `doubted_at`, over which nothing
    /// has come since `silent_since`, and that has this round trip.
    pub(super) fn look_at(
        &self,
        doubted_at: Instant,
        silent_since: Instant,
        rtt: Option<Duration>,
    ) -> Instant {
        let silence = rtt.map_or(SILENCE, |rtt| SILENCE.max(rtt * 5 / 4 + LATE));
        let from = self.look_from.unwrap_or(doubted_at);
        from.max(doubted_at).max(silent_since + silence)
    }

    /// Another server is asked now.
    pub(super) fn looked(&mut self, now: Instant) {
        let forgiven = |from: Instant| now > from + FORGIVEN;
        if self.look_from.is_some_and(forgiven) {
            self.looks = 0;
        }
        self.look_from = Some(now + (LOOKS.0 * (1 << self.looks.min(6))).min(LOOKS.1));
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

    /// A leg is left. What was left before and is still kept has to go.
    pub(super) fn leave(
        &mut self,
        home: Option<ServerId>,
        session: SessionId,
        now: Instant,
    ) -> Option<Left> {
        let until = now + GRACE;
        self.left.replace(Left {
            home,
            session,
            until,
        })
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
    fn the_dialer_moves_when_all_is_agreed_and_the_acceptor_when_it_hears_the_dialer() {
        let now = Instant::now();
        for why in [Why::Better, Why::Silence] {
            let mut to = Relocation::new(ServerId(1), bound(1, now), why, now);
            assert!(!to.is_ready(true), "the peer has not accepted");
            to.agreed = true;
            assert!(to.is_ready(false), "{why:?}");
        }
        let mut relocations = Relocations::default();
        let to = Relocation::new(ServerId(1), bound(1, now), Why::Asked, now);
        relocations.current = Some(to);
        let ready = |relocations: &Relocations, doubted| {
            let to = relocations.current.as_ref();
            to.is_some_and(|to| to.is_ready(doubted))
        };
        assert!(!ready(&relocations, false) && ready(&relocations, true));
        relocations.heard_over(SessionId([2; 8]));
        assert!(!ready(&relocations, false), "that is another leg");
        relocations.heard_over(SessionId([1; 8]));
        assert!(ready(&relocations, false));
    }

    #[test]
    fn nobody_moves_before_the_new_leg_is_bound() {
        let now = Instant::now();
        let to = Relocation::new(ServerId(1), leg(1, now), Why::Asked, now);
        assert!(!to.is_ready(true) && !to.is_over(now));
        assert!(to.is_over(now + PATIENCE));
    }

    #[test]
    fn a_silent_relay_has_more_than_a_round_trip() {
        let (relocations, now) = (Relocations::default(), Instant::now());
        let doubted_at = now + 400 * MS;
        let wait = |rtt| relocations.look_at(doubted_at, now, rtt) - now;
        assert_eq!(wait(Some(40 * MS)), SILENCE);
        assert_eq!(wait(Some(600 * MS)), 850 * MS);
        assert_eq!(wait(None), SILENCE);
        let heard = now + 300 * MS;
        let wait = relocations.look_at(doubted_at, heard, None) - now;
        assert_eq!(wait, SILENCE + 300 * MS, "something came meanwhile");
    }

    #[test]
    fn looks_become_rarer_until_all_was_well_for_long() {
        let (mut relocations, start) = (Relocations::default(), Instant::now());
        let mut pauses = Vec::new();
        let mut now = start;
        for _ in 0..8 {
            relocations.looked(now);
            let next = relocations.look_at(now, now - SILENCE, None);
            pauses.push((next - now).as_millis());
            now = next;
        }
        assert_eq!(
            pauses,
            [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]
        );
        now += FORGIVEN + MS;
        relocations.looked(now);
        assert_eq!(relocations.look_at(now, now - SILENCE, None) - now, LOOKS.0);
    }

    #[test]
    fn a_server_speaks_of_its_own_sessions_only() {
        let (mut relocations, now) = (Relocations::default(), Instant::now());
        let to = Relocation::new(ServerId(1), leg(1, now), Why::Asked, now);
        relocations.current = Some(to);
        relocations.leave(Some(ServerId(2)), SessionId([2; 8]), now);
        let about = |server, n| relocations.is_at(ServerId(server), SessionId([n; 8]));
        assert!(about(1, 1) && about(2, 2));
        assert!(!about(1, 2) && !about(2, 1) && !about(3, 3));
    }
}
