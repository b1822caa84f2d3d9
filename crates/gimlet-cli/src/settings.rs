//! Second stage of the command line: flags win over the environment, the environment over the file.

mod expose;
mod file;
mod limits;

use std::collections::HashSet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context as _;
use etcetera::BaseStrategy as _;
use gimlet::{Name, PeerId, Proxy, ServerAddress};
use gimlet_apps::contacts::{Contacts, ContactsFile};
use gimlet_server::{Limits, TlsPort};

use crate::args::{Accept, AcceptArgs, GlobalArgs, ServeArgs};
use crate::exit::{Failure, Status};
pub(crate) use expose::ExposeFile;
pub(crate) use file::File;

/// Where `serve` listens unless told otherwise: every interface, both families.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 13_000);

/// Longest file of known peers read: a few thousand ids. A larger one is some other file.
const MAX_KNOWN_FILE: u64 = 1 << 20;

/// Reads a variable of the environment; a parameter so that tests bring their own.
pub(crate) type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What holds for a command after all sources were heard.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) servers: Vec<ServerAddress>,
    /// `None` only where neither a flag nor a home folder tells.
    identity: Option<PathBuf>,
    pub(crate) name: Option<Name>,
    pub(crate) relay_only: bool,
    /// Whether a name may lead to another key than before.
    pub(crate) trust_new: bool,
    /// Whether peers are met on this network too, without a server.
    pub(crate) lan: bool,
    /// The file of contacts; `None` only where there is no home folder.
    contacts: Option<PathBuf>,
    /// `None`: what the usual variables of the environment say.
    pub(crate) proxy: Option<Proxy>,
    /// Whether the server is told what comes of attempts.
    pub(crate) report: bool,
    /// Whether the router is asked for a port.
    pub(crate) port_mapping: bool,
    file: File,
    /// Where `file` was read from, if anywhere.
    source: Option<PathBuf>,
}

/// What `serve` works with.
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
}

/// Whose connections are taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AcceptSettings {
    pub(crate) accept: Accept,
    pub(crate) known: HashSet<PeerId>,
    /// By which those who ask are called.
    pub(crate) contacts: Contacts,
}

impl Settings {
    /// Whether peers are met on this network, and nowhere else.
    pub(crate) fn has_lan_alone(&self) -> bool {
        self.lan && self.servers.is_empty()
    }

    /// Reads environment and file under the flags.
    pub(crate) fn load(flags: &GlobalArgs, env: Env<'_>) -> Result<Self, Failure> {
        let named = flags.config.clone().or_else(|| path(env, "GIMLET_CONFIG"));
        let source = named.or_else(|| {
            let default = config_dir()?.join("config.toml");
            default.exists().then_some(default)
        });
        let file = source.as_deref().map(File::read).transpose();
        let file = file.map_err(usage)?.unwrap_or_default();
        let mut settings = Self::resolve(flags, env, file).map_err(usage)?;
        settings.source = source;
        Ok(settings)
    }

    /// The server's limits as the file has them now.
    pub(crate) fn limits_now(&self) -> anyhow::Result<Limits> {
        let Some(source) = &self.source else {
            return Ok(Limits::default());
        };
        Ok(File::read(source)?.serve.limits.limits())
    }

    fn resolve(flags: &GlobalArgs, env: Env<'_>, file: File) -> anyhow::Result<Self> {
        let servers = match (flags.server.is_empty(), variable(env, "GIMLET_SERVER")) {
            (false, _) => flags.server.clone(),
            (true, Some(text)) => parse_list(&text).context("in GIMLET_SERVER")?,
            (true, None) => file.server.clone(),
        };
        let name = match (&flags.name, variable(env, "GIMLET_NAME")) {
            (Some(name), _) => Some(name.clone()),
            (None, Some(text)) => Some(text.parse().context("in GIMLET_NAME")?),
            (None, None) => file.name.clone(),
        };
        let relay_only = match (flags.relay_only, variable(env, "GIMLET_RELAY_ONLY")) {
            (true, _) => true,
            (false, Some(text)) => switch(&text).context("in GIMLET_RELAY_ONLY")?,
            (false, None) => file.relay_only.unwrap_or(false),
        };
        let report = match (flags.no_report, variable(env, "GIMLET_NO_REPORT")) {
            (true, _) => false,
            (false, Some(text)) => !switch(&text).context("in GIMLET_NO_REPORT")?,
            (false, None) => file.report.unwrap_or(true),
        };
        let env_off = variable(env, "GIMLET_NO_PORT_MAPPING");
        let port_mapping = match (flags.no_port_mapping, env_off) {
            (true, _) => false,
            (false, Some(text)) => !switch(&text).context("in GIMLET_NO_PORT_MAPPING")?,
            (false, None) => file.port_mapping.unwrap_or(true),
        };
        let lan = match (flags.lan, variable(env, "GIMLET_LAN")) {
            (true, _) => true,
            (false, Some(text)) => switch(&text).context("in GIMLET_LAN")?,
            (false, None) => false,
        };
        let proxy = match (&flags.proxy, variable(env, "GIMLET_PROXY")) {
            (Some(proxy), _) => Some(proxy.clone()),
            (None, Some(text)) => Some(text.parse().context("in GIMLET_PROXY")?),
            (None, None) => file.proxy.clone(),
        };
        let identity = (flags.identity.clone())
            .or_else(|| path(env, "GIMLET_IDENTITY"))
            .or_else(|| file.identity.clone())
            .or_else(|| config_dir().map(|dir| dir.join("identity.key")));
        // Beside the key: another identity is another person, who knows others.
        let beside = |key: &PathBuf| key.with_file_name("contacts.toml");
        let contacts = path(env, "GIMLET_CONTACTS").or_else(|| identity.as_ref().map(beside));
        Ok(Self {
            servers,
            identity,
            name,
            relay_only,
            trust_new: flags.trust_new,
            lan,
            contacts,
            proxy,
            report,
            port_mapping,
            file,
            source: None,
        })
    }

    /// The key file.
    pub(crate) fn identity(&self) -> Result<&Path, Failure> {
        self.identity.as_deref().ok_or_else(|| {
            usage(anyhow::anyhow!("there is no home folder to keep a key in"))
                .hint("name a key file with --identity FILE")
        })
    }

    /// This user's contacts; `None` where there is no home folder.
    pub(crate) fn contacts(&self) -> Option<ContactsFile> {
        self.contacts.as_ref().map(ContactsFile::new)
    }

    /// The file of this user's own attempts; `None` where there is no home folder.
    pub(crate) fn attempts(&self) -> Option<PathBuf> {
        state_dir().map(|folder| folder.join("attempts.jsonl"))
    }

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
        let entry = match (flags.open, token, file.open, file.token.clone()) {
            (true, _, _, _) => Entry::Open,
            (false, Some(token), _, _) => Entry::Token(token),
            (false, None, true, _) => Entry::Open,
            (false, None, false, Some(token)) => Entry::Token(token),
            (false, None, false, None) => Entry::OwnToken,
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

    /// What the configuration exposes.
    pub(crate) fn expose(&self) -> ExposeFile {
        ExposeFile {
            services: self.file.expose.clone(),
            socks: self.file.socks.clone(),
        }
    }

    pub(crate) fn accept(&self, flags: &AcceptArgs) -> Result<AcceptSettings, Failure> {
        let mut known: HashSet<PeerId> = self.file.known_peers.iter().copied().collect();
        if let Some(path) = &flags.known {
            known.extend(read_known(path).map_err(usage)?);
        }
        let accept = flags.accept.or(self.file.accept).unwrap_or(Accept::All);
        let mut contacts = Contacts::default();
        if let (Accept::Known | Accept::Ask, Some(file)) = (accept, self.contacts()) {
            contacts = file.load().map_err(|error| usage(error.into()))?;
            known.extend(contacts.kept().map(|contact| contact.peer));
        }
        if accept == Accept::Known && known.is_empty() {
            return Err(usage(anyhow::anyhow!("no peer is known")).hint(
                "keep some with `gimlet contacts add`, or name them with --known FILE, one id a line",
            ));
        }
        Ok(AcceptSettings {
            accept,
            known,
            contacts,
        })
    }
}

fn usage(error: anyhow::Error) -> Failure {
    Failure::new(Status::Usage, error)
}

/// A variable that is set to something.
fn variable(env: Env<'_>, name: &str) -> Option<String> {
    env(name).filter(|value| !value.trim().is_empty())
}

fn path(env: Env<'_>, name: &str) -> Option<PathBuf> {
    variable(env, name).map(PathBuf::from)
}

fn parse_list<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    text: &str,
) -> anyhow::Result<Vec<T>> {
    let parts = text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty());
    Ok(parts.map(str::parse).collect::<Result<_, _>>()?)
}

fn switch(text: &str) -> anyhow::Result<bool> {
    match text.trim() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => anyhow::bail!("neither true nor false"),
    }
}

fn read_known(path: &Path) -> anyhow::Result<Vec<PeerId>> {
    let context = || format!("cannot read the known peers in {}", path.display());
    let length = std::fs::metadata(path).with_context(context)?.len();
    anyhow::ensure!(length <= MAX_KNOWN_FILE, "{}: larger than 1 MiB", context());
    let text = std::fs::read_to_string(path).with_context(context)?;
    let mut known = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let id = line.split('#').next().unwrap_or_default().trim();
        if !id.is_empty() {
            let id = id.parse();
            known.push(id.with_context(|| format!("{}, line {}", context(), number + 1))?);
        }
    }
    Ok(known)
}

/// What the server takes as a token and an address line can carry.
fn is_token(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && (text.bytes()).all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn config_dir() -> Option<PathBuf> {
    let dirs = etcetera::choose_base_strategy().ok()?;
    Some(dirs.config_dir().join("gimlet"))
}

fn state_dir() -> Option<PathBuf> {
    let dirs = etcetera::choose_base_strategy().ok()?;
    // Only Unix has a state folder of its own.
    let base = dirs.state_dir().unwrap_or_else(|| dirs.data_dir());
    Some(base.join("gimlet"))
}

#[cfg(test)]
mod tests;
