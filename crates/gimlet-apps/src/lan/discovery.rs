//! Multicast DNS: hears announcements, and makes ours. The only module that names mdns-sd.

use std::collections::BTreeMap;
use std::net::{SocketAddr, SocketAddrV6};
use std::time::Duration;

use gimlet::{Endpoint, PeerId};
use mdns_sd::{
    DaemonStatus, Receiver, ResolvedService, ScopedIp, ServiceDaemon, ServiceEvent, ServiceInfo,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::roster::{Announcement, Roster};
use super::{LanPeer, Options};

/// What we are called among the services of a network.
const SERVICE: &str = "_gimlet._udp.local.";

/// Why peers on this network can't be looked for.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// The endpoint was not bound with [`Builder::lan`](gimlet::Builder::lan).
    #[error("this endpoint does not use the local network")]
    Off,
    /// No socket for multicast, or the like.
    #[error("peers on this network can't be looked for: {0}")]
    Mdns(#[from] mdns_sd::Error),
}

/// How long our goodbye to the network may take to be said.
const GOODBYE_TIMEOUT: Duration = Duration::from_millis(100);

/// Looks, and announces, until dropped.
pub(super) struct Discovery {
    daemon: ServiceDaemon,
    listening: JoinHandle<()>,
    endpoint: Endpoint,
}

impl Discovery {
    pub(super) fn start(
        endpoint: &Endpoint,
        options: &Options,
    ) -> Result<(Self, watch::Receiver<BTreeMap<PeerId, LanPeer>>), DiscoveryError> {
        let port = endpoint.lan_port().ok_or(DiscoveryError::Off)?;
        let me = endpoint.peer_id();
        let daemon = ServiceDaemon::new()?;
        let events = daemon.browse(SERVICE)?;
        if options.announce {
            daemon.register(announcement(me, port, options)?)?;
        }
        let (peers, found) = watch::channel(BTreeMap::new());
        let listening = listen(events, Roster::new(me), peers, endpoint.clone());
        let discovery = Self {
            daemon,
            listening: tokio::spawn(listening),
            endpoint: endpoint.clone(),
        };
        Ok((discovery, found))
    }

    /// Takes our announcement back, and waits until that is said.
    pub(super) async fn close(self) {
        if let Some(ended) = self.end() {
            // Others forget us by themselves some time.
            let _ = timeout(GOODBYE_TIMEOUT, ended.recv_async()).await;
        }
    }

    /// The thread says goodbye to the network before it ends.
    fn end(&self) -> Option<Receiver<DaemonStatus>> {
        self.listening.abort();
        self.endpoint.set_nearby([]);
        // It may have ended already.
        self.daemon.shutdown().ok()
    }
}

impl Drop for Discovery {
    fn drop(&mut self) {
        self.end();
    }
}

impl std::fmt::Debug for Discovery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Discovery").finish_non_exhaustive()
    }
}

/// Two programs with one key are two instances, so each has some letters of its own.
fn announcement(me: PeerId, port: u16, options: &Options) -> mdns_sd::Result<ServiceInfo> {
    let instance = format!("{}-{:08x}", me.short(), rand::random::<u32>());
    let host = format!("{instance}.local.");
    let id = me.to_string();
    let mut properties = vec![("id", id.as_str())];
    if let Some(name) = &options.name {
        properties.push(("name", name.as_str()));
    }
    let info = ServiceInfo::new(SERVICE, &instance, &host, "", port, &properties[..])?;
    Ok(info.enable_addr_auto())
}

async fn listen(
    events: Receiver<ServiceEvent>,
    mut roster: Roster,
    peers: watch::Sender<BTreeMap<PeerId, LanPeer>>,
    endpoint: Endpoint,
) {
    while let Ok(event) = events.recv_async().await {
        match event {
            ServiceEvent::ServiceResolved(service) => {
                let said = read(&service);
                roster.found(service.fullname, said);
            }
            ServiceEvent::ServiceRemoved(_, instance) => roster.lost(&instance),
            // Searching began or ended, or there is more to come; and what later versions say.
            _ => continue,
        }
        let now = roster.peers();
        let places = now.values().map(|found| (found.peer, found.addrs.clone()));
        // Before anybody hears of them, so that who does can connect.
        endpoint.set_nearby(places);
        peers.send_if_modified(|before| {
            let changed = *before != now;
            *before = now;
            changed
        });
    }
}

fn read(service: &ResolvedService) -> Announcement {
    let property = |key| {
        let value = service.get_property_val_str(key);
        value.map(str::to_owned)
    };
    let port = service.port;
    let addrs = service.addresses.iter().map(|address| match address {
        ScopedIp::V6(ip) => SocketAddrV6::new(*ip.addr(), port, 0, ip.scope_id().index).into(),
        other => SocketAddr::new(other.to_ip_addr(), port),
    });
    Announcement {
        id: property("id"),
        name: property("name"),
        addrs: addrs.collect(),
    }
}
