//! Whose connections are taken.

use std::collections::HashSet;
use std::path::Path;

use anyhow::Context as _;
use gimlet::PeerId;
use gimlet_apps::contacts::Contacts;

use super::{Settings, usage};
use crate::args::{Accept, AcceptArgs};
use crate::exit::Failure;

/// Longest file of known peers read: a few thousand ids. A larger one is some other file.
const MAX_KNOWN_FILE: u64 = 1 << 20;

/// See the [module docs](self).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AcceptSettings {
    pub(crate) accept: Accept,
    pub(crate) known: HashSet<PeerId>,
    /// By which those who ask are called.
    pub(crate) contacts: Contacts,
}

impl Settings {
    /// Flags over the file; contacts that are kept are known, too.
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
