//! What the bench and its processes say to each other: a line of JSON each, on the workers'
//! standard input and output.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The first line a worker gets.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) role: Role,
    pub(super) threads: Threads,
}

/// How a worker's runtime is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Threads {
    /// Everything on one thread, as in the command line.
    One,
    /// A pool of two, as in a program with the library in it.
    Two,
}

impl Threads {
    /// Both ways.
    pub(super) const BOTH: [Self; 2] = [Self::One, Self::Two];
}

/// Which way the packets of a Gimlet endpoint have to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Way {
    Direct,
    /// Over the server's relay.
    Relay,
    /// The same, where the server does not answer over UDP.
    RelayOverTls,
}

/// What a worker is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Role {
    /// quinn, taking streams.
    PlainReceiver,
    /// quinn, sending streams there.
    PlainSender {
        /// The receiver, or a forwarder in front of it.
        to: SocketAddr,
    },
    /// A Gimlet endpoint, taking streams.
    Receiver {
        /// The server's address line.
        server: String,
        way: Way,
    },
    /// A Gimlet endpoint, sending streams to the receiver at the same server.
    Sender { server: String, way: Way },
    /// A Gimlet server.
    Server,
    /// Batches in, batches out, unseen: what any relay costs at least.
    Forwarder {
        /// The accepting side.
        to: SocketAddr,
    },
    /// Both ends of a flood through a relay.
    Flood {
        /// The server to open a session at; none for a forwarder.
        server: Option<String>,
    },
    /// Connects to the receiver again and again, every time with a new endpoint.
    Dialer { server: String },
    /// Many endpoints, for their memory.
    Crowd { server: String },
    /// A Gimlet server that others find again after a restart.
    ServerAt(Spot),
    /// quinn, taking connections and holding them.
    BareServer,
    /// Batches in, batches out, to where a table by source port says.
    Copier {
        /// From where, and where to.
        pairs: Vec<(SocketAddr, SocketAddr)>,
    },
    /// Both ends of this many sessions through a relay.
    Lanes { count: usize },
    /// Thousands of peers.
    Throng {
        /// The server's address line.
        server: String,
        /// Whether it is a bare one.
        bare: bool,
    },
}

/// Where a server is and what it keeps.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Spot {
    pub(super) listen: SocketAddr,
    pub(super) state: PathBuf,
}

/// Through what the sessions of lanes go.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Via {
    Copier,
    Gimlet {
        /// The server's address line.
        line: String,
    },
    /// The same in tunnels, one for each end.
    Tunnels {
        line: String,
    },
    Turn {
        server: SocketAddr,
    },
}

/// How lanes send.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Drive {
    pub(super) to: SocketAddr,
    pub(super) seconds: f64,
    /// Bytes of a payload.
    pub(super) size: usize,
    /// Datagrams of one send call.
    pub(super) burst: u8,
    /// Bursts of the first lane for each of another's: 1, or it is a flooder.
    pub(super) first: usize,
}

/// Datagrams of each lane.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Driven {
    pub(super) offered: Vec<u64>,
    pub(super) delivered: Vec<u64>,
}

/// How neighbours are introduced.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Meet {
    /// Pairs at a time.
    pub(super) abreast: usize,
    /// From one introduction of these to the next at least; 0 for as fast as it goes.
    pub(super) gap_s: f64,
    pub(super) seconds: f64,
}

/// Introductions that came about.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Met {
    /// Milliseconds until each was accepted.
    pub(super) times: Vec<f64>,
    pub(super) seconds: f64,
}

impl Role {
    /// Whether it is at an end of streams.
    pub(super) fn moves_streams(&self) -> bool {
        match self {
            Self::PlainReceiver
            | Self::PlainSender { .. }
            | Self::Receiver { .. }
            | Self::Sender { .. } => true,
            Self::Server
            | Self::Forwarder { .. }
            | Self::Flood { .. }
            | Self::Dialer { .. }
            | Self::Crowd { .. }
            | Self::ServerAt(_)
            | Self::BareServer
            | Self::Copier { .. }
            | Self::Lanes { .. }
            | Self::Throng { .. } => false,
        }
    }
}

/// What a worker does next.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Order {
    /// Say what you have used so far.
    Read,
    /// Send this many bytes in all on so many streams.
    Send { bytes: u64, streams: u8 },
    /// Send datagrams as fast as you can.
    Flood { to: SocketAddr, seconds: f64 },
    /// Connect once.
    Dial,
    /// Sign this many endpoints in.
    Gather { count: usize },
    /// Connect your endpoints, each to one of these peers.
    Pair { peers: Vec<String> },
    /// Say where the ends of your lanes are.
    Pairs,
    /// Set your lanes up at a relay.
    Open(Via),
    /// Send on your lanes.
    Drive(Drive),
    /// Sign so many more peers in.
    SignIn { count: usize },
    /// Say when each of your peers is signed in, after this time of the monotonic clock, seconds.
    Back { since: f64 },
    /// Have your peers introduced.
    Meet(Meet),
    /// Leave so many sessions of your peers idle.
    Idle { sessions: usize },
    /// Close them.
    Close,
    /// End as an operator ends a server; seconds that took.
    Stop,
}

/// What a worker says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Answer {
    /// It can take orders.
    Ready(Ready),
    Read(Reading),
    Sent(Sent),
    Flooded,
    Dialled(Dialled),
    /// The ids of the endpoints.
    Gathered(Vec<String>),
    Paired,
    Pairs(Vec<(SocketAddr, SocketAddr)>),
    Driven(Driven),
    /// Seconds.
    Took(f64),
    /// Seconds each.
    Times(Vec<f64>),
    Met(Met),
    Done,
    /// It ends because of this.
    Failed(String),
}

/// How others reach a worker.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Ready {
    pub(super) addr: Option<SocketAddr>,
    /// A server's address line.
    pub(super) line: Option<String>,
}

/// What a worker has used since it began.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Reading {
    /// User and system time, seconds.
    pub(super) cpu_s: f64,
    /// Anonymous memory in use, bytes.
    pub(super) memory: u64,
    /// A relay's bytes sent on.
    pub(super) forwarded: u64,
}

/// A stream that has arrived.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Sent {
    pub(super) seconds: f64,
    /// Bytes that did not take the path that was to be measured.
    pub(super) strayed: u64,
}

/// Times of one connection, milliseconds; the last three from the call of `connect`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Dialled {
    pub(super) signed_in: f64,
    pub(super) connected: f64,
    pub(super) direct: Option<f64>,
    pub(super) confirmed: Option<f64>,
}

impl Dialled {
    /// Reads the times off a connection that has settled.
    pub(super) fn of(signed_in: &gimlet::SignedIn, connection: &gimlet::Connection) -> Self {
        let ms = |span: std::time::Duration| span.as_secs_f64() * 1e3;
        let timings = connection.timings();
        Self {
            signed_in: ms(signed_in.elapsed),
            connected: ms(timings.connected),
            direct: timings.direct.map(ms),
            confirmed: timings.direct_confirmed.map(ms),
        }
    }
}
