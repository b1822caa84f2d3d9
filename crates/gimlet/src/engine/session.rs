//! The session with one peer: its traversal agent and its leg of the relay.
//!
//! The agent outlives relay sessions: when the server was restarted or has forgotten us, the peers
//! are introduced anew under the same check credentials, and direct paths stay as they are.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gimlet_net::path::{PathSocket, Target};
use gimlet_net::transport::MAX_PEER_MTU;
use gimlet_proto::candidate::NatClass;
use gimlet_proto::secret::{Credentials, RelaySecret, SessionId};
use gimlet_proto::traversal::{Agent, Config, Family, Role, SocketId};

use super::leg::Leg;
use super::relocation::Relocations;
use crate::control::ServerId;
use crate::peer::Peer;

/// First and longest pause before a lost introduction is asked for again.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// Where the introduction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Introduction {
    /// Not asked for: there is no server, or the last attempt failed. Asked at this time.
    Wanted { at: Instant, attempt: u32 },
    /// Asked for; the server answers, or says that the peer does not. Looked at again at this time.
    Asked {
        attempt: u32,
        asked_at: Instant,
        look_at: Instant,
    },
    /// Agreed on by both.
    Agreed,
}

/// See the [module docs](self).
pub(super) struct Session {
    pub(super) role: Role,
    pub(super) agent: Agent,
    pub(super) leg: Leg,
    /// Gap between keep-alives of paths in reserve and of the relay.
    keepalive: Duration,
    pub(super) introduction: Introduction,
    /// The server of the relay session: where the introduction was asked for, or came from.
    pub(super) home: Option<ServerId>,
    /// Where the relay session goes, or was.
    pub(super) relocations: Relocations,
    /// Servers where the peer was not found since it was last agreed on anything.
    pub(super) absent: BTreeSet<ServerId>,
    /// Ours.
    pub(super) credentials: Credentials,
    /// The peer's, once known: the same again means the same session over a new relay.
    pub(super) remote: Option<Credentials>,
    pub(super) nat_remote: NatClass,
    /// Whether the agent has been told that the relay is up.
    pub(super) relay_up: bool,
}

impl Session {
    pub(super) fn new(
        role: Role,
        id: SessionId,
        config: Config,
        sockets: &[(SocketId, Family)],
        now: Instant,
    ) -> Self {
        let keepalive = config.keepalive_interval;
        let credentials = Credentials {
            fragment: rand::random(),
            password: rand::random(),
        };
        let agent = Agent::new(
            config,
            role,
            credentials.clone(),
            sockets,
            rand::random(),
            now,
        );
        Self {
            role,
            agent,
            leg: Leg::new(id, RelaySecret(rand::random()), keepalive, now),
            keepalive,
            introduction: Introduction::Wanted {
                at: now,
                attempt: 0,
            },
            home: None,
            relocations: Relocations::default(),
            absent: BTreeSet::new(),
            credentials,
            remote: None,
            nat_remote: NatClass::default(),
            relay_up: false,
        }
    }

    /// Whether we dial and the peer has not answered yet.
    pub(super) fn is_dialling(&self) -> bool {
        self.role == Role::Controlling
            && self.introduction != Introduction::Agreed
            && self.remote.is_none()
    }

    /// The relay session's id now.
    pub(super) fn id(&self) -> SessionId {
        self.leg.session()
    }

    /// The server took a bind of one of our legs.
    pub(super) fn handle_bound(&mut self, session: SessionId, counter: u64, now: Instant) {
        self.leg.handle_bound(session, counter, now);
        if let Some(to) = &mut self.relocations.current {
            to.leg.handle_bound(session, counter, now);
        }
    }

    /// A server says that it does not know one of our legs. Of one that we move to it may not have
    /// heard yet: what was said of that was lost, and is on its way again.
    pub(super) fn handle_unknown(&mut self, session: SessionId, now: Instant) {
        self.leg.handle_unknown(session, now);
    }

    /// Gap between keep-alives.
    pub(super) fn keepalive(&self) -> Duration {
        self.keepalive
    }

    /// Takes a new relay session; the agent and its paths stay.
    pub(super) fn renew(&mut self, id: SessionId, now: Instant) {
        self.leg = Leg::new(id, RelaySecret(rand::random()), self.keepalive, now);
    }

    /// Sets how often mappings on the way are refreshed.
    pub(super) fn set_keepalive(&mut self, interval: Duration) {
        self.keepalive = interval;
        self.agent.set_keepalive(interval);
        self.leg.set_refresh(interval);
    }

    /// Begins traversal anew under the same credentials.
    pub(super) fn start_over(
        &mut self,
        config: Config,
        sockets: &[(SocketId, Family)],
        now: Instant,
    ) {
        let credentials = self.credentials.clone();
        self.agent = Agent::new(config, self.role, credentials, sockets, rand::random(), now);
        self.remote = None;
        self.relay_up = false;
    }

    /// The introduction failed or was lost; it is asked for again after a pause.
    pub(super) fn lost_introduction(&mut self, now: Instant) {
        let attempt = match self.introduction {
            Introduction::Wanted { attempt, .. } | Introduction::Asked { attempt, .. } => attempt,
            Introduction::Agreed => 0,
        };
        let pause = (RETRY.0 * (1 << attempt.min(5))).min(RETRY.1);
        self.introduction = Introduction::Wanted {
            at: now + pause,
            attempt: attempt + 1,
        };
    }

    /// Asks for an introduction again, and at once: at another server.
    pub(super) fn ask_again(&mut self, now: Instant) {
        self.introduction = Introduction::Wanted {
            at: now,
            attempt: 1,
        };
    }

    /// The peer is not where it was asked for: asks at once, at another server.
    pub(super) fn ask_elsewhere(&mut self, now: Instant) {
        let attempt = match self.introduction {
            Introduction::Wanted { attempt, .. } | Introduction::Asked { attempt, .. } => attempt,
            Introduction::Agreed => 0,
        };
        self.introduction = Introduction::Wanted {
            at: now,
            attempt: attempt.max(1),
        };
    }

    pub(super) fn handle_timeout(&mut self, peer: &Arc<Peer>, socket: &PathSocket, now: Instant) {
        // What was heard since, without a message per packet.
        if let (Some(heard_at), Some(Target::Direct { .. })) =
            (socket.heard_at(&peer.link), peer.link.target())
        {
            self.agent.handle_heard(self.agent.selected(), heard_at);
        }
        self.agent.set_mtu(peer.current_mtu().min(MAX_PEER_MTU));
        self.agent.handle_timeout(now);
    }

    /// When the session wants to be looked at.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let wanted = match self.introduction {
            Introduction::Wanted { at, .. } if self.role == Role::Controlling => Some(at),
            Introduction::Asked { look_at, .. } => Some(look_at),
            Introduction::Wanted { .. } | Introduction::Agreed => None,
        };
        let (agent, leg) = (self.agent.poll_timeout(), self.leg.poll_timeout());
        let times = [agent, leg, wanted, self.relocations.poll_timeout()];
        times.into_iter().flatten().min()
    }
}
