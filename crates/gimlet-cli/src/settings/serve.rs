//! What `serve` works with.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::Context as _;
use gimlet::PeerId;
use gimlet_server::{Limits, TlsPort};

use super::{Env, Settings, path, state_dir, usage, variable};
use crate::args::ServeArgs;
use crate::exit::Failure;

/// Where `serve` listens unless told otherwise: every interface, both families.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 13_000);

/// See the [module docs](self).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ServeSettings {
    pub(crate) listen: SocketAddr,
    /// Its port is 0 where none was given.
    pub(crate) listen_alt: Option<SocketAddr>,
    pub(crate) listen_tls: TlsPort,
    pub(crate) state: PathBuf,
    pub(crate) entry: Entry,
    pub(crate) advertise: Option<String>,
    /// Whether peers are told one another's public addresses.
    pub(crate) tell_addresses: bool,
    /// Chain and key of the host name's certificate.
    pub(crate) certificate: Option<(PathBuf, PathBuf)>,
    pub(crate) limits: Limits,
}

/// Who may sign in to a server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Everyone.
    Open,
    /// Who shows this.
    Token(String),
    /// Who shows what the server made on its first start.
    OwnToken,
    /// The holders of these keys.
    Keys(BTreeSet<PeerId>),
}

impl Settings {
    /// Flags over the environment over the file.
    pub(crate) fn serve(&self, flags: &ServeArgs, env: Env<'_>) -> Result<ServeSettings, Failure> {
        let file = &self.file.serve;
        let listen = match (flags.listen, variable(env, "GIMLET_LISTEN")) {
            (Some(listen), _) => listen,
            (None, Some(text)) => (text.parse().context("in GIMLET_LISTEN")).map_err(usage)?,
            (None, None) => file.listen.unwrap_or(DEFAULT_LISTEN),
        };
        let listen_tls = match (flags.listen_tls, variable(env, "GIMLET_LISTEN_TLS")) {
            (Some(listen), _) => listen,
            (None, Some(text)) => (text.parse().context("in GIMLET_LISTEN_TLS")).map_err(usage)?,
            (None, None) => file.listen_tls.unwrap_or_default(),
        };
        let state = (flags.state.clone())
            .or_else(|| path(env, "GIMLET_STATE"))
            .or_else(|| file.state.clone())
            .or_else(state_dir)
            .ok_or_else(|| {
                usage(anyhow::anyhow!(
                    "there is no home folder to keep the server's state in"
                ))
                .hint("name a folder with --state DIR")
            })?;
        let token = (flags.token.clone()).or_else(|| variable(env, "GIMLET_TOKEN"));
        let entry = match (flags.open, token) {
            (true, _) => Entry::Open,
            (false, Some(token)) => Entry::Token(token),
            (false, None) => file.entry(),
        };
        if let Entry::Token(token) = &entry
            && !is_token(token)
        {
            return Err(usage(anyhow::anyhow!(
                "the token must be 1 to 128 letters, digits, '-' and '_'"
            )));
        }
        let cert = flags.cert.clone().or_else(|| file.cert.clone());
        let cert_key = flags.cert_key.clone().or_else(|| file.cert_key.clone());
        Ok(ServeSettings {
            listen,
            listen_alt: flags.listen_alt.or(file.listen_alt),
            listen_tls,
            state,
            entry,
            tell_addresses: flags.tell_addresses || file.tell_addresses,
            advertise: flags.advertise.clone().or_else(|| file.advertise.clone()),
            certificate: cert.zip(cert_key),
            limits: file.limits.limits(),
        })
    }
}

/// What the server takes as a token and an address line can carry.
fn is_token(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && (text.bytes()).all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}
