//! How far each server is, and what it is to us.

use std::fmt;

use serde::Serialize;

use super::ms;
use crate::control::{ServerRole, ServerStatus};

/// One server, for people and scripts to see.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServerDistance {
    /// `host:port`, as given; never the token.
    pub address: String,
    /// The round trip, where it was measured.
    pub rtt_ms: Option<f64>,
    /// What it is to us now.
    pub role: ServerRole,
}

impl From<ServerStatus> for ServerDistance {
    fn from(status: ServerStatus) -> Self {
        Self {
            address: status.address,
            rtt_ms: status.rtt.map(ms),
            role: status.role,
        }
    }
}

impl fmt::Display for ServerDistance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = match self.role {
            ServerRole::Primary => ", asked first",
            ServerRole::Warm => ", kept warm",
            ServerRole::OnDemand => ", for a peer who is there",
            ServerRole::Idle => "",
        };
        match self.rtt_ms {
            Some(rtt_ms) => write!(f, "{} ({rtt_ms:.1} ms{role})", self.address),
            None => write!(f, "{} (not measured{role})", self.address),
        }
    }
}
