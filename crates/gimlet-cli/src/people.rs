//! Who is meant: this user's own contacts first, then the server's names, whose keys are remembered.
//!
//! A name that a server resolves is noted with its key once that key has answered. When the same name
//! leads to another key some day, nothing is dialled: it may be a new device, or somebody in another's
//! place, and only the user can find out.

mod lan;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gimlet::{Connection, Endpoint, Name, PeerId};
use gimlet_apps::contacts::{Contact, Contacts, ContactsFile, Judgement, KeepError};

use crate::exit::{Failure, Status};
use crate::session::{self, Context, Found};

impl Context {
    /// Where this user's contacts are.
    pub(crate) fn contacts(&self) -> Result<ContactsFile, Failure> {
        self.settings.contacts().ok_or_else(|| {
            let error = anyhow::anyhow!("there is no home folder to keep contacts in");
            Failure::new(Status::Usage, error).hint("name a key file with --identity FILE")
        })
    }

    /// All of them; none where they have no place.
    pub(crate) fn all_contacts(&self) -> Result<Contacts, Failure> {
        let file = self.settings.contacts();
        let contacts = file.map(|file| file.load()).transpose();
        let contacts = contacts
            .map_err(|error| Failure::new(Status::Usage, error).hint("mend it, or move it away"))?;
        Ok(contacts.unwrap_or_default())
    }

    /// Keeps a peer under a name.
    pub(crate) fn keep(&self, name: &Name, peer: PeerId) -> Result<Contact, Failure> {
        let kept = self.contacts()?.change(|contacts| {
            contacts.keep(name.clone(), peer, now_s())?;
            Ok::<_, KeepError>(contacts.named(name.as_str()).cloned())
        });
        let failed = |error: anyhow::Error| Failure::new(Status::Failed, error);
        let kept = kept.map_err(|error| failed(error.into()))?;
        let kept = kept.map_err(|error| failed(error.into()))?;
        kept.ok_or_else(|| failed(anyhow::anyhow!("{name} was not kept")))
    }

    /// Finds who is meant by a contact's name, a server's name, an id or the beginning of one; with
    /// `--lan`, on this network first.
    pub(crate) async fn find(&self, endpoint: &Endpoint, text: &str) -> Result<Found, Failure> {
        let contacts = self.all_contacts()?;
        let there = self.find_there(endpoint, text, &contacts);
        match self.settings.lan {
            true => self.find_here_or(text, &contacts, there).await,
            false => there.await,
        }
    }

    async fn find_there(
        &self,
        endpoint: &Endpoint,
        text: &str,
        contacts: &Contacts,
    ) -> Result<Found, Failure> {
        if let Some(contact) = contacts.named(text) {
            session::online(endpoint).await?;
            return Ok(Found {
                peer: contact.peer,
                label: contact.name.to_string(),
            });
        }
        let resolved = endpoint.resolve(text);
        let (_, resolved) = session::signed_in_and(endpoint, resolved).await?;
        let resolved = resolved.map_err(Failure::resolve)?;
        self.vouch(contacts, text, resolved.peer)?;
        let known = contacts.name_of(resolved.peer).cloned();
        let mut found = Found::from(resolved);
        if let Some(name) = known {
            found.label = name.to_string();
        }
        Ok(found)
    }

    /// Whether a name may lead to that key: it may not if it once led to another.
    fn vouch(&self, contacts: &Contacts, text: &str, peer: PeerId) -> Result<(), Failure> {
        let Some(name) = as_name(text, peer) else {
            return Ok(());
        };
        match contacts.judge(&name, peer) {
            Judgement::New | Judgement::Same => Ok(()),
            Judgement::Changed { .. } if self.settings.trust_new => Ok(()),
            Judgement::Changed { was } => Err(changed(&was, peer)),
        }
    }

    /// Finds and connects.
    pub(crate) async fn dial(
        &self,
        endpoint: &Endpoint,
        text: &str,
        alpn: &[u8],
    ) -> Result<(Found, Connection), Failure> {
        let found = self.find(endpoint, text).await?;
        let connection = endpoint.connect(found.peer, alpn).await;
        let connection = connection.map_err(|error| Failure::connect(error, &found.label))?;
        self.remember(text, found.peer);
        Ok((found, connection))
    }

    /// Notes who answered to a text, if that was a server's name and is news.
    pub(crate) fn remember(&self, text: &str, peer: PeerId) {
        let Some((name, file)) = as_name(text, peer).zip(self.settings.contacts()) else {
            return;
        };
        let known = file.load().is_ok_and(|contacts| {
            contacts.named(text).is_some() || contacts.judge(&name, peer) == Judgement::Same
        });
        if known {
            return;
        }
        let noted = file.change(|contacts| {
            contacts.see(name, peer, now_s());
            Ok::<(), std::convert::Infallible>(())
        });
        if let Err(error) = noted {
            // A command that did its work must not fail over its notes.
            tracing::debug!(%error, "name not remembered");
        }
    }
}

/// How this user calls a peer: by the contact's name, else by the server's, unless that was, or is,
/// somebody else's: nobody is taken for a friend for having taken their name at a server.
pub(crate) fn label(contacts: &Contacts, peer: PeerId, name: Option<&Name>) -> String {
    if let Some(own) = contacts.name_of(peer) {
        return own.to_string();
    }
    match name {
        Some(name) if matches!(contacts.judge(name, peer), Judgement::Changed { .. }) => {
            format!("{} (another {name} than yours)", peer.short())
        }
        name => session::label(peer, name),
    }
}

/// The text as a name, unless it is an id or a beginning of one long enough to be nobody else's. A
/// shorter one counts as a name: keys whose ids begin with a word are quickly made.
fn as_name(text: &str, peer: PeerId) -> Option<Name> {
    let text = text.trim();
    let is_id = text.len() >= PeerId::SHORT_LEN && peer.to_string().starts_with(text);
    text.parse().ok().filter(|_| !is_id)
}

fn changed(was: &Contact, now: PeerId) -> Failure {
    let (name, before, since) = (&was.name, was.peer, day(was.first_seen));
    let error = anyhow::anyhow!(
        "{name} is another key than before: {now}, and since {since} it was {before}. It may be a new \
         device of theirs, or somebody in their place"
    );
    Failure::new(Status::Failed, error).hint(
        "ask them for the output of `gimlet id`; if that is the new key, repeat with --trust-new",
    )
}

/// The day of a time, as people write it.
pub(crate) fn day(unix_s: u64) -> String {
    let at = UNIX_EPOCH.checked_add(Duration::from_secs(unix_s.min(LAST_DAY_S)));
    let text = humantime::format_rfc3339_seconds(at.unwrap_or(UNIX_EPOCH)).to_string();
    text[..10].to_owned()
}

/// The end of the year 9999, which is as far as dates are written.
const LAST_DAY_S: u64 = 253_402_300_799;

fn now_s() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_written_whatever_the_file_says() {
        assert_eq!(day(0), "1970-01-01");
        assert_eq!(day(1_700_000_000), "2023-11-14");
        assert_eq!(day(u64::MAX), "9999-12-31");
    }

    #[test]
    fn nobody_is_called_what_somebody_else_is() {
        let (bob, other) = (PeerId::from_bytes([1; 32]), PeerId::from_bytes([2; 32]));
        let (name, own): (Name, Name) = ("bob".parse().unwrap(), "bobby".parse().unwrap());
        let mut contacts = Contacts::default();
        assert_eq!(label(&contacts, other, Some(&name)), "bob");
        contacts.see(name.clone(), bob, 0);
        assert_eq!(label(&contacts, bob, Some(&name)), "bob");
        let shown = label(&contacts, other, Some(&name));
        assert!(shown.starts_with(&other.short()), "{shown}");
        contacts.keep(own, bob, 0).unwrap();
        assert_eq!(label(&contacts, bob, Some(&name)), "bobby");
        assert_eq!(label(&contacts, bob, None), "bobby");
    }

    #[test]
    fn an_id_and_a_long_beginning_of_it_are_no_names() {
        let peer = PeerId::from_bytes([7; 32]);
        assert_eq!(as_name(&peer.to_string(), peer), None);
        assert_eq!(as_name(&peer.short(), peer), None);
        assert_eq!(as_name("192.0.2.1:70", peer), None);
        assert_eq!(as_name(" bob ", peer), "bob".parse().ok());
        let word = &peer.to_string()[..6];
        assert_eq!(
            as_name(word, peer),
            word.parse().ok(),
            "it may be made to fit"
        );
    }
}
