//! Peers on this network, for commands with `--lan`: being found there, and dialling there first.

use std::collections::BTreeMap;
use std::time::Duration;

use gimlet::{ConnectAtError, Connection, Endpoint, PeerId};
use gimlet_apps::contacts::{Contacts, Judgement};
use gimlet_apps::lan::{DiscoveryError, Lan, LanPeer, Options};
use tokio::time::timeout;

use super::changed;
use crate::exit::{Failure, Status};
use crate::session::{self, Context, Found};

/// How long a peer is looked for on this network before the servers are asked: those that are there
/// answer within some 100 ms, and one question may be lost.
const PATIENCE: Duration = Duration::from_millis(1500);

/// The same where there is no server to ask.
const PATIENCE_ALONE: Duration = Duration::from_secs(5);

/// Shortest beginning of an id that means a peer, as with servers.
const MIN_PREFIX: usize = 4;

impl Context {
    /// Announces an endpoint that others may dial, where that was asked for; as long as it is kept.
    pub(crate) fn announce(
        &self,
        endpoint: &Endpoint,
        reachable: bool,
    ) -> Result<Option<Lan>, Failure> {
        if !self.settings.lan || !reachable {
            return Ok(None);
        }
        let name = self.settings.name.clone();
        let options = Options {
            announce: true,
            name,
        };
        Lan::start(endpoint, options).map(Some).map_err(failure)
    }

    /// Finds a peer on this network and connects to it there; `None` where it was not found and
    /// servers may know it.
    pub(super) async fn dial_here(
        &self,
        endpoint: &Endpoint,
        text: &str,
        alpn: &[u8],
    ) -> Result<Option<(Found, Connection)>, Failure> {
        let alone = self.settings.servers.is_empty();
        let patience = if alone { PATIENCE_ALONE } else { PATIENCE };
        let contacts = self.all_contacts()?;
        let lan = Lan::start(endpoint, Options::default()).map_err(failure)?;
        let mut peers = lan.changes();
        let meant = |peers: &BTreeMap<PeerId, LanPeer>| !meant(text, &contacts, peers).is_empty();
        // Whoever is there by then is the answer.
        let _ = timeout(patience, peers.wait_for(meant)).await;
        let meant = self::meant(text, &contacts, &lan.peers_by_id());
        let peer = match meant.as_slice() {
            [peer] => peer,
            [] if alone => return Err(nobody(text)),
            [] => return Ok(None),
            _ => return Err(several(text)),
        };
        let by_name = contacts
            .named(text)
            .is_none()
            .then(|| super::as_name(text, peer.peer));
        if let Some(name) = by_name.flatten()
            && let Judgement::Changed { was } = contacts.judge(&name, peer.peer)
            && !self.settings.trust_new
        {
            return Err(changed(&was, peer.peer));
        }
        let name = contacts.name_of(peer.peer).or(peer.name.as_ref());
        let label = session::label(peer.peer, name);
        let connection = lan.connect(peer.peer, alpn).await;
        let connection = connection.map_err(|error| match error {
            ConnectAtError::Connect(error) => Failure::connect(error, &label),
            error => Failure::new(Status::Unreachable, error),
        })?;
        let peer = peer.peer;
        Ok(Some((Found { peer, label }, connection)))
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
