//! Tells what came of an attempt: this endpoint's own listeners always, the server unless told not
//! to.
//!
//! Only the dialing side reports, a dial once. What is settled waits a moment: for QUIC to be heard
//! over the direct path, for a handshake that the direct path has overtaken, or for an attempt that
//! failed to be taken up with a new address. One that is left before it is settled is reported as it
//! stands, or the numbers would know quick successes and no slow failures. A direct path that comes
//! later still is reported as another attempt.

use std::time::{Duration, Instant};

use gimlet_net::virtual_addr::VirtualAddr;
use gimlet_proto::message::{Outcome, RefuseReason, ToServer};
use gimlet_proto::stats::{Attempt, StageTimes};
use gimlet_proto::traversal::Role;

use super::{Engine, Entry, now};
use crate::control::ServerId;
use crate::event::EndpointEvent;
use crate::peer::{Facts, Peer};

/// How long an attempt that is settled may still get further before it is reported: some round
/// trips of candidates over the server, and of QUIC over the path.
const GRACE: Duration = Duration::from_secs(5);

/// Attempts reported of one session: a path found late, a peer that was restarted. A server takes
/// no more than eight.
const MAX_REPORTS: u8 = 4;

/// Where the report of a session's attempt stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Reporting {
    /// The attempt goes on.
    #[default]
    Open,
    /// It is settled and may still get further.
    Settled {
        /// When it is reported as it is then.
        report_by: Instant,
    },
    /// It was reported.
    Done {
        /// As one with a direct path.
        direct: bool,
    },
}

/// Reports of one session.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reports {
    state: Reporting,
    sent: u8,
}

impl Reports {
    /// The session's attempt begins anew, with a peer that has forgotten it.
    pub(super) fn restart(&mut self) {
        self.state = Reporting::Open;
    }
}

impl Engine {
    /// The attempt of a session is settled.
    pub(super) fn attempt_settled(&mut self, addr: VirtualAddr, direct: bool) {
        let Some(entry) = self.entries.get_mut(&addr) else {
            return;
        };
        match entry.reports.state {
            Reporting::Done { direct: before } if before || !direct => (),
            Reporting::Done { .. } | Reporting::Open | Reporting::Settled { .. } => {
                let report_by = now() + GRACE;
                entry.reports.state = Reporting::Settled { report_by };
            }
        }
        if direct {
            self.report_complete(addr);
        }
    }

    /// Reports an attempt that gets no further: QUIC was heard over the direct path, and the handshake is
    /// done. That it is done is known to who dialled, perhaps a moment after the path is.
    pub(super) fn report_complete(&mut self, addr: VirtualAddr) {
        let is_complete = self.entries.get(&addr).is_some_and(|entry| {
            let moments = entry.peer.facts.borrow().moments;
            moments.confirmed_at.is_some() && moments.connected_at.is_some()
        });
        if is_complete {
            self.report_attempt(addr);
        }
    }

    /// Reports the attempt as it stands.
    fn report_attempt(&mut self, addr: VirtualAddr) {
        if let Some(entry) = self.entries.get_mut(&addr)
            && let Some(report) = attempt_of(entry)
        {
            let (peer, home) = (entry.peer.clone(), entry.session.home);
            self.report(&peer, home, report);
        }
    }

    /// Reports what waited long enough for what was still to come.
    pub(super) fn report_overdue(&mut self, now: Instant) {
        let due = |entry: &Entry| match entry.reports.state {
            Reporting::Settled { report_by } => report_by <= now,
            Reporting::Open | Reporting::Done { .. } => false,
        };
        let due = self.entries.iter().filter(|(_, entry)| due(entry));
        for addr in due.map(|(&addr, _)| addr).collect::<Vec<_>>() {
            self.report_attempt(addr);
        }
    }

    /// A session ends; what was not reported of it is now.
    pub(super) fn report_end(&self, entry: &mut Entry) {
        if let Some(report) = attempt_of(entry) {
            self.report(&entry.peer, entry.session.home, report);
        }
    }

    /// There was no introduction. The server has seen that itself.
    pub(super) fn report_refusal(&self, peer: &Peer, reason: RefuseReason) {
        self.shared.announce(EndpointEvent::Attempted {
            peer: peer.id,
            attempt: Attempt::default(),
            refused: Some(reason),
        });
    }

    fn report(&self, peer: &Peer, home: Option<ServerId>, report: Outcome) {
        let Outcome { attempt, .. } = report;
        self.shared.announce(EndpointEvent::Attempted {
            peer: peer.id,
            attempt,
            refused: None,
        });
        if let (true, Some(home)) = (self.shared.report_outcomes, home) {
            self.control.send(home, ToServer::Outcome(report));
        }
    }
}

/// What there is to report of a session, once.
fn attempt_of(entry: &mut Entry) -> Option<Outcome> {
    let Reports { state, sent } = &mut entry.reports;
    let introduced = entry.session.remote.is_some();
    if entry.session.role != Role::Controlling
        || !introduced
        || matches!(state, Reporting::Done { .. })
        || *sent >= MAX_REPORTS
    {
        return None;
    }
    *sent += 1;
    let mut facts = *entry.peer.facts.borrow();
    facts.outcome = entry.session.agent.outcome();
    facts.nat_remote = entry.session.nat_remote;
    let attempt = attempt(&facts);
    *state = Reporting::Done {
        direct: attempt.is_direct(),
    };
    Some(Outcome {
        session: entry.session.id(),
        attempt,
    })
}

fn attempt(facts: &Facts) -> Attempt {
    let (moments, outcome) = (&facts.moments, &facts.outcome);
    let since = |at: Option<Instant>| {
        let began_at = moments.dialled_at?;
        Some(millis(at?.saturating_duration_since(began_at)))
    };
    let direct_ms = since(moments.direct_at);
    Attempt {
        nat_local: facts.nat_local,
        nat_remote: facts.nat_remote,
        strategy: outcome.strategy.filter(|_| direct_ms.is_some()),
        failure: outcome.failure.filter(|_| direct_ms.is_none()),
        times: StageTimes {
            introduced_ms: since(moments.introduced_at),
            connected_ms: since(moments.connected_at),
            answered_ms: outcome.times.first_answer.map(millis),
            direct_ms,
            confirmed_ms: since(moments.confirmed_at),
        },
        packets: outcome.counts.checks_sent,
    }
}

fn millis(span: Duration) -> u32 {
    u32::try_from(span.as_millis()).unwrap_or(u32::MAX)
}
