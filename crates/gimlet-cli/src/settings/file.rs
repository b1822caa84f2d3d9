//! The configuration file: TOML, every key optional, an unknown key is an error. `docs/configuration.md` has
//! all of them, and a test holds it to that.
//!
//! What the server limits is in `[serve.limits]`, see [`LimitsFile`]; what `expose` offers in `[expose]` and
//! `[socks]`, see [`ExposeFile`](super::ExposeFile).

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context as _;
use gimlet::{Name, PeerId, Proxy, ServerAddress};
use gimlet_apps::forward::ServiceName;
use gimlet_server::TlsPort;
use serde::de::{Deserialize, Deserializer, Error as _};

use super::expose::{ServiceFile, SocksFile, services};
use super::limits::LimitsFile;
use super::serve::Entry;
use crate::args::{self, Accept};

/// What the file says.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct File {
    #[serde(deserialize_with = "texts")]
    pub(super) server: Vec<ServerAddress>,
    pub(super) identity: Option<PathBuf>,
    #[serde(deserialize_with = "text")]
    pub(super) name: Option<Name>,
    pub(super) relay_only: Option<bool>,
    pub(super) report: Option<bool>,
    pub(super) port_mapping: Option<bool>,
    pub(super) lan: Option<bool>,
    #[serde(deserialize_with = "text")]
    pub(super) proxy: Option<Proxy>,
    pub(super) accept: Option<Accept>,
    #[serde(deserialize_with = "texts")]
    pub(super) known_peers: Vec<PeerId>,
    #[serde(deserialize_with = "services")]
    pub(super) expose: BTreeMap<ServiceName, ServiceFile>,
    pub(super) socks: Option<SocksFile>,
    pub(super) serve: ServeFile,
}

/// Its `[serve]` part.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ServeFile {
    pub(super) listen: Option<SocketAddr>,
    #[serde(deserialize_with = "second_address")]
    pub(super) listen_alt: Option<SocketAddr>,
    #[serde(deserialize_with = "text")]
    pub(super) listen_tls: Option<TlsPort>,
    pub(super) state: Option<PathBuf>,
    pub(super) token: Option<String>,
    pub(super) open: bool,
    #[serde(deserialize_with = "texts")]
    pub(super) allow: Vec<PeerId>,
    pub(super) advertise: Option<String>,
    pub(super) tell_addresses: bool,
    pub(super) cert: Option<PathBuf>,
    pub(super) cert_key: Option<PathBuf>,
    pub(super) limits: LimitsFile,
}

impl ServeFile {
    /// Who may sign in.
    pub(super) fn entry(&self) -> Entry {
        match (&self.token, self.open, self.allow.is_empty()) {
            (_, true, _) => Entry::Open,
            (Some(token), false, _) => Entry::Token(token.clone()),
            (None, false, false) => Entry::Keys(BTreeSet::from_iter(self.allow.iter().copied())),
            (None, false, true) => Entry::OwnToken,
        }
    }
}

impl File {
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the configuration {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("in the configuration {}", path.display()))
    }

    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let file: Self = toml::from_str(text)?;
        let entries = [
            file.serve.open,
            file.serve.token.is_some(),
            !file.serve.allow.is_empty(),
        ];
        anyhow::ensure!(
            entries.iter().filter(|&&given| given).count() < 2,
            "[serve] has more than one of open, token and allow: keep one"
        );
        anyhow::ensure!(
            file.serve.cert.is_some() == file.serve.cert_key.is_some(),
            "[serve] has one of cert and cert_key: it takes both"
        );
        file.serve.limits.check()?;
        Ok(file)
    }
}

fn second_address<'de, D>(from: D) -> Result<Option<SocketAddr>, D::Error>
where
    D: Deserializer<'de>,
{
    let text = String::deserialize(from)?;
    let address = args::second_address(&text).map_err(D::Error::custom)?;
    Ok(Some(address))
}

fn text<'de, D, T>(from: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: std::fmt::Display>,
{
    let text = String::deserialize(from)?;
    text.parse().map(Some).map_err(D::Error::custom)
}

pub(super) fn texts<'de, D, T>(from: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: std::fmt::Display>,
{
    let texts = Vec::<String>::deserialize(from)?;
    let parsed = texts
        .iter()
        .map(|text| text.parse().map_err(D::Error::custom));
    parsed.collect()
}
