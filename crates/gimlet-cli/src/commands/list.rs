//! `gimlet list`: who is online, and the sessions between them.

use std::fmt;
use std::net::SocketAddr;

use serde::Serialize;

use crate::describe;
use crate::exit::{Failure, Outcome, Status};
use crate::output::{self, Output, Table};
use crate::session::{self, Context};
use gimlet::{Endpoint, Listing, NatClass, PeerInfo, SessionInfo};

#[derive(Serialize)]
struct Peer {
    peer: String,
    name: Option<String>,
    /// Where the server sees it, if it tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<SocketAddr>,
    lease_s: u32,
    nat: NatClass,
}

#[derive(Serialize)]
struct Session {
    a: String,
    b: String,
    path: &'static str,
}

/// The listing as a person reads it.
struct Tables(Listing);

pub(super) async fn run(context: &Context) -> Outcome {
    let work = async |endpoint: &Endpoint| {
        let (_, listing) = session::signed_in_and(endpoint, endpoint.list()).await?;
        let listing = listing.map_err(Failure::request)?;
        let text = render(context.output, listing);
        if !text.is_empty() {
            context.output.text(&text)?;
        }
        Ok(Status::Done)
    };
    context.dialling(work).await
}

/// The listing as tables, or as a line for each peer and session.
pub(super) fn render(output: Output, listing: Listing) -> String {
    if !output.is_json() {
        return Tables(listing).to_string();
    }
    let peers = listing
        .peers
        .iter()
        .map(|info| output::json(&Peer::new(info)));
    let sessions = listing
        .sessions
        .iter()
        .map(|info| output::json(&Session::new(info)));
    peers.chain(sessions).collect::<Vec<_>>().join("\n")
}

impl Peer {
    fn new(info: &PeerInfo) -> Self {
        Self {
            peer: info.peer.to_string(),
            name: info.name.as_ref().map(ToString::to_string),
            address: info.observed,
            lease_s: info.lease_s,
            nat: info.nat,
        }
    }
}

impl Session {
    fn new(info: &SessionInfo) -> Self {
        Self {
            a: info.a.to_string(),
            b: info.b.to_string(),
            path: describe::path_kind(info.path),
        }
    }
}

impl fmt::Display for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Listing { peers, sessions } = &self.0;
        if peers.is_empty() {
            return f.write_str("Nobody is online.");
        }
        // Not every server tells addresses.
        let tells = peers.iter().any(|info| info.observed.is_some());
        let mut online = match tells {
            true => Table::new(&["name", "id", "address", "lease", "NAT"]),
            false => Table::new(&["name", "id", "lease", "NAT"]),
        };
        for info in peers {
            let name = info
                .name
                .as_ref()
                .map_or("-".to_owned(), ToString::to_string);
            let lease = format!("{} s", info.lease_s);
            let mut row = vec![name, info.peer.short()];
            if tells {
                row.push(info.observed.map_or("-".to_owned(), |at| at.to_string()));
            }
            row.extend([lease, describe::nat(&info.nat)]);
            online.row(row);
        }
        write!(f, "{online}")?;
        if sessions.is_empty() {
            return Ok(());
        }
        let label = |peer| {
            let info = peers.iter().find(|info| info.peer == peer);
            session::label(peer, info.and_then(|info| info.name.as_ref()))
        };
        let mut between = Table::new(&["from", "to", "path"]);
        for info in sessions {
            let path = describe::path_kind(info.path).to_owned();
            between.row(vec![label(info.a), label(info.b), path]);
        }
        write!(f, "\n\n{between}")
    }
}
