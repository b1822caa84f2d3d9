//! What an operator decides, with the defaults and their reasons.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use gimlet_proto::address::ServerAddress;
use gimlet_proto::id::PeerId;
use gimlet_proto::limit::Rate;
use gimlet_proto::{relay, rendezvous};

/// Peers that are to come back each second after a stop, for each core: half of what one signs in.
const RETURNS_PER_CORE: u32 = 500;

/// Who may sign in.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Access {
    /// Whoever knows the server's token, which is made on first start and part of the address line.
    #[default]
    OwnToken,
    /// Whoever knows one of these tokens; the first is part of the address line.
    Tokens(Vec<String>),
    /// Everyone.
    Open,
    /// The holders of these keys.
    Keys(BTreeSet<PeerId>),
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OwnToken => f.write_str("OwnToken"),
            Self::Tokens(tokens) => write!(f, "Tokens({} of them)", tokens.len()),
            Self::Open => f.write_str("Open"),
            Self::Keys(keys) => f.debug_tuple("Keys").field(keys).finish(),
        }
    }
}

/// The second UDP port, from which peers learn how their NAT maps: it only answers STUN.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AltPort {
    /// The port after the main one, or any other if that is taken.
    #[default]
    Next,
    /// This one.
    Port(u16),
    /// None: peers can't tell their mapping behaviour by this server alone.
    Off,
}

/// The TCP port, for peers behind a firewall that blocks UDP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TlsPort {
    /// The number of the UDP port, at the same address; any other if the UDP port was any.
    #[default]
    Same,
    /// At this address.
    At(SocketAddr),
    /// None: such peers cannot sign in.
    Off,
}

/// Neither `off` nor an address with a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is ADDR:PORT, or off")]
pub struct ParseTlsPortError;

impl FromStr for TlsPort {
    type Err = ParseTlsPortError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "off" => Ok(Self::Off),
            address => address.parse().map(Self::At).map_err(|_| ParseTlsPortError),
        }
    }
}

/// Settings of a [`Server`](crate::Server).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Where to listen. Default `[::]:13000`, in both families; where there is no
    /// IPv6, the unspecified IPv6 address falls back to IPv4.
    pub listen: SocketAddr,
    /// The second port. Default the next one.
    pub alt_port: AltPort,
    /// A second address of this host, for STUN alone: with it peers can tell all of their NAT's
    /// behaviour. Both ports are the same there as at the first; a port given here, other than 0, is the
    /// alternative one. Default none.
    pub listen_alt: Option<SocketAddr>,
    /// The TCP port for TLS. Default the number of the UDP port. 443 lets in the most.
    pub listen_tls: TlsPort,
    /// Host name or address in the address line. Default: where we listen, or if that is every
    /// interface, the address that the default route uses.
    pub advertise: Option<String>,
    /// Folder for the server's key, its token and the names. Default none: all in memory, and
    /// another key at every start.
    pub state: Option<PathBuf>,
    /// Certificate chain and key, PEM files, for clients that know this server by its host name and
    /// not by its key. Default none: only clients with the key in their address line can connect.
    pub web_certificate: Option<(PathBuf, PathBuf)>,
    /// Who may sign in. Default [`Access::OwnToken`].
    pub access: Access,
    /// Limits of the rendezvous. Its `access` and `stun_ports` are filled in from this page; peers are to
    /// come back 500 a second for each core.
    pub rendezvous: rendezvous::Config,
    /// Limits of the relay. Those of [`Limits`](crate::Limits) can be changed while it runs.
    pub relay: relay::Config,
    /// Sockets that share the main port, each with a task that sends on what it receives; 0 counts as 1.
    /// Default one a core. Where sockets are given, they are what there is.
    pub shards: usize,
    /// QUIC connections at once, signed in or not. Default 55,000: the peers and some on their way.
    pub max_connections: usize,
    /// Handshakes at once. Default 1,024, some 20 MB; from half of it on, addresses are validated first.
    pub max_half_open: usize,
    /// Handshakes of a prefix from which on its addresses are validated first, which costs them a
    /// round trip. Default 20 a second, 100 at once: an office coming back after a power cut.
    pub handshakes: Rate,
    /// Handshakes of a prefix above which they are refused. Default 200 a second, 1,000 at once.
    pub max_handshakes: Rate,
    /// Tunnels at once, over TCP and TLS. Default 4,096: some 60 KiB each, and a file descriptor.
    pub max_tunnels: usize,
    /// Of these, from one IPv4 address or IPv6 prefix. Default 512: an office behind one NAT.
    pub max_tunnels_per_network: usize,
    /// STUN answers a prefix gets. Default 100 a second, 200 at once: many peers behind one NAT,
    /// and some 8 kB/s at most toward an address that somebody forged.
    pub stun: Rate,
    /// Those of them that tell more, or leave from or go to another port or address (RFC 5780). Default
    /// 20 a second, 200 at once: a dozen peers behind one NAT looking at it at the same time.
    pub discovery: Rate,
    /// How long peers have to leave by themselves when the server stops. Default 250 ms.
    pub drain: Duration,
}

impl Default for Config {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let mut rendezvous = rendezvous::Config::new(rendezvous::Access::Open);
        rendezvous.returns_per_s = RETURNS_PER_CORE.saturating_mul(cores as u32);
        Self {
            listen: (Ipv6Addr::UNSPECIFIED, ServerAddress::DEFAULT_PORT).into(),
            alt_port: AltPort::default(),
            listen_alt: None,
            listen_tls: TlsPort::default(),
            advertise: None,
            state: None,
            web_certificate: None,
            access: Access::default(),
            rendezvous,
            relay: relay::Config::default(),
            shards: cores,
            max_connections: 55_000,
            max_half_open: 1024,
            handshakes: Rate::per_second(20, 100),
            max_handshakes: Rate::per_second(200, 1000),
            max_tunnels: 4096,
            max_tunnels_per_network: 512,
            stun: Rate::per_second(100, 200),
            discovery: Rate::per_second(20, 200),
            drain: Duration::from_millis(250),
        }
    }
}

impl Config {
    /// A server for tests and demonstrations: a free port of the IPv4 loopback address, everybody
    /// may sign in, nothing is kept.
    pub fn on_loopback() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            access: Access::Open,
            ..Self::default()
        }
    }
}
