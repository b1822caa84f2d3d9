//! Who plays, and where: four hosts behind NATs and a server, or all of them on loopback.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::gimlet::{Gimlet, Place, Running};
use crate::lab::{Side, Site, Topology};
use crate::sandbox::Sandbox;
use crate::server::serve;
use crate::workspace::{self, fresh};

/// The cast, the server running.
pub(crate) struct Stage {
    /// Dials the first pair.
    pub(crate) alice: Gimlet,
    /// Answers the first pair.
    pub(crate) bob: Gimlet,
    /// Dials the hard pair.
    pub(crate) carol: Gimlet,
    /// Answers the hard pair.
    pub(crate) dave: Gimlet,
    /// The address line that clients paste.
    pub(crate) address: String,
    /// Whether there are NATs.
    pub(crate) scenery: Scenery,
    /// Where the logs are.
    pub(crate) folder: PathBuf,
    server: Running,
    // Last, so that every process goes before the network does.
    _topology: Option<Topology>,
}

/// What is between the hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scenery {
    /// Real kernel NATs.
    Nats,
    /// Nothing.
    Loopback,
}

impl Stage {
    /// Brings up two homes and two symmetric NATs around a public server.
    pub(crate) async fn behind_nats(
        sandbox: anyhow::Result<Sandbox>,
        binary: &Path,
    ) -> anyhow::Result<Self> {
        let sites = [Site::Moderate, Site::Strict].into_iter().collect();
        let topology = Topology::build(sandbox?, &sites).await?;
        let folder = folder()?;
        let server = Place::Namespace(topology.server.clone());
        let (server, address) =
            serve(binary, server, topology.server_ip.into(), None, &folder).await?;
        let host = |name: &str, site, side| {
            let place = Place::Namespace(topology.host(site, side)?.clone());
            Ok::<_, anyhow::Error>(client(binary, place, &address, &folder, name))
        };
        Ok(Self {
            alice: host("alice", Site::Moderate, Side::A)?,
            bob: host("bob", Site::Moderate, Side::B)?,
            carol: host("carol", Site::Strict, Side::A)?,
            dave: host("dave", Site::Strict, Side::B)?,
            address,
            scenery: Scenery::Nats,
            folder,
            server,
            _topology: Some(topology),
        })
    }

    /// Everyone on this machine. Carol stays off direct paths by a flag, for want of a NAT.
    pub(crate) async fn loopback(binary: &Path) -> anyhow::Result<Self> {
        let folder = folder()?;
        let localhost = std::net::Ipv4Addr::LOCALHOST.into();
        let (server, address) = serve(binary, Place::Here, localhost, None, &folder).await?;
        let host = |name: &str| client(binary, Place::Here, &address, &folder, name);
        let carol = Gimlet {
            flags: vec!["--relay-only".to_owned()],
            ..host("carol")
        };
        Ok(Self {
            alice: host("alice"),
            bob: host("bob"),
            carol,
            dave: host("dave"),
            scenery: Scenery::Loopback,
            folder,
            server,
            _topology: None,
            address,
        })
    }

    /// Ends the server; the rest ends by itself.
    pub(crate) async fn close(self) {
        self.server.stop().await;
    }
}

fn folder() -> anyhow::Result<PathBuf> {
    let folder = workspace::target().join("demo");
    fresh(&folder).context("the demo has no folder")?;
    Ok(folder)
}

fn client(binary: &Path, place: Place, address: &str, folder: &Path, name: &str) -> Gimlet {
    Gimlet {
        binary: binary.to_owned(),
        place,
        server: Some(address.to_owned()),
        folder: folder.to_owned(),
        name: name.to_owned(),
        flags: vec![],
    }
}
