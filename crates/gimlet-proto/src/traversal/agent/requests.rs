//! Checks of the other side: answered to where they came from, learned from, followed.

use std::time::Instant;

use super::Agent;
use crate::candidate::is_sendable;
use crate::stun::{Answer, Body, CheckRole, Incoming, TransactionId, encode_answer};
use crate::traversal::config::MAX_SEEN;
use crate::traversal::path::{Size, State};
use crate::traversal::{Dropped, Event, Family, Role, Route, Transmit};

impl Agent {
    /// Takes a check. Nothing of it is believed, and nothing answered, before its integrity is
    /// verified with our own password, which only the other side and the server were told.
    pub(super) fn handle_request(
        &mut self,
        via: Route,
        incoming: &Incoming<'_>,
        now: Instant,
    ) -> Result<(), Dropped> {
        let Body::Request {
            receiver,
            sender,
            check,
        } = incoming.body
        else {
            return Err(Dropped::Malformed);
        };
        self.is_answerable(via)?;
        let stranger = |remote: &super::Remote| remote.fragment != sender;
        if receiver != self.credentials.fragment || self.remote.as_ref().is_some_and(stranger) {
            return Err(Dropped::WrongUser);
        }
        if !incoming.verify(&self.key) {
            return Err(Dropped::BadIntegrity);
        }
        let nomination = self.nomination_of(check.role)?;
        self.remember(check.transaction, via)?;
        if !self.answers.take(now) {
            return Err(Dropped::RateLimited);
        }
        // Without room for one more path the check is still answered: that costs no state.
        let known =
            self.paths.contains_key(&via) || self.learn(via, sender, nomination.is_some(), now);
        self.answer(via, check.transaction, incoming.size());
        if known {
            self.note_request(via, now);
        }
        match nomination {
            Some(number) if known => self.handle_nomination(via, number, now),
            Some(_) => Err(Dropped::StaleNomination),
            None => Ok(()),
        }
    }

    fn is_answerable(&self, via: Route) -> Result<(), Dropped> {
        let Route::Direct { socket, remote } = via else {
            return Ok(());
        };
        let own = self.sockets.iter().find(|(id, _)| *id == socket);
        let family = match own {
            Some((_, family)) => *family,
            None if self.search.has(socket) => Family::V4,
            None => return Err(Dropped::UnknownSocket),
        };
        let sendable = is_sendable(remote, self.config.allow_loopback) && family.reaches(remote);
        sendable.then_some(()).ok_or(Dropped::Unsendable)
    }

    /// The nomination number, if the check nominates. Roles are fixed, so a check that claims ours
    /// is not from the other side of this introduction.
    fn nomination_of(&self, role: CheckRole) -> Result<Option<u64>, Dropped> {
        match (self.role, role) {
            (
                Role::Controlled,
                CheckRole::Controlling {
                    tie_breaker,
                    nominate,
                },
            ) => Ok(nominate.then_some(tie_breaker)),
            (Role::Controlling, CheckRole::Controlled { .. }) => Ok(None),
            (Role::Controlled, CheckRole::Controlled { .. })
            | (Role::Controlling, CheckRole::Controlling { .. }) => Err(Dropped::RoleConflict),
        }
    }

    /// Tells a copy sent from elsewhere from the check itself. On a path that is known a copy does
    /// no harm; a new path must be earned by a check of its own.
    fn remember(&mut self, transaction: TransactionId, via: Route) -> Result<(), Dropped> {
        match self.seen.iter().find(|(seen, _)| *seen == transaction) {
            Some((_, route)) if *route == via || self.paths.contains_key(&via) => Ok(()),
            Some(_) => Err(Dropped::Replayed),
            None => {
                if self.seen.len() == MAX_SEEN {
                    self.seen.pop_front();
                }
                self.seen.push_back((transaction, via));
                Ok(())
            }
        }
    }

    fn answer(&mut self, via: Route, transaction: TransactionId, size: usize) {
        let mapped = match via {
            Route::Relay => None,
            Route::Direct { remote, .. } => Some(remote),
        };
        let answer = Answer {
            transaction,
            mapped,
        };
        let payload = encode_answer(&answer, &self.key, size);
        self.push_transmit(Transmit { via, payload });
    }

    fn note_request(&mut self, via: Route, now: Instant) {
        let counts = &mut self.outcome.counts;
        counts.checks_received = counts.checks_received.saturating_add(1);
        if via.is_direct() && self.outcome.times.first_check_received.is_none() {
            self.outcome.times.first_check_received = Some(self.elapsed(now));
        }
        self.allow(via);
        self.credit_search(via);
        let can_check = self.remote.is_some() && (via.is_direct() || self.relay_up);
        if let Some(path) = self.paths.get_mut(&via) {
            path.requests = path.requests.saturating_add(1);
            if can_check && path.trigger(self.config.first_retry, now) {
                self.send_check(via, Size::Full, now);
                self.begin_attempt(now);
            }
        }
        if via.is_direct() {
            self.end_hold(now);
        }
    }

    /// Tells the owner, once, that the peer has proven itself at this address.
    pub(super) fn allow(&mut self, via: Route) {
        let Route::Direct { socket, remote } = via else {
            return;
        };
        if let Some(path) = self.paths.get_mut(&via).filter(|path| !path.allowed) {
            path.allowed = true;
            self.push_event(Event::Allowed { socket, remote });
        }
    }

    /// Follows a nomination: the highest number wins. The same number again is a repetition, unless
    /// the path it came over first never worked: then somebody may have sent a copy from elsewhere.
    fn handle_nomination(&mut self, via: Route, number: u64, now: Instant) -> Result<(), Dropped> {
        let works = |route| self.paths.get(&route).is_some_and(|p| p.is_usable());
        if !self.lead.accept(number, via, works) {
            return Err(Dropped::StaleNomination);
        }
        let next_at = now + self.entropy.jitter(self.config.consent_interval);
        if let Some(path) = self.paths.get_mut(&via).filter(|_| via.is_direct()) {
            path.trust(next_at, now);
            if self.remote.is_some() && matches!(path.state, State::Idle | State::Dead { .. }) {
                path.start(self.config.first_retry, now);
                self.step(via, now);
            }
        }
        Ok(())
    }
}
