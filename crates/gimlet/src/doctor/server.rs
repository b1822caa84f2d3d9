//! The server, as far as it can be reached.

use std::net::SocketAddr;

use serde::Serialize;

use super::Words;
use super::distance::ServerDistance;
use crate::control::ServerStatus;
use crate::error::SignInError;
use crate::event::Transport;

/// What a silent server's machine says to a TCP connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TcpAnswer {
    /// The machine answers: it is there, whatever runs on it.
    There,
    /// Nothing either.
    Silent,
    /// Not tried.
    NotTried,
}

/// Found at [`Stage::Server`](super::Stage::Server).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "fact", rename_all = "kebab-case")]
pub enum ServerFact {
    /// It answers and holds the expected key.
    Answers {
        /// Where.
        addr: Option<SocketAddr>,
        /// From the first packet to its word.
        ms: Option<f64>,
        /// Whether it says where it sees us, too.
        stun: bool,
        /// All servers, how far they are, and what each is to us; where there are several.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        servers: Vec<ServerDistance>,
    },
    /// It answers over TLS only.
    BlocksUdp {
        /// Where.
        addr: SocketAddr,
        /// From the first packet to its word.
        ms: f64,
    },
    /// Nothing comes back over UDP, and the proxy does not help.
    Proxy {
        /// What is wrong.
        detail: String,
    },
    /// Its name has no address.
    Unresolved {
        /// The name.
        host: String,
    },
    /// Nothing comes back from it over UDP.
    Silent {
        /// From where nothing comes.
        addr: SocketAddr,
        /// What its machine says over TCP.
        tcp: TcpAnswer,
    },
    /// It answers small packets, but no handshake.
    NoHandshake {
        /// Where.
        addr: SocketAddr,
    },
    /// Somebody else answers there.
    WrongKey {
        /// Where.
        addr: SocketAddr,
    },
    /// Something else answers there.
    OtherProtocol {
        /// Where.
        addr: SocketAddr,
        /// What the handshake says.
        detail: String,
    },
}

impl ServerFact {
    /// Judges how signing in ended. `stun`: whether any server answered STUN.
    pub(super) fn new(
        signed_in: Result<(SocketAddr, Transport, f64), &SignInError>,
        stun: bool,
        tcp: TcpAnswer,
    ) -> Self {
        let answers = |addr, ms| Self::Answers {
            addr,
            ms,
            stun,
            servers: Vec::new(),
        };
        match signed_in {
            Ok((addr, Transport::Udp, ms)) => answers(Some(addr), Some(ms)),
            Ok((addr, Transport::Tls, ms)) => Self::BlocksUdp { addr, ms },
            Err(SignInError::Proxy(error)) => Self::proxy(error),
            Err(SignInError::ProxySetting(error)) => Self::proxy(error),
            Err(SignInError::Unresolved { host }) => Self::Unresolved { host: host.clone() },
            Err(&SignInError::Unreachable { addr }) => match stun {
                true => Self::NoHandshake { addr },
                false => Self::Silent { addr, tcp },
            },
            Err(&SignInError::WrongKey { addr }) => Self::WrongKey { addr },
            Err(SignInError::Protocol { addr, detail }) => Self::OtherProtocol {
                addr: *addr,
                detail: detail.clone(),
            },
            Err(&SignInError::CertificateDate { addr }) => answers(Some(addr), None),
            Err(
                SignInError::NoServer
                | SignInError::BadToken
                | SignInError::NotAllowed
                | SignInError::NameTaken
                | SignInError::Busy
                | SignInError::ShuttingDown
                | SignInError::Lost { .. }
                | SignInError::Replaced
                | SignInError::SignedOut,
            ) => answers(None, None),
        }
    }

    /// The same, with all servers; an only one needs no list.
    pub(super) fn among(mut self, all: Vec<ServerStatus>) -> Self {
        if let Self::Answers { servers, .. } = &mut self
            && all.len() > 1
        {
            *servers = all.into_iter().map(ServerDistance::from).collect();
        }
        self
    }

    fn proxy(error: &dyn std::error::Error) -> Self {
        Self::Proxy {
            detail: error.to_string(),
        }
    }

    pub(super) fn words(&self) -> Words {
        match self {
            Self::Answers {
                addr,
                ms,
                stun,
                servers,
            } => {
                let addr = addr.map_or_else(String::new, |addr| format!(" from {addr}"));
                let ms = ms.map_or_else(String::new, |ms| format!(" after {ms:.0} ms"));
                let answers = format!("It answers{addr}{ms}");
                match stun {
                    true if !servers.is_empty() => {
                        let all: Vec<_> = servers.iter().map(ToString::to_string).collect();
                        Words::good(format!("{answers}. All servers: {}.", all.join(", ")))
                    }
                    true => Words::good(format!("{answers}.")),
                    false => Words::notice(
                        format!("{answers}, but does not tell where it sees me."),
                        "without that only peers on the same network are reached directly",
                    ),
                }
            }
            Self::BlocksUdp { addr, ms } => Words::notice(
                format!("UDP is blocked; connected to {addr} over TLS after {ms:.0} ms."),
                "it works, but everything goes through the server, and waits for what is lost; ask \
                 for UDP to be let out to the server's port",
            ),
            Self::Proxy { detail } => Words::bad(
                format!("Nothing comes back over UDP, and {detail}."),
                "check the proxy's setting (--proxy, or https_proxy in the environment)",
            ),
            Self::Unresolved { host } => Words::bad(
                format!("Its name {host} has no address."),
                "check how the name is written, and that this machine can look up names (DNS)",
            ),
            Self::Silent { addr, tcp } => match tcp {
                TcpAnswer::There => Words::bad(
                    format!("The machine at {addr} is there, but over UDP nothing comes back."),
                    "check that the server runs; if it does, a firewall blocks UDP: here, at the \
                     server, or on the way. Another network, such as a phone's, tells which",
                ),
                TcpAnswer::Silent | TcpAnswer::NotTried => Words::bad(
                    format!("Nothing comes back from {addr} over UDP."),
                    "check that the server runs and the address is right; if others reach it, this \
                     network blocks UDP. Another network, such as a phone's, tells which",
                ),
            },
            Self::NoHandshake { addr } => Words::bad(
                format!(
                    "{addr} answers small UDP packets, but not the encrypted handshake (QUIC)."
                ),
                "something on the way lets QUIC or large packets not through: try another network; \
                 on a VPN lower its packet size (MTU)",
            ),
            Self::WrongKey { addr } => Words::bad(
                format!("Who answers at {addr} does not hold the server's key."),
                "compare with the line that `gimlet serve` prints; if nobody changed it, do not go \
                 on: somebody may be in between",
            ),
            Self::OtherProtocol { addr, detail } => Words::bad(
                format!("What answers at {addr} is no Gimlet server of this version ({detail})."),
                "check the port, and bring client and server to the same version",
            ),
        }
    }
}
