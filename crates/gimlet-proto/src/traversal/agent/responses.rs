//! Answers to our checks.

use std::time::Instant;

use super::Agent;
use crate::stun::{Answer, Body, Incoming, TransactionId};
use crate::traversal::path::State;
use crate::traversal::{Dropped, Event, Role, Route, canonical};

impl Agent {
    /// Takes an answer: it must belong to a check of ours, come the way that went, and prove
    /// knowledge of the other side's password. Anything else leaves the check waiting.
    pub(super) fn handle_response(
        &mut self,
        via: Route,
        incoming: &Incoming<'_>,
        now: Instant,
    ) -> Result<(), Dropped> {
        let (transaction, mapped) = match incoming.body {
            Body::Success(Answer {
                transaction,
                mapped,
            }) => (transaction, mapped),
            Body::Error(transaction) => (transaction, None),
            Body::Request { .. } => return Err(Dropped::Malformed),
        };
        let index = self.find(transaction, via)?;
        let remote = self.remote.as_ref().ok_or(Dropped::UnknownTransaction)?;
        if !incoming.verify(remote.seal.key()) {
            return Err(Dropped::BadIntegrity);
        }
        if matches!(incoming.body, Body::Error(_)) {
            return Err(Dropped::ErrorResponse);
        }
        let sent = self
            .outstanding
            .remove(index)
            .ok_or(Dropped::UnknownTransaction)?;
        self.outcome.counts.answers_received =
            self.outcome.counts.answers_received.saturating_add(1);
        if via.is_direct() && self.outcome.times.first_answer.is_none() {
            self.outcome.times.first_answer = Some(self.elapsed(now));
        }
        if let Some(number) = sent.nomination {
            self.lead.answered(number);
        }
        // What a search hit, a path that was not known.
        if !self.paths.contains_key(&via) {
            let sender = self
                .remote
                .as_ref()
                .map_or([0; 8], |remote| remote.fragment);
            self.learn(via, sender, false, now);
        }
        self.credit_search(via);
        let enough = self.enough(via);
        let next_at = self.next_check_at(via, now);
        // A shorter answer does not prove that full-size datagrams come back.
        let size = match incoming.size() >= usize::from(sent.size) {
            true => sent.size,
            false => 0,
        };
        if let Some(path) = self.paths.get_mut(&via) {
            let rtt = now.saturating_duration_since(sent.sent_at);
            path.mapped = mapped.map(canonical).or(path.mapped);
            path.answered(rtt, size, enough, next_at, now);
        }
        if via == self.selected
            && let Some(doubted_at) = self.doubted_at.take()
        {
            let after = now.saturating_duration_since(doubted_at);
            self.push_event(Event::Recovered { route: via, after });
            self.confirm_choice(now);
        }
        self.allow(via);
        self.burst(now);
        Ok(())
    }

    fn find(&self, transaction: TransactionId, via: Route) -> Result<usize, Dropped> {
        let index = self
            .outstanding
            .iter()
            .position(|sent| sent.transaction == transaction)
            .ok_or(Dropped::UnknownTransaction)?;
        match self.outstanding[index].route == via {
            true => Ok(index),
            false => Err(Dropped::WrongSource),
        }
    }

    /// The datagram size that proves a path. The relay carries what it carries; a path that the
    /// dialer nominated has been proven by the dialer, both ways.
    fn enough(&self, via: Route) -> u16 {
        let nominated = self.role == Role::Controlled && self.lead.nominated() == Some(via);
        match via.is_direct() && !nominated {
            true => self.mtu,
            false => 1,
        }
    }

    /// When a path that has just answered is checked again.
    fn next_check_at(&mut self, via: Route, now: Instant) -> Instant {
        let interval = match via == self.selected && via.is_direct() {
            true => self.config.consent_interval,
            false => self.config.keepalive_interval,
        };
        now + self.entropy.jitter(interval)
    }

    /// A path that is now in use is checked more often than it was in reserve.
    pub(super) fn hasten(&mut self, route: Route, now: Instant) {
        let at = now + self.entropy.jitter(self.config.consent_interval);
        if let Some(path) = self.paths.get_mut(&route)
            && matches!(path.state, State::Valid { .. })
            && path.next_at().is_some_and(|next| next > at)
        {
            path.set_next_at(at);
        }
    }
}
