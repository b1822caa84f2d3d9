//! What can go wrong, by operation. Every message says what a person can do about it.

use std::io;
use std::net::SocketAddr;

use gimlet_net::proxy::{ParseProxyError, ProxyError};
use gimlet_net::tls::TlsError;

/// Why [`Builder::bind`](crate::Builder::bind) failed. The caller or the host is at fault.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The UDP port cannot be had.
    #[error("cannot open a UDP socket: {0}")]
    Socket(#[from] io::Error),
    /// The identity's certificate or TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Why this endpoint is not signed in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignInError {
    /// The endpoint has no server.
    #[error("no server is configured; give one with --server or GIMLET_SERVER")]
    NoServer,
    /// The server's host name has no address.
    #[error("the server's name {host} cannot be resolved; check the name and this host's DNS")]
    Unresolved {
        /// The name.
        host: String,
    },
    /// Nothing answers there.
    #[error(
        "no answer from the server at {addr}; check that it runs, and that a firewall lets UDP \
         or TCP to it pass"
    )]
    Unreachable {
        /// Where.
        addr: SocketAddr,
    },
    /// UDP is blocked, and the proxy does not help.
    #[error("no answer over UDP, and {0}")]
    Proxy(ProxyError),
    /// UDP is blocked, and which proxy to use cannot be told.
    #[error("no answer over UDP, and the proxy's setting cannot be used: {0}")]
    ProxySetting(#[from] ParseProxyError),
    /// Somebody answers with another key, or with a certificate that no trusted root vouches for.
    #[error(
        "the server at {addr} does not hold the expected key; compare with the line `gimlet serve` \
         prints, and do not go on if nobody changed it"
    )]
    WrongKey {
        /// Where.
        addr: SocketAddr,
    },
    /// Its certificate is not valid at the time that this host's clock shows.
    #[error(
        "the certificate of the server at {addr} is not valid now; check this machine's clock, and \
         if that is right, ask the operator to renew the certificate"
    )]
    CertificateDate {
        /// Where.
        addr: SocketAddr,
    },
    /// It speaks another protocol or version.
    #[error("what answers at {addr} is not a Gimlet server of this version ({detail})")]
    Protocol {
        /// Where.
        addr: SocketAddr,
        /// What the handshake says.
        detail: String,
    },
    /// The token is missing or wrong.
    #[error("the server refuses the token; paste the whole line that `gimlet serve` printed")]
    BadToken,
    /// The server lets only known keys in.
    #[error("the server does not let this key in; ask its operator to add the id")]
    NotAllowed,
    /// The name belongs to another key.
    #[error("the name is taken by another key on this server; choose another name")]
    NameTaken,
    /// A limit of the server is reached.
    #[error("the server is full or asked too often; try again later")]
    Busy,
    /// The server is going down.
    #[error("the server is shutting down")]
    ShuttingDown,
    /// The control session ended.
    #[error("the connection to the server was lost ({detail}); reconnecting")]
    Lost {
        /// Why.
        detail: String,
    },
    /// Another program has signed in with the same identity and is reachable now instead.
    #[error("another program has signed in with this identity; give each its own with --identity")]
    Replaced,
    /// This endpoint was closed or signed out.
    #[error("this endpoint has signed out")]
    SignedOut,
}

impl SignInError {
    /// Whether trying again by itself is pointless until a person changes something.
    pub fn is_definite(&self) -> bool {
        match self {
            Self::NoServer
            | Self::WrongKey { .. }
            | Self::CertificateDate { .. }
            | Self::Protocol { .. }
            | Self::BadToken
            | Self::NotAllowed
            | Self::NameTaken
            | Self::Replaced
            | Self::SignedOut => true,
            Self::Unresolved { .. }
            | Self::Unreachable { .. }
            | Self::Proxy(_)
            | Self::ProxySetting(_)
            | Self::Busy
            | Self::ShuttingDown
            | Self::Lost { .. } => false,
        }
    }
}

/// Why a request to the server failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not signed in.
    #[error(transparent)]
    NotSignedIn(#[from] SignInError),
    /// No answer in time.
    #[error("the server did not answer in time")]
    TimedOut,
    /// The server is busy, or this peer asks too often.
    #[error("the server is busy or asked too often; try again later")]
    Busy,
    /// The server calls the request malformed; perhaps it is of another version.
    #[error("the server does not understand the request; are both of the same version?")]
    Rejected,
}

/// Why a name, id or prefix could not be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The request failed.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// Nobody like that.
    #[error("the server knows nobody by \"{text}\"; `gimlet list` shows who is online")]
    Unknown {
        /// What was asked for.
        text: String,
    },
    /// Several ids begin like that.
    #[error("several peers begin with \"{text}\"; give more characters of the id")]
    Ambiguous {
        /// What was asked for.
        text: String,
    },
}

/// Why [`Endpoint::connect`](crate::Endpoint::connect) failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// This side is not signed in.
    #[error("this side is not signed in: {0}")]
    NotSignedIn(#[from] SignInError),
    /// The other side is not signed in.
    #[error("the peer is not signed in; ask it to run `gimlet up` with the same server")]
    Offline,
    /// There is no server to ask, and the other side is not on this network.
    #[error("the peer is not on this network")]
    NotHere,
    /// The other side does not want us.
    #[error("the peer declined; ask it to accept you (`gimlet up --accept all`, or --known)")]
    Declined,
    /// The other side's person or program did not decide in time.
    #[error("the peer is signed in but did not answer the request; try again")]
    Unanswered,
    /// A limit of the server or of the peer is reached.
    #[error("the server or the peer is at its limit; try again later")]
    Busy,
    /// The server refused the introduction as malformed.
    #[error("the server does not understand the introduction; are both of the same version?")]
    Rejected,
    /// Whoever answered does not hold the peer's key.
    #[error(
        "whoever answered does not hold the peer's key: the server introduced somebody else, or \
         the path is intercepted"
    )]
    WrongKey,
    /// The peer does not serve the application protocol asked for.
    #[error("the peer does not offer this service; is it running the matching command?")]
    NoProtocol,
    /// A connection to oneself.
    #[error("this is your own id; give the id or name of another peer")]
    Myself,
    /// Neither path carried the handshake in time.
    #[error("the peer was found but does not answer, neither directly nor over the relay")]
    TimedOut,
    /// The connection was closed while it was made.
    #[error("the connection failed while it was made: {detail}")]
    Lost {
        /// Why.
        detail: String,
    },
}

/// Why a connection is over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// The peer closed it.
    #[error("closed by the peer (code {code}): {reason}")]
    Peer {
        /// Application code.
        code: u64,
        /// Application reason; text as far as it is.
        reason: String,
    },
    /// This side closed it.
    #[error("closed by this side")]
    Local,
    /// The peer went silent on every path.
    #[error("the peer has gone silent")]
    TimedOut,
    /// The peer lost its state, for example by a restart.
    #[error("the peer was restarted")]
    Reset,
    /// QUIC found a violation.
    #[error("the connection broke: {detail}")]
    Broken {
        /// What.
        detail: String,
    },
}

impl From<quinn::ConnectionError> for CloseReason {
    fn from(error: quinn::ConnectionError) -> Self {
        use quinn::ConnectionError as E;
        match error {
            E::ApplicationClosed(close) => Self::Peer {
                code: close.error_code.into_inner(),
                reason: String::from_utf8_lossy(&close.reason).into_owned(),
            },
            E::LocallyClosed => Self::Local,
            E::TimedOut => Self::TimedOut,
            E::Reset => Self::Reset,
            error @ (E::VersionMismatch
            | E::TransportError(_)
            | E::ConnectionClosed(_)
            | E::CidsExhausted) => Self::Broken {
                detail: error.to_string(),
            },
        }
    }
}
