//! Second stage of the command line: flags win over the environment, the environment over the file.

mod accept;
mod expose;
mod file;
mod limits;
mod serve;

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context as _;
use etcetera::BaseStrategy as _;
use gimlet::{Name, Proxy, ServerAddress};
use gimlet_apps::contacts::ContactsFile;
use gimlet_server::Limits;

use crate::args::GlobalArgs;
use crate::exit::{Failure, Status};
pub(crate) use accept::AcceptSettings;
pub(crate) use expose::ExposeFile;
pub(crate) use file::File;
pub(crate) use serve::{Entry, ServeSettings};

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
            (false, None) => file.lan.unwrap_or(false),
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

    /// What the configuration exposes.
    pub(crate) fn expose(&self) -> ExposeFile {
        ExposeFile {
            services: self.file.expose.clone(),
            socks: self.file.socks.clone(),
        }
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
