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
//! Where a leg is silent, packets go over both until one has proven to be the better: nobody waits for
//! a verdict, and a server that is only slow is not left. A verdict, or the peer who is heard over the
//! new leg, ends that. A silence that goes on may be of one leg alone, while its server is well: then the
//! session moves to a new leg there.
//!
//! **Invariants:** one relocation at a time, and one leg that was left. What answers is not given up
//! before the other does: a dialer that changes its mind before it has moved disturbs nobody.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use gimlet_proto::secret::SessionId;

use super::leg::Leg;
use crate::control::ServerId;

/// How long a relocation may take: an answer of the peer's, and some binds.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How long what still comes over the old leg is taken: longer than any round trip.
const GRACE: Duration = Duration::from_secs(3);

/// Silence after which another server is asked where something came all the time. Sooner, and every
/// hiccup of a radio link would cost an introduction. Where nothing came for longer before, it is five
/// quarters of a round trip and [`LATE`], so that whatever was asked first had its time.
const SILENCE: Duration = Duration::from_millis(450);

/// See [`SILENCE`].
const LATE: Duration = Duration::from_millis(100);

/// Doubt, at least, before a leg is left for its silence: a server that is slow for a second is not.
/// Packets go both ways until then, so nothing waits for it.
const DOUBT: Duration = Duration::from_secs(1);

/// See [`Relocation::is_for_both`].
const MOMENT: Duration = Duration::from_millis(250);

/// Packets that QUIC is made to send over both legs, so that it hears of what was lost: as many as
/// need to be lost for nobody to know.
const NUDGES: u32 = 8;

/// Bounds of the gap between them, a quarter of the new way's round trip.
const NUDGE_GAP: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(250));

/// First and longest pause before another server is asked again: a network that is silent altogether
/// makes no storm.
const LOOKS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Doubt after which a new leg at the same server may be what is missing. What is wrong with a way or a
/// peer shows, or is over, sooner.
const AT_HOME: Duration = Duration::from_secs(2);

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
    /// The peer's packets come over the new leg.
    carries: bool,
    /// Nudges that were given, and when the next is due.
    nudges: u32,
    nudge_at: Option<Instant>,
    /// Doubt after which the old leg is left.
    doubt: Duration,
    began_at: Instant,
}

impl Relocation {
    /// From a leg with this round trip, if that is known.
    pub(super) fn new(
        to: ServerId,
        mut leg: Leg,
        why: Why,
        rtt: Option<Duration>,
        now: Instant,
    ) -> Self {
        leg.set_hurried(true);
        Self {
            to,
            leg,
            why,
            agreed: why == Why::Asked,
            heard: false,
            carries: false,
            nudges: 0,
            nudge_at: None,
            doubt: rtt.map_or(DOUBT, |rtt| DOUBT.max(in_time(rtt))),
            began_at: now,
        }
    }

    /// Whether to send over the new leg alone from now on; `hopeless`: the old one is dead.
    pub(super) fn is_ready(&self, hopeless: bool) -> bool {
        let proven = match self.why {
            Why::Better => true,
            Why::Silence | Why::Asked => self.heard || hopeless,
        };
        self.agreed && self.leg.is_up() && proven
    }

    /// Whether there is no reason to move any more: the old leg answers, and the peer has not moved.
    /// `relayed_at`: when a packet came over it last.
    pub(super) fn is_moot(&self, doubted: bool, relayed_at: Option<Instant>) -> bool {
        self.why == Why::Silence && !self.heard && (!doubted || self.is_answered(relayed_at))
    }

    /// When the old leg counts as dead that is doubted since then.
    pub(super) fn verdict_at(&self, doubted_at: Instant) -> Instant {
        doubted_at + self.doubt
    }

    /// Whether something came over the old leg since.
    pub(super) fn is_answered(&self, relayed_at: Option<Instant>) -> bool {
        relayed_at.is_some_and(|at| at > self.began_at)
    }

    /// Whether packets are to go over both legs: the old one is in `doubt`, or the peer sends over the
    /// new one already. Who is asked to move, and heard nothing for a moment, doubts as well: it is how
    /// the peer came to ask.
    pub(super) fn is_for_both(&self, doubted: bool, relayed_at: Option<Instant>) -> bool {
        let silent = || relayed_at.is_none_or(|at| at + MOMENT < self.began_at);
        doubted || self.carries || self.why == Why::Asked && silent()
    }

    /// Whether packets do.
    pub(super) fn is_on_both(&self) -> bool {
        self.nudges > 0
    }

    /// Whether QUIC is to send something now, over a way with this round trip.
    pub(super) fn take_nudge(&mut self, rtt: Duration, now: Instant) -> bool {
        let due = self.nudges < NUDGES && self.nudge_at.is_none_or(|at| at <= now);
        if due {
            self.nudges += 1;
            let gap = (rtt / 4).clamp(NUDGE_GAP.0, NUDGE_GAP.1);
            self.nudge_at = (self.nudges < NUDGES).then_some(now + gap);
        }
        due
    }

    /// Whether nothing comes of it.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.leg.is_gone() || self.give_up_at() <= now
    }

    fn give_up_at(&self) -> Instant {
        self.began_at + PATIENCE
    }

    fn poll_timeout(&self) -> Instant {
        let times = [self.leg.poll_timeout(), self.nudge_at];
        let give_up_at = self.give_up_at();
        times.into_iter().flatten().fold(give_up_at, Instant::min)
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
    /// has come since `silent_since`, `regularly` before, and that has this round trip.
    pub(super) fn look_at(
        &self,
        doubted_at: Instant,
        silent_since: Instant,
        regularly: bool,
        rtt: Option<Duration>,
    ) -> Instant {
        let rtt = rtt.filter(|_| !regularly);
        let silence = rtt.map_or(SILENCE, |rtt| SILENCE.max(in_time(rtt)));
        let from = self.look_from.unwrap_or(doubted_at);
        from.max(doubted_at).max(silent_since + silence)
    }

    /// Whether the server that is silent since `doubted_at` may be asked as well.
    pub(super) fn may_ask_at_home(&self, doubted_at: Instant, now: Instant) -> bool {
        doubted_at + AT_HOME <= now
    }

    /// Whether it is asked rather than another one: every second time.
    pub(super) fn is_turn_of_home(&self) -> bool {
        self.looks % 2 == 1
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

    /// The peer was heard over this leg: so it has accepted, should its word be late.
    pub(super) fn heard_over(&mut self, session: SessionId) {
        if let Some(to) = &mut self.current
            && to.leg.session() == session
        {
            to.heard = true;
            to.agreed = true;
        }
    }

    /// Packets of the peer come over this leg.
    pub(super) fn carried_over(&mut self, session: SessionId) {
        if let Some(to) = &mut self.current
            && to.leg.session() == session
        {
            to.carries = true;
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

/// How long an answer may take.
fn in_time(rtt: Duration) -> Duration {
    rtt * 5 / 4 + LATE
}

/// The servers that are not asked: where the peer is not, and where we are.
pub(super) fn elsewhere(home: Option<ServerId>, absent: &BTreeSet<ServerId>) -> BTreeSet<ServerId> {
    absent.iter().copied().chain(home).collect()
}

#[cfg(test)]
mod tests;
