//! What the sockets report: STUN and relay frames for the sessions, and how sending goes.

use std::net::SocketAddr;
use std::time::Instant;

use gimlet_net::path::{Report, Via};
use gimlet_net::virtual_addr::VirtualAddr;
use gimlet_proto::frame::{self, FrameKind};
use gimlet_proto::stun;
use gimlet_proto::traversal::{Route, SocketId};

use super::{Engine, now};

impl Engine {
    pub(super) fn handle_report(&mut self, report: Report) {
        let now = now();
        match report {
            Report::Stun { via, datagram } => self.handle_stun(via, &datagram, now),
            Report::Frame {
                kind,
                session,
                payload,
            } => {
                self.with_session(session, |entry| match kind {
                    FrameKind::Bound => {
                        if let Some(counter) = frame::decode_bound(&payload) {
                            entry.session.handle_bound(session, counter, now);
                        }
                    }
                    FrameKind::Unknown => entry.session.handle_unknown(session, now),
                    FrameKind::Data | FrameKind::Bind => (),
                });
            }
            Report::Unclaimed { session, datagram } => self.unclaimed(session, datagram, now),
            Report::Suspect { link, route } => {
                let mut home = None;
                self.with_link(&link, |entry| {
                    home = entry.session.home;
                    entry.session.agent.handle_suspect(route, now)
                });
                if route == Route::Relay {
                    self.doubt_server(home, now);
                }
                self.doubt_entry(link.addr(), now);
            }
            Report::Heard { link, route } => {
                self.with_link(&link, |entry| entry.session.agent.handle_heard(route, now));
            }
            Report::SendFailed { link, route } => {
                self.with_link(&link, |entry| {
                    entry.session.agent.handle_send_failed(route, now)
                });
                self.doubt_entry(link.addr(), now);
            }
            Report::Flowing { .. } => self.flowing(now),
            Report::Relayed { link, session } => self.with_link(&link, |entry| {
                entry.session.relocations.carried_over(session);
            }),
        }
    }

    fn handle_stun(&mut self, via: Via, datagram: &[u8], now: Instant) {
        let (route, entry) = match via {
            Via::Direct { socket, remote } => {
                self.pass_on_answer(socket, remote, datagram);
                if self.handle_lookout(socket, remote, datagram, now) {
                    return;
                }
                if self.handle_discovery(socket, remote, datagram, now) {
                    return;
                }
                if self.handle_nearness(socket, remote, datagram, now) {
                    return;
                }
                (
                    Route::Direct { socket, remote },
                    self.entry_of_check(socket, remote, datagram),
                )
            }
            Via::Relay(session) => (Route::Relay, self.by_session.get(&session).copied()),
        };
        let Some(entry) = entry else {
            return self.shared.socket.note_bad_stun();
        };
        let socket = self.shared.socket.clone();
        self.with_entry(entry, |entry| {
            match (entry.session.agent.handle_stun(route, datagram, now), via) {
                (Ok(()), Via::Relay(session)) => entry.session.relocations.heard_over(session),
                (Ok(()), Via::Direct { .. }) => (),
                (Err(dropped), _) => {
                    socket.note_bad_stun();
                    tracing::trace!(?dropped, "STUN datagram dropped");
                }
            }
        });
    }

    /// A check names its session by the user fragment, an answer by the transaction id.
    fn entry_of_check(
        &self,
        socket: SocketId,
        remote: SocketAddr,
        datagram: &[u8],
    ) -> Option<VirtualAddr> {
        if let Some(fragment) = stun::fragment_of(datagram) {
            return self.by_fragment.get(&fragment).copied();
        }
        let transaction = stun::transaction_of(datagram)?;
        let owns = |addr: &VirtualAddr| {
            self.entries
                .get(addr)
                .is_some_and(|entry| entry.session.agent.owns(&transaction))
        };
        // Nearly every answer comes from an address that a link has proven.
        let proven = self.shared.socket.link_at(socket, remote).filter(&owns);
        proven.or_else(|| self.entries.keys().copied().find(owns))
    }
}
