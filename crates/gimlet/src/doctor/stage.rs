//! The stages of connecting, in the order they are taken.

use std::fmt;

use serde::Serialize;

/// One step on the way to a direct session, in the order they are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// What this program was told.
    Configuration,
    /// This host's own addresses.
    Network,
    /// The server, as far as it can be reached.
    Server,
    /// Whether it lets us in.
    SignIn,
    /// Its clock and ours.
    Clock,
    /// The router in front of us.
    Nat,
    /// A port that it gives when asked.
    PortMapping,
    /// The newer internet protocol.
    Ipv6,
    /// Whether the peer is known and there.
    Peer,
    /// Whether it agrees to meet.
    Introduction,
    /// The way through the server.
    Relay,
    /// Whether it is who it should be, and serves us.
    Handshake,
    /// What each side told the other of its addresses.
    Addresses,
    /// What the two routers allow together.
    Pair,
    /// Packets straight to the peer.
    Checks,
    /// A path made of them.
    Direct,
    /// Data over that path.
    Confirmed,
}

impl Stage {
    /// The name used in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Network => "network",
            Self::Server => "server",
            Self::SignIn => "sign-in",
            Self::Clock => "clock",
            Self::Nat => "nat",
            Self::PortMapping => "port-mapping",
            Self::Ipv6 => "ipv6",
            Self::Peer => "peer",
            Self::Introduction => "introduction",
            Self::Relay => "relay",
            Self::Handshake => "handshake",
            Self::Addresses => "addresses",
            Self::Pair => "pair",
            Self::Checks => "checks",
            Self::Direct => "direct",
            Self::Confirmed => "confirmed",
        }
    }

    /// Whether it needs the other side.
    pub fn is_with_peer(self) -> bool {
        self >= Self::Peer
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configuration => "configuration",
            Self::Network => "network",
            Self::Server => "server",
            Self::SignIn => "sign-in",
            Self::Clock => "clock",
            Self::Nat => "router",
            Self::PortMapping => "port given",
            Self::Ipv6 => "IPv6",
            Self::Peer => "peer",
            Self::Introduction => "introduction",
            Self::Relay => "relay",
            Self::Handshake => "handshake",
            Self::Addresses => "addresses",
            Self::Pair => "both routers",
            Self::Checks => "direct packets",
            Self::Direct => "direct path",
            Self::Confirmed => "data over it",
        })
    }
}
