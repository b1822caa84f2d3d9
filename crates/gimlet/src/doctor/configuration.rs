//! What this program was told.

use gimlet_proto::address::ServerAddress;
use gimlet_proto::id::PeerId;
use serde::Serialize;

use super::Words;

/// Found at [`Stage::Configuration`](super::Stage::Configuration).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "fact", rename_all = "kebab-case")]
pub enum ConfigurationFact {
    /// There is a key and a server.
    Complete {
        /// Our id.
        me: String,
        /// The servers, `host:port` each.
        servers: Vec<String>,
    },
    /// The same, and no direct path is wanted.
    RelayOnly {
        /// Our id.
        me: String,
        /// The servers, `host:port` each.
        servers: Vec<String>,
    },
    /// No server is named.
    NoServer {
        /// Our id.
        me: String,
    },
}

impl ConfigurationFact {
    pub(super) fn new(me: PeerId, servers: &[ServerAddress], relay_only: bool) -> Self {
        let me = me.to_string();
        let name = |server: &ServerAddress| match server.host.contains(':') {
            true => format!("[{}]:{}", server.host, server.port),
            false => format!("{}:{}", server.host, server.port),
        };
        let servers: Vec<_> = servers.iter().map(name).collect();
        match (servers.is_empty(), relay_only) {
            (true, _) => Self::NoServer { me },
            (false, true) => Self::RelayOnly { me, servers },
            (false, false) => Self::Complete { me, servers },
        }
    }

    pub(super) fn words(&self) -> Words {
        let short = |me: &str| me.chars().take(PeerId::SHORT_LEN).collect::<String>();
        match self {
            Self::Complete { me, servers } => Words::good(format!(
                "I am {}…, my server is {}.",
                short(me),
                servers.join(" or ")
            )),
            Self::RelayOnly { me, servers } => Words::notice(
                format!(
                    "I am {}…, my server is {}, and I am set to use the relay only.",
                    short(me),
                    servers.join(" or ")
                ),
                "for direct paths leave out --relay-only, GIMLET_RELAY_ONLY and relay_only",
            ),
            Self::NoServer { .. } => Words::bad(
                "No server is named.",
                "put the line that `gimlet serve` printed into GIMLET_SERVER, or after --server",
            ),
        }
    }
}
