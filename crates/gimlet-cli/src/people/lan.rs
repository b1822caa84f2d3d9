//! Peers on this network, for commands with `--lan`: being found there, and looking there first.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use gimlet::{Endpoint, PeerId};
use gimlet_apps::contacts::Contacts;
use gimlet_apps::lan::{DiscoveryError, Lan, LanPeer, Options};
use tokio::time::{Instant, sleep_until};

use crate::exit::{Failure, Status};
use crate::session::{self, Context, Found};

/// How long a peer is looked for on this network while no server knows it: those that are there answer
/// within some 100 ms, and one question may be lost.
const PATIENCE: Duration = Duration::from_millis(1500);

/// The same once a server does: long enough for an answer, and not long to wait for who is elsewhere.
const PATIENCE_FOUND: Duration = Duration::from_millis(500);

/// The same where there is no server to ask.
const PATIENCE_ALONE: Duration = Duration::from_secs(5);

/// Shortest beginning of an id that means a peer, as with servers.
const MIN_PREFIX: usize = 4;

impl Context {
    /// Looks around on this network where that was asked for, and announces an endpoint that others may
    /// dial.
    pub(crate) fn join(
        &self,
        endpoint: &Endpoint,
        reachable: bool,
    ) -> Result<Option<Lan>, Failure> {
        if !self.settings.lan {
            return Ok(None);
        }
        let name = self.settings.name.clone();
        let options = Options {
            announce: reachable,
            name,
        };
        Lan::start(endpoint, options).map(Some).map_err(failure)
    }

    /// Finds a peer on this network, or takes what servers say of it.
    pub(super) async fn find_here_or(
        &self,
        text: &str,
        contacts: &Contacts,
        there: impl Future<Output = Result<Found, Failure>>,
    ) -> Result<Found, Failure> {
        let Some(mut peers) = self.here().as_ref().map(Lan::changes) else {
            return there.await;
        };
        let alone = self.settings.has_lan_alone();
        let began_at = Instant::now();
        let mut until = began_at + if alone { PATIENCE_ALONE } else { PATIENCE };
        let mut there = pin!(there);
        let mut answer = None;
        loop {
            let meant = meant(text, contacts, &peers.borrow_and_update());
            match meant.as_slice() {
                [] => (),
                [peer] => {
                    if contacts.named(text).is_none() {
                        self.vouch(contacts, text, peer.peer)?;
                    }
                    let name = contacts.name_of(peer.peer).or(peer.name.as_ref());
                    let label = session::label(peer.peer, name);
                    let peer = peer.peer;
                    return Ok(Found { peer, label });
                }
                _ => return Err(several(text)),
            }
            tokio::select! {
                changed = peers.changed() => if changed.is_err() { break },
                found = &mut there, if answer.is_none() && !alone => {
                    if found.is_ok() {
                        until = until.min(began_at + PATIENCE_FOUND);
                    }
                    answer = Some(found);
                }
                () = sleep_until(until) => break,
            }
        }
        match answer {
            Some(found) => found,
            None if alone => absent(text, contacts).ok_or_else(|| nobody(text)),
            None => there.await,
        }
    }
}

/// Who of those found is meant: the contact of that name, or else all who call themselves so, or the
/// one whose id begins so.
fn meant(text: &str, contacts: &Contacts, peers: &BTreeMap<PeerId, LanPeer>) -> Vec<LanPeer> {
    if let Some(contact) = contacts.named(text) {
        return peers.get(&contact.peer).cloned().into_iter().collect();
    }
    let is_meant = |peer: &&LanPeer| {
        let named = peer.name.as_ref().is_some_and(|name| name.as_str() == text);
        named || (text.len() >= MIN_PREFIX && peer.peer.to_string().starts_with(text))
    };
    peers.values().filter(is_meant).cloned().collect()
}

/// Who is meant although not here: a contact, or a whole id.
fn absent(text: &str, contacts: &Contacts) -> Option<Found> {
    let contact = contacts.named(text).map(|contact| contact.peer);
    let peer = contact.or_else(|| text.trim().parse().ok())?;
    let label = session::label(peer, contacts.name_of(peer));
    Some(Found { peer, label })
}

fn failure(error: DiscoveryError) -> Failure {
    Failure::new(Status::Failed, error)
}

fn nobody(text: &str) -> Failure {
    let error = anyhow::anyhow!("nobody by \"{text}\" was found on this network");
    Failure::new(Status::Unreachable, error)
        .hint("there it has to run `gimlet up --lan`, or the like")
}

fn several(text: &str) -> Failure {
    let error = anyhow::anyhow!("several peers on this network call themselves {text}");
    Failure::new(Status::Failed, error).hint("give the id; `gimlet lan` lists them")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> PeerId {
        PeerId::from_bytes([n; 32])
    }

    fn there(peers: &[(u8, &str)]) -> BTreeMap<PeerId, LanPeer> {
        let peer = |&(n, name): &(u8, &str)| LanPeer {
            peer: id(n),
            name: name.parse().ok(),
            addrs: Vec::new(),
        };
        peers
            .iter()
            .map(peer)
            .map(|peer| (peer.peer, peer))
            .collect()
    }

    fn found(text: &str, contacts: &Contacts) -> Vec<PeerId> {
        let peers = there(&[(1, "bob"), (2, "bob"), (3, "carol")]);
        let meant = meant(text, contacts, &peers);
        meant.into_iter().map(|peer| peer.peer).collect()
    }

    #[test]
    fn a_contact_wins_over_who_calls_itself_so() {
        let mut contacts = Contacts::default();
        assert_eq!(found("carol", &contacts), [id(3)]);
        assert_eq!(found("bob", &contacts), [id(1), id(2)]);
        contacts.keep("bob".parse().unwrap(), id(2), 0).unwrap();
        assert_eq!(found("bob", &contacts), [id(2)]);
        contacts.keep("carol".parse().unwrap(), id(9), 0).unwrap();
        assert_eq!(found("carol", &contacts), [], "she is not here");
    }

    #[test]
    fn an_id_or_its_beginning_means_its_peer() {
        let contacts = Contacts::default();
        let text = id(3).to_string();
        assert_eq!(found(&text, &contacts), [id(3)]);
        assert_eq!(found(&text[..6], &contacts), [id(3)]);
        assert_eq!(found(&text[..3], &contacts), []);
    }
}
