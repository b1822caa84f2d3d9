//! The search as part of the session: what it is told, and what it wants done.

use std::net::IpAddr;
use std::time::Instant;

use super::Agent;
use crate::hint::Hint;
use crate::stun::{TransactionId, decode_binding_response, encode_binding_request, transaction_of};
use crate::traversal::search::{Action, SearchFacts, View};
use crate::traversal::{Event, Route, SocketId, Transmit};

impl Agent {
    /// Tells what a search needs to know. Without a server and an own IPv4 endpoint there is none.
    pub fn set_search(&mut self, facts: SearchFacts) {
        self.search.set_facts(facts);
    }

    /// Lets a search begin that was [wanted](Event::SearchWanted). The owner permits one at a time,
    /// and may do so late or never.
    pub fn permit_search(&mut self, now: Instant) {
        let view = self.view();
        self.search.permit(&view, now);
        self.finish(now);
    }

    /// Turns a search down that was [wanted](Event::SearchWanted): the owner has tried this pair lately, or
    /// is busy for long.
    pub fn refuse_search(&mut self, now: Instant) {
        self.search.refuse();
        self.finish(now);
    }

    /// Feeds what the other side says of where it can be found. `observed` is from where the server
    /// hears it: nobody else is searched for. The owner must be ready to permit the search, and is
    /// told by [`Event::SearchOver`] when it has ended.
    pub fn handle_hint(&mut self, hint: Hint, observed: IpAddr, now: Instant) {
        if self.remote.is_none() || !self.config.search {
            self.push_event(Event::SearchOver);
            return;
        }
        if let Some(remote) = &mut self.remote {
            remote.nat = hint.nat;
        }
        let view = self.view();
        self.search.handle_hint(hint, observed, &view, now);
        self.finish(now);
    }

    /// Hands over the sockets that [`Event::OpenSockets`] asked for, each with its local port; none if
    /// none could be opened.
    pub fn handle_sockets(&mut self, sockets: &[(SocketId, u16)], now: Instant) {
        let view = self.view();
        self.search
            .handle_sockets(sockets, &view, &mut self.entropy, now);
        self.finish(now);
    }

    /// Takes the answer to one of the search's samples; `None` if it is not one.
    pub(super) fn handle_sample(
        &mut self,
        via: Route,
        datagram: &[u8],
        now: Instant,
    ) -> Option<()> {
        let transaction = transaction_of(datagram)?;
        if !via.is_direct() || !self.search.owns(&transaction) {
            return None;
        }
        let answer = decode_binding_response(datagram)?;
        let view = self.view();
        self.search
            .handle_sample(answer.transaction, answer.mapped, &view, now);
        Some(())
    }

    pub(super) fn owns_sample(&self, transaction: &TransactionId) -> bool {
        self.search.owns(transaction)
    }

    /// Lets the search do what is due, and does what it wants done.
    pub(super) fn drive_search(&mut self, now: Instant) {
        let view = self.view();
        self.search.tick(&view, now);
        while let Some(action) = self.search.poll_action() {
            match action {
                Action::Want => self.push_event(Event::SearchWanted),
                Action::Open(count) => self.push_event(Event::OpenSockets { count }),
                Action::Sample {
                    socket,
                    server,
                    transaction,
                } => self.push_transmit(Transmit {
                    via: Route::Direct {
                        socket,
                        remote: server,
                    },
                    payload: encode_binding_request(transaction),
                }),
                Action::Check { socket, remote } => {
                    self.send_probe(Route::Direct { socket, remote }.canonical(), now)
                }
                Action::Say(hint) => self.push_event(Event::Say(hint)),
                Action::Close(sockets) => {
                    self.forget_sockets(&sockets);
                    self.push_event(Event::CloseSockets(sockets));
                }
                Action::Over => self.push_event(Event::SearchOver),
            }
        }
        self.outcome.search = self.search.outcome();
    }

    pub(super) fn search_timeout(&self) -> Option<Instant> {
        self.search.poll_timeout(&self.view())
    }

    fn view(&self) -> View {
        let trying = self.config.search && self.relay_up && !self.selected.is_direct();
        let known_at = self
            .outcome
            .times
            .remote_known
            .map(|after| self.started_at + after);
        View {
            role: self.role,
            direct: match self.selected {
                Route::Direct { socket, .. } => Some(Some(socket)),
                Route::Relay => None,
            },
            relay_rtt: self.rtt(Route::Relay),
            local_nat: self.local_nat,
            remote_nat: self
                .remote
                .as_ref()
                .map_or_else(Default::default, |remote| remote.nat),
            trying_since: known_at
                .filter(|_| trying)
                .map(|known_at| known_at.max(self.selected_at)),
        }
    }

    /// Drops the paths of sockets that are being closed.
    fn forget_sockets(&mut self, closed: &[SocketId]) {
        let gone: Vec<_> = self
            .paths
            .keys()
            .copied()
            .filter(|route| match route {
                Route::Direct { socket, .. } => closed.contains(socket),
                Route::Relay => false,
            })
            .collect();
        for route in gone {
            self.remove(route);
        }
    }
}
