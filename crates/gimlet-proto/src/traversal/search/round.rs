//! How a search goes from round to round: by what it is told and by the clock.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::plan::{self, Kind, Shape};
use super::samples::ports_of;
use super::terms::{USUAL_RTT, terms};
use super::{Action, Search, SearchEnd, Stage, View};
use crate::hint::{Hint, Ports};
use crate::stun::TransactionId;
use crate::traversal::entropy::Entropy;
use crate::traversal::{Role, SocketId};

/// Packets a second that one search may send: 15 kB/s, less than a voice call.
pub(super) const PACKETS_PER_SECOND: u32 = 100;

/// Packets that may go out at once: the openings of a predicted round, which others' packets must
/// not come between.
pub(super) const PACKETS_AT_ONCE: u32 = 40;

/// How long plain checks are waited for where they may work, and three round trips over the relay
/// besides: nearly all that ever do have by then, and a search that was not needed costs a socket.
const PLAIN_FIRST: Duration = Duration::from_millis(600);

/// How long sockets may take to open, and samples to be answered. A lost sample is repeated.
const PREPARATION: Duration = Duration::from_secs(2);
const SAMPLE_REPEAT: Duration = Duration::from_millis(150);
const SAMPLE_TIME: Duration = Duration::from_millis(1200);

/// How long the other side may take to answer a hint, besides the way there and back: its sockets
/// and samples.
const ANSWER_TIME: Duration = Duration::from_secs(4);

/// How soon a busy host is asked again.
const BUSY: Duration = Duration::from_secs(5);

/// Rounds answered without a path between: more than a well-behaved dialer ever begins.
const MAX_ROUNDS: u32 = 12;

impl Search {
    /// When [`tick`](Self::tick) has something to do.
    pub(in crate::traversal) fn poll_timeout(&self, view: &View) -> Option<Instant> {
        match &self.stage {
            Stage::Idle => self.due_at(view),
            Stage::Wanted => None,
            Stage::Opening { until } | Stage::Offered { until } | Stage::Resting { until } => {
                Some(*until)
            }
            Stage::Sampling {
                repeat_at, until, ..
            } => Some(*repeat_at.min(until)),
            Stage::Running(round) => Some(round.next_at.min(round.until)),
        }
    }

    /// When the dialer's side should begin, if at all.
    fn due_at(&self, view: &View) -> Option<Instant> {
        let since = view.trying_since?;
        let able = self.facts.server.is_some() && self.facts.own.is_some();
        if view.role != Role::Controlling || self.over || !able || view.direct.is_some() {
            return None;
        }
        match plan::is_needed(view.local_nat, view.remote_nat) {
            true => Some(since),
            false => Some(since + PLAIN_FIRST + 3 * view.relay_rtt.unwrap_or(USUAL_RTT)),
        }
    }

    /// Does what is due.
    pub(in crate::traversal) fn tick(&mut self, view: &View, now: Instant) {
        if let Some(kept) = view.direct {
            return self.succeed(kept, now);
        }
        match &mut self.stage {
            Stage::Idle => {
                if self.due_at(view).is_some_and(|at| at <= now) {
                    self.want(view);
                }
            }
            Stage::Wanted => (),
            Stage::Opening { until } => {
                if *until <= now {
                    self.fail(SearchEnd::Unable, view, now);
                }
            }
            Stage::Sampling {
                repeat_at, until, ..
            } => {
                if *until <= now {
                    self.offer(view, now);
                } else if *repeat_at <= now {
                    *repeat_at = now + SAMPLE_REPEAT;
                    self.repeat_samples();
                }
            }
            Stage::Offered { until } => {
                if *until <= now {
                    self.fail(SearchEnd::Unanswered, view, now);
                }
            }
            Stage::Running(round) if round.until <= now => self.end_round(view, now),
            Stage::Running(_) => self.send_due(view, now),
            Stage::Resting { until } => {
                if *until <= now {
                    match view.role {
                        Role::Controlling => self.begin_round(self.round + 1, view, now),
                        Role::Controlled => self.fail(SearchEnd::Exhausted, view, now),
                    }
                }
            }
        }
    }

    fn want(&mut self, view: &View) {
        let shapes = (self.shape(view), plan::shape(view.remote_nat));
        if plan::kind(shapes.0, shapes.1).is_none() {
            self.over = true;
            self.outcome.ended = Some(SearchEnd::Infeasible);
            return;
        }
        self.stage = Stage::Wanted;
        self.actions.push_back(Action::Want);
    }

    /// The owner lets it begin.
    pub(in crate::traversal) fn permit(&mut self, view: &View, now: Instant) {
        if self.stage == Stage::Wanted {
            self.begin_round(self.round + 1, view, now);
        }
    }

    /// How our next mapping comes about: samples know better than the class, and what failed is not
    /// assumed again.
    pub(super) fn shape(&self, view: &View) -> Shape {
        let known = self.assumed.or(self.sampled);
        known.unwrap_or_else(|| plan::shape(view.local_nat))
    }

    /// What this side takes its NAT for in the round that begins, instead of what it seems: seen from
    /// one address only, a mapping for each address looks like one for all. First both assume that,
    /// where the port can then be told; after that one side and then the other, where it cannot.
    fn assumption(&self, theirs: Option<&Ports>, view: &View) -> Option<Shape> {
        let doubtful = plan::shape(view.local_nat) == Shape::Fixed && !self.facts.ports.exact;
        let shape = plan::if_dependent(view.local_nat).filter(|_| doubtful)?;
        let random = matches!(shape, Shape::Range { .. });
        let turn = match (self.played, view.role) {
            (0 | 1, _) => false,
            (2, _) => !random,
            (3, Role::Controlling) => random,
            (_, Role::Controlled) => random && matches!(theirs, Some(Ports::Fixed(_))),
            (_, Role::Controlling) => false,
        };
        turn.then_some(shape)
    }

    /// Rounds that the dialer's side plays at most.
    pub(super) fn rounds(&self, view: &View) -> u32 {
        let shapes = (plan::shape(view.local_nat), plan::shape(view.remote_nat));
        let random = |nat| matches!(plan::if_dependent(nat), Some(Shape::Range { .. }));
        match plan::kind(self.sampled.unwrap_or(shapes.0), shapes.1) {
            Some(Kind::Fresh) => {
                let mine = random(view.local_nat) && !self.facts.ports.exact;
                let theirs = random(view.remote_nat);
                // The third is the dialer's to assume, so it is played for the fourth, too.
                2 + 2 * u32::from(theirs) + u32::from(mine && !theirs)
            }
            Some(kind) => terms(kind, USUAL_RTT).rounds,
            None => 0,
        }
    }

    /// The owner does not.
    pub(in crate::traversal) fn refuse(&mut self) {
        if self.stage == Stage::Wanted {
            self.stage = Stage::Idle;
            self.over = true;
            self.outcome.ended = Some(SearchEnd::Refused);
        }
    }

    pub(super) fn begin_round(&mut self, round: u32, view: &View, now: Instant) {
        self.round = round;
        self.played += 1;
        self.outcome.rounds += 1;
        self.outcome.ended = None;
        self.started_at.get_or_insert(now);
        self.close_all_but(None);
        self.mine = None;
        let theirs = self.theirs.filter(|hint| hint.round == round);
        self.assumed = self.assumption(theirs.as_ref().map(|hint| &hint.ports), view);
        let their_shape = match theirs.map(|hint| plan::shape_of(&hint.ports)) {
            Some(Some(told)) => told,
            Some(None) => return self.fail(SearchEnd::Infeasible, view, now),
            None => plan::shape(view.remote_nat),
        };
        let Some(kind) = plan::kind(self.shape(view), their_shape) else {
            return self.fail(SearchEnd::Infeasible, view, now);
        };
        self.found_by = Some(kind);
        self.outcome.strategy = Some(kind.strategy());
        match plan::sockets(self.shape(view), kind) {
            0 => {
                if let Some((socket, seen)) = self.facts.own {
                    self.told_from = Some(socket);
                    self.mine = Some(Ports::Fixed(seen));
                }
                self.offer(view, now);
            }
            count => {
                self.stage = Stage::Opening {
                    until: now + PREPARATION,
                };
                self.actions.push_back(Action::Open(count));
            }
        }
    }

    /// Takes the sockets asked for, each with its local port; fewer than asked for will do.
    pub(in crate::traversal) fn handle_sockets(
        &mut self,
        sockets: &[(SocketId, u16)],
        view: &View,
        entropy: &mut Entropy,
        now: Instant,
    ) {
        if !matches!(self.stage, Stage::Opening { .. }) {
            let late = sockets.iter().map(|(id, _)| *id).collect();
            return self.actions.push_back(Action::Close(late));
        }
        self.sockets.extend(sockets.iter().map(|(id, _)| *id));
        self.outcome.sockets = self.outcome.sockets.max(self.sockets.len() as u32);
        if self.mine.is_some() {
            return self.offer(view, now);
        }
        self.told_from = self.sockets.first().copied();
        let (Some(&(_, port)), Some((_, seen))) = (sockets.first(), self.facts.own) else {
            return self.fail(SearchEnd::Unable, view, now);
        };
        let shape = self.shape(view);
        if shape == Shape::Preserved {
            self.mine = Some(Ports::Fixed(SocketAddr::new(seen.ip(), port)));
        }
        match plan::samples(shape) {
            0 => self.offer(view, now),
            count => self.sample(count, entropy, now),
        }
    }

    fn sample(&mut self, count: usize, entropy: &mut Entropy, now: Instant) {
        let asked: Vec<_> = self
            .sockets
            .iter()
            .take(count)
            .map(|&socket| (entropy.transaction(), socket))
            .collect();
        self.stage = Stage::Sampling {
            seen: vec![None; asked.len()],
            asked,
            repeat_at: now + SAMPLE_REPEAT,
            until: now + SAMPLE_TIME,
        };
        self.repeat_samples();
    }

    /// Asks for the samples that were not answered, in order.
    fn repeat_samples(&mut self) {
        let (Stage::Sampling { asked, seen, .. }, Some(server)) = (&self.stage, self.facts.server)
        else {
            return;
        };
        for (&(transaction, socket), seen) in asked.iter().zip(seen) {
            if seen.is_none() {
                self.outcome.packets += 1;
                self.actions.push_back(Action::Sample {
                    socket,
                    server,
                    transaction,
                });
            }
        }
    }

    /// Takes the answer to a sample.
    pub(in crate::traversal) fn handle_sample(
        &mut self,
        transaction: TransactionId,
        mapped: SocketAddr,
        view: &View,
        now: Instant,
    ) {
        let Stage::Sampling { asked, seen, .. } = &mut self.stage else {
            return;
        };
        if let Some(nth) = asked.iter().position(|(id, _)| *id == transaction) {
            seen[nth] = Some(mapped);
        }
        if seen.iter().all(Option::is_some) {
            self.offer(view, now);
        }
    }

    /// Tells the other side where we are, and begins where it has told already.
    fn offer(&mut self, view: &View, now: Instant) {
        let ports = match (self.mine, &self.stage, self.facts.own) {
            (Some(told), ..) => told,
            (None, Stage::Sampling { seen, .. }, _) => {
                let seen: Vec<_> = seen.iter().flatten().copied().collect();
                match (self.shape(view), seen.first()) {
                    (Shape::Fixed, Some(&seen)) => Ports::Fixed(seen),
                    _ => ports_of(view.local_nat.allocation, self.facts.ports, &seen),
                }
            }
            (None, _, Some((_, seen))) => {
                ports_of(view.local_nat.allocation, self.facts.ports, &[seen])
            }
            (None, _, None) => Ports::Unknown,
        };
        let Some(told) = plan::shape_of(&ports) else {
            return self.fail(SearchEnd::Unable, view, now);
        };
        let first = self.mine.replace(ports).is_none();
        if first && self.assumed.is_none() && self.shape(view) == Shape::Sequence {
            self.sampled = Some(told);
        }
        // What was taken for a sequence and is none needs more sockets.
        let wanted = self
            .found_by
            .map_or(0, |kind| plan::sockets(self.shape(view), kind));
        let missing = wanted.saturating_sub(self.sockets.len() as u16);
        if first && missing > 0 && matches!(told, Shape::Range { .. }) {
            self.stage = Stage::Opening {
                until: now + PREPARATION,
            };
            return self.actions.push_back(Action::Open(missing));
        }
        self.say(ports, view);
        match self.theirs.filter(|hint| hint.round == self.round) {
            Some(theirs) => self.run(theirs, view, now),
            None => {
                let until = now + ANSWER_TIME + 2 * view.relay_rtt.unwrap_or(USUAL_RTT);
                self.stage = Stage::Offered { until };
            }
        }
    }

    fn say(&mut self, ports: Ports, view: &View) {
        self.actions.push_back(Action::Say(Hint {
            round: self.round,
            nat: view.local_nat,
            ports,
        }));
    }

    /// Takes the other side's word. The caller has the owner's permission to search.
    pub(in crate::traversal) fn handle_hint(
        &mut self,
        hint: Hint,
        observed: IpAddr,
        view: &View,
        now: Instant,
    ) {
        self.observed = Some(observed.to_canonical());
        match view.role {
            Role::Controlling => {
                if hint.round != self.round || !matches!(self.stage, Stage::Offered { .. }) {
                    return;
                }
                match hint.ports {
                    Ports::Busy if self.played < MAX_ROUNDS => {
                        self.stage = Stage::Resting { until: now + BUSY };
                    }
                    Ports::Busy | Ports::Unknown => self.fail(SearchEnd::Unanswered, view, now),
                    _ => {
                        self.theirs = Some(hint);
                        self.run(hint, view, now);
                    }
                }
            }
            Role::Controlled => {
                let able = self.facts.server.is_some() && self.facts.own.is_some();
                if hint.round <= self.round || view.direct.is_some() {
                    if self.stage == Stage::Idle {
                        self.actions.push_back(Action::Over);
                    }
                    return;
                }
                self.theirs = Some(hint);
                if !able || self.played >= MAX_ROUNDS {
                    self.round = hint.round;
                    return self.fail(SearchEnd::Unable, view, now);
                }
                self.begin_round(hint.round, view, now);
            }
        }
    }

    fn succeed(&mut self, kept: Option<SocketId>, now: Instant) {
        self.over = false;
        self.played = 0;
        if self.stage != Stage::Idle {
            self.note_time(now);
            self.stage = Stage::Idle;
            self.theirs = None;
            self.actions.push_back(Action::Over);
            self.close_all_but(kept);
        }
    }

    pub(super) fn fail(&mut self, why: SearchEnd, view: &View, now: Instant) {
        self.note_time(now);
        // The other side waits for a word of ours.
        let owed = self.mine.is_none() && self.theirs.is_some_and(|t| t.round == self.round);
        if owed {
            self.say(Ports::Unknown, view);
        }
        self.outcome.ended = Some(why);
        self.over = true;
        self.stop();
        self.actions.push_back(Action::Over);
    }

    fn note_time(&mut self, now: Instant) {
        if let Some(started_at) = self.started_at {
            self.outcome.took = now.saturating_duration_since(started_at);
        }
    }
}
