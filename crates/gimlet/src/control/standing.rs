//! How it stands with the servers, for callers to see.

use std::time::Duration;

use gimlet_proto::address::ServerAddress;
use serde::Serialize;

use super::{ServerId, shown};
use crate::error::SignInError;
use crate::event::SignedIn;

/// Whether this endpoint is signed in.
#[derive(Debug, Clone)]
pub(crate) enum ControlState {
    /// The first attempts are under way.
    Connecting,
    /// Yes: what the first server says.
    Online(SignedIn),
    /// No; unless the reason is definite, the next attempt is coming.
    Failed(SignInError),
}

/// What a server is to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServerRole {
    /// Asked first.
    Primary,
    /// Signed in to as well, so that it can take over at once.
    Warm,
    /// Signed in to, or about to be, for a peer who is there.
    OnDemand,
    /// Known.
    Idle,
}

/// One of an endpoint's servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerStatus {
    /// `host:port`, as given.
    pub address: String,
    /// What it is to us now.
    pub role: ServerRole,
    /// Whether we are signed in there.
    pub online: bool,
    /// The round trip to it, once measured.
    pub rtt: Option<Duration>,
    /// Why we are not signed in, where that was tried.
    pub error: Option<SignInError>,
}

/// See the [module docs](self).
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(crate) state: ControlState,
    /// Where requests go, best first: the servers signed in to; while there are none, those that
    /// are being signed in to.
    pub(crate) order: Vec<ServerId>,
    pub(crate) servers: Vec<ServerStatus>,
    /// Whether every server has answered a measurement or had its time.
    pub(crate) measured: bool,
}

impl Standing {
    /// Before anything was tried.
    pub(super) fn new(servers: &[Vec<ServerAddress>]) -> Self {
        let status = |addresses: &Vec<ServerAddress>| ServerStatus {
            address: shown(&addresses[0]),
            role: ServerRole::Idle,
            online: false,
            rtt: None,
            error: None,
        };
        Self {
            state: match servers.is_empty() {
                true => ControlState::Failed(SignInError::NoServer),
                false => ControlState::Connecting,
            },
            order: Vec::new(),
            servers: servers.iter().map(status).collect(),
            measured: servers.is_empty(),
        }
    }
}
