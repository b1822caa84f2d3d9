//! What the answers so far say: a pure function of the questions.

use std::net::SocketAddr;

use super::{Hairpin, Prober};
use crate::candidate::{Allocation, Behaviour};
use crate::nat::allocation::{self, Sample};
use crate::nat::query::{Ask, Query, State};
use crate::nat::{Report, Seen, Slot, double_nat, mapping};
use crate::stun::Change;

impl Prober {
    /// Every answer that tells where a socket is seen.
    pub(super) fn seen(&self) -> Vec<Seen> {
        let seen = |query: &Query| match query.state {
            State::Answered {
                mapped: Some(mapped),
                ..
            } if !matches!(query.ask, Ask::Change(_)) => Some(Seen {
                slot: query.slot,
                server: query.to,
                mapped,
            }),
            State::Answered { .. } | State::Waiting { .. } | State::Refused | State::Silent => None,
        };
        self.queries.iter().filter_map(seen).collect()
    }

    pub(super) fn judge(&self) -> Report {
        let seen = self.seen();
        let of_family = |v6: bool| -> Vec<Seen> {
            let is = |seen: &&Seen| seen.server.is_ipv6() == v6;
            seen.iter().filter(is).copied().collect()
        };
        let (v4, v6) = (of_family(false), of_family(true));
        let own = |seen: &[Seen]| {
            let is_own = |seen: &&Seen| matches!(seen.slot, Slot::Own(_));
            seen.iter().find(is_own).map(|seen| seen.mapped)
        };
        let mut report = Report {
            reflexive_v4: own(&v4),
            reflexive_v6: own(&v6),
            blocked: seen.is_empty() && !self.queries.is_empty() && self.is_mapped(),
            translated: own(&v4).map(|outside| !self.is_own(outside)),
            firewall_v6: self.firewall_v6(),
            ..Report::default()
        };
        (report.class.mapping, report.two_addresses) = mapping(&v4);
        if report.translated == Some(false) {
            report.class.mapping = report
                .class
                .mapping
                .or(Some(Behaviour::EndpointIndependent));
            report.class.allocation = Some(Allocation::Preserving);
        } else if self.fresh.is_sampled() && !self.samples().is_empty() {
            report.set_pattern(allocation::classify(&self.samples()));
        } else if !self.fresh.is_pending() {
            report.class.allocation = self.kept(&v4).then_some(Allocation::Preserving);
        }
        report.class.filtering = self.filtering();
        report.class.hairpin = self.hairpinned(&report);
        let local = self.plan.local.iter().find(|(_, addr)| addr.is_ipv4());
        if let (Some(&(_, local)), Some(outside)) = (local, report.reflexive_v4) {
            let local = if report.translated == Some(false) {
                outside
            } else {
                local
            };
            let allocation = report.class.allocation;
            report.double_nat = double_nat(local.ip(), outside.ip(), None, allocation);
        }
        report
    }

    /// New mappings, one each. Where the mapping does not depend on the port, a socket's second
    /// question makes no new one.
    pub(super) fn samples(&self) -> Vec<Sample> {
        let (behaviour, _) = mapping(&self.seen());
        let each = behaviour == Some(Behaviour::AddressAndPortDependent);
        let mut samples = Vec::new();
        let mut nth = [0; 2];
        let mut last = None;
        for query in &self.queries {
            let (Some((series, _)), Slot::Fresh(slot)) = (query.sample, query.slot) else {
                continue;
            };
            let first = last.replace(query.slot) != Some(query.slot);
            if !first && !each {
                continue;
            }
            let place = &mut nth[usize::from(series.min(1))];
            *place += 1;
            if let (
                State::Answered {
                    mapped: Some(mapped),
                    first: ordered,
                },
                Some(inside),
            ) = (query.state, self.fresh.port(slot))
            {
                samples.push(Sample {
                    series,
                    nth: *place,
                    ordered,
                    inside,
                    first,
                    outside: mapped.port(),
                });
            }
        }
        samples
    }

    fn is_own(&self, outside: SocketAddr) -> bool {
        self.plan.local.iter().any(|&(_, addr)| addr == outside)
    }

    /// Without fresh sockets: our own port, seen alike by all, says that ports are kept.
    fn kept(&self, seen: &[Seen]) -> bool {
        let kept = |seen: &Seen| match seen.slot {
            Slot::Own(socket) => {
                let mut own = self.plan.local.iter().filter(|(s, _)| *s == socket);
                own.any(|(_, addr)| addr.port() == seen.mapped.port())
            }
            Slot::Fresh(_) => false,
        };
        !seen.is_empty() && seen.iter().all(kept)
    }

    fn change(&self, change: Change, v6: bool) -> Option<State> {
        let is = |q: &&Query| q.ask == Ask::Change(change) && q.to.is_ipv6() == v6;
        self.queries.iter().find(is).map(|query| query.state)
    }

    /// Whether the socket that changes are asked with has been answered at all.
    fn is_described(&self, v6: bool) -> bool {
        let is = |q: &&Query| q.ask == Ask::Describe && q.to.is_ipv6() == v6;
        let described = self.queries.iter().find(is);
        described.is_some_and(|query| matches!(query.state, State::Answered { .. }))
    }

    fn filtering(&self) -> Option<Behaviour> {
        let port = self.change(
            Change {
                ip: false,
                port: true,
            },
            false,
        )?;
        let both = self.change(
            Change {
                ip: true,
                port: true,
            },
            false,
        )?;
        match (port, both) {
            (_, State::Answered { .. }) => Some(Behaviour::EndpointIndependent),
            (State::Answered { .. }, State::Silent | State::Refused) => {
                Some(Behaviour::AddressDependent)
            }
            (State::Silent, State::Silent | State::Refused) if self.is_described(false) => {
                Some(Behaviour::AddressAndPortDependent)
            }
            (
                State::Silent | State::Refused | State::Answered { .. } | State::Waiting { .. },
                _,
            ) => None,
        }
    }

    fn firewall_v6(&self) -> Option<bool> {
        match self.change(
            Change {
                ip: false,
                port: true,
            },
            true,
        )? {
            State::Answered { .. } => Some(false),
            State::Silent if self.is_described(true) => Some(true),
            State::Silent | State::Refused | State::Waiting { .. } => None,
        }
    }

    fn hairpinned(&self, report: &Report) -> Option<bool> {
        match self.hairpin {
            Hairpin::Heard => Some(true),
            Hairpin::Asked => {
                let mut asked = self.queries.iter().filter(|q| q.ask == Ask::Hairpin);
                let same = Some(Behaviour::EndpointIndependent);
                let tells = report.class.mapping == same || report.class.filtering == same;
                (!asked.any(Query::is_waiting) && tells).then_some(false)
            }
            Hairpin::Before | Hairpin::Skipped => None,
        }
    }
}
