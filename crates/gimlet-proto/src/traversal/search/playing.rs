//! A round under way: what is sent when, until it is over.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::plan::{self, Kind, Plan};
use super::terms::{USUAL_RTT, terms};
use super::{Action, Round, Search, SearchEnd, Stage, View};
use crate::hint::Hint;
use crate::traversal::Role;

/// Until the side that answered gives up waiting for another round.
const NEXT_ROUND: Duration = Duration::from_secs(6);

/// Packets of one round toward an address that the server does not hear the other side from.
const UNVOUCHED: u32 = 16;

impl Search {
    pub(super) fn run(&mut self, theirs: Hint, view: &View, now: Instant) {
        let mine = self.shape(view);
        let Some(plan) = plan::plan(mine, &theirs.ports) else {
            return self.fail(SearchEnd::Infeasible, view, now);
        };
        let their_shape = plan::shape_of(&theirs.ports);
        let told = their_shape.and_then(|told| plan::kind(mine, told));
        // What the NATs promised says more than an endpoint does, unless it came out otherwise.
        let promised = self.found_by.filter(|kind| *kind != Kind::Fresh);
        let Some(kind) = told
            .filter(|kind| *kind != Kind::Fresh)
            .or(promised)
            .or(told)
        else {
            return self.fail(SearchEnd::Infeasible, view, now);
        };
        self.found_by = Some(kind);
        self.outcome.strategy = Some(kind.strategy());
        let rtt = view.relay_rtt.unwrap_or(USUAL_RTT);
        // Whoever speaks last is early by the way its word takes; on every other attempt of two
        // fixed endpoints the other side is, because that may be what went wrong.
        let last = view.role == Role::Controlled;
        let swapped = kind == Kind::Fresh && self.round.is_multiple_of(2);
        let hold = match last != swapped {
            true => rtt / 2,
            false => Duration::ZERO,
        };
        self.stage = Stage::Running(Round {
            kind,
            plan,
            next_at: now + hold,
            sent: 0,
            until: now + hold + terms(kind, rtt).length,
        });
        self.send_due(view, now);
    }

    pub(super) fn send_due(&mut self, view: &View, now: Instant) {
        let Stage::Running(round) = &mut self.stage else {
            return;
        };
        let terms = terms(round.kind, view.relay_rtt.unwrap_or(USUAL_RTT));
        let remote = match &round.plan {
            Plan::Open { target } => target.ip(),
            Plan::Probe { ip, .. } => *ip,
        };
        let most = match self.observed == Some(remote.to_canonical()) {
            true => terms.packets,
            false => UNVOUCHED,
        };
        while round.next_at <= now {
            if round.sent >= most {
                round.next_at = round.until;
                break;
            }
            if !self.budget.take(now) {
                round.next_at = self.budget.ready_at(now);
                break;
            }
            let nth = round.sent;
            let (socket, remote, in_pass) = match &mut round.plan {
                Plan::Open { target } => {
                    let count = self.sockets.len().max(1) as u32;
                    let own = self.sockets.get((nth % count) as usize).copied();
                    (own.or(self.told_from), *target, count)
                }
                Plan::Probe { ip, ports } => {
                    let count = ports.len();
                    (self.told_from, SocketAddr::new(*ip, ports.next()), count)
                }
            };
            round.sent += 1;
            self.outcome.packets += 1;
            let pause = match round.sent % in_pass {
                0 => terms.pause,
                _ => terms.pace,
            };
            round.next_at = now + pause;
            if let Some(socket) = socket {
                self.actions.push_back(Action::Check { socket, remote });
            }
        }
    }

    pub(super) fn end_round(&mut self, view: &View, now: Instant) {
        match view.role {
            Role::Controlling if self.played >= self.rounds(view) => {
                self.fail(SearchEnd::Exhausted, view, now);
            }
            Role::Controlling => self.begin_round(self.round + 1, view, now),
            Role::Controlled => {
                self.stage = Stage::Resting {
                    until: now + NEXT_ROUND,
                }
            }
        }
    }
}
