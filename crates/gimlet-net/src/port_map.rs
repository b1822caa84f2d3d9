//! A port on the router that leads here: PCP, NAT-PMP and UPnP-IGD, through the `portmapper` crate,
//! which nothing else names.
//!
//! All three are looked for at once, and one that answers is asked for a mapping, which is renewed
//! at half of its life. A mapping on an address that is not public leads nowhere: there is another
//! NAT behind the router, usually a carrier's. It is given back, and said.
//!
//! Everything here is decided by whoever answers on the local network: see `docs/security.md`.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::num::NonZeroU16;
use std::time::Duration;

use portmapper::Client;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};

/// How long a router may take to give a port after it was found: a UPnP-IGD takes a few requests
/// over TCP. Then there is none, until one comes.
const PATIENCE: Duration = Duration::from_secs(2);

/// When a network without a mapping is asked again: a router that was away returns in a few
/// minutes, and each attempt costs some ten packets on the local network.
const RETRY: Duration = Duration::from_secs(300);

/// How long giving a port back may take at exit. A UPnP-IGD needs a request over TCP; the others
/// one packet.
const RELEASE: Duration = Duration::from_millis(300);

/// What the router gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PortMapping {
    /// Not asked for: turned off, or not needed.
    #[default]
    Off,
    /// Asked for.
    Asking,
    /// Nothing: no router answers, or it refuses.
    Absent,
    /// Peers can send here from anywhere.
    Public(SocketAddrV4),
    /// The router's own outside address is not public: another NAT is behind it, usually a
    /// carrier's.
    BehindCarrier(Ipv4Addr),
}

impl PortMapping {
    /// The address to announce.
    pub fn public(self) -> Option<SocketAddrV4> {
        match self {
            Self::Public(addr) => Some(addr),
            Self::Off | Self::Asking | Self::Absent | Self::BehindCarrier(_) => None,
        }
    }

    fn of(outside: SocketAddrV4) -> Self {
        match is_public(*outside.ip()) {
            true => Self::Public(outside),
            false => Self::BehindCarrier(*outside.ip()),
        }
    }
}

/// Keeps a UDP port mapped until it is released. Dropped without, the mapping stays on the router
/// until its life ends.
#[derive(Debug)]
pub struct PortMap {
    mapping: watch::Receiver<PortMapping>,
    anew: mpsc::Sender<()>,
    release: oneshot::Sender<oneshot::Sender<()>>,
}

impl PortMap {
    /// Begins to ask for a mapping of this port.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn start(port: NonZeroU16) -> Self {
        let (tell, mapping) = watch::channel(PortMapping::Asking);
        // One that waits is as good as many.
        let (anew, again) = mpsc::channel(1);
        let (release, released) = oneshot::channel();
        tokio::spawn(keep(port, tell, again, released));
        Self {
            mapping,
            anew,
            release,
        }
    }

    /// What the router gave, and every change of it.
    pub fn watch(&self) -> watch::Receiver<PortMapping> {
        self.mapping.clone()
    }

    /// Asks anew: the network changed, or the router was restarted.
    pub fn renew(&self) {
        // A full queue means that it will anyway.
        let _ = self.anew.try_send(());
    }

    /// Gives the port back; returns when the router was told, a third of a second later at most.
    pub async fn release(self) {
        let (done, told) = oneshot::channel();
        // An error, here and below, means that the task is gone.
        let _ = self.release.send(done);
        let _ = told.await;
    }
}

async fn keep(
    port: NonZeroU16,
    tell: watch::Sender<PortMapping>,
    mut again: mpsc::Receiver<()>,
    mut released: oneshot::Receiver<oneshot::Sender<()>>,
) {
    loop {
        let client = Client::default();
        let done = tokio::select! {
            () = hold(&client, port, &tell) => None,
            again = again.recv() => match again {
                Some(()) => None,
                None => return,
            },
            done = &mut released => match done {
                Ok(done) => Some(done),
                Err(_) => return,
            },
        };
        give_back(&client).await;
        if let Some(done) = done {
            // Whoever asked may have stopped waiting.
            let _ = done.send(());
            return;
        }
    }
}

/// Finds a router, has the port mapped and tells of it; returns when it is time to try again.
async fn hold(client: &Client, port: NonZeroU16, tell: &watch::Sender<PortMapping>) {
    let probed = client.probe().await.ok().and_then(Result::ok);
    tracing::debug!(?probed, "looked for port mapping services");
    if !probed.is_some_and(|found| found.upnp || found.pcp || found.nat_pmp) {
        publish(tell, PortMapping::Absent);
        return sleep(RETRY).await;
    }
    client.update_local_port(port);
    let mut outside = client.watch_external_address();
    loop {
        // The service renews a mapping by itself, and asks again for one that ran out.
        let given = timeout(PATIENCE, outside.wait_for(Option::is_some)).await;
        let given = given.ok().and_then(Result::ok).and_then(|addr| *addr);
        let mapping = given.map_or(PortMapping::Absent, PortMapping::of);
        publish(tell, mapping);
        if mapping.public().is_none() {
            give_back(client).await;
            break;
        }
        // An error means that the service is gone, and so is the mapping.
        let _ = outside.wait_for(|now| *now != given).await;
    }
    sleep(RETRY).await;
}

fn publish(tell: &watch::Sender<PortMapping>, mapping: PortMapping) {
    tell.send_if_modified(|told| {
        let news = *told != mapping;
        if news {
            tracing::debug!(?mapping, "port mapping");
            *told = mapping;
        }
        news
    });
}

/// Has the router forget the mapping, if there is one.
async fn give_back(client: &Client) {
    if client.watch_external_address().borrow().is_none() {
        return;
    }
    client.deactivate();
    // The service does one thing after the other, so its answer comes after the mapping is gone.
    let _ = timeout(RELEASE, client.probe()).await;
}

/// Whether packets from anywhere find this address: not private (RFC 1918), not a carrier's inside
/// (RFC 6598), not any other that is special (RFC 6890).
fn is_public(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let carrier = a == 100 && (64..128).contains(&b);
    let benchmarking = a == 198 && (18..20).contains(&b);
    let protocols = (a, b, c) == (192, 0, 0);
    !(ip.is_private()
        || carrier
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_documentation()
        || benchmarking
        || protocols
        || a == 0
        || a >= 224)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_address_that_everybody_reaches_is_worth_announcing() {
        for (text, public) in [
            ("11.0.0.1", true),
            ("8.8.8.8", true),
            ("100.63.255.255", true),
            ("100.128.0.0", true),
            ("100.64.0.1", false),
            ("100.127.255.254", false),
            ("10.1.2.3", false),
            ("172.16.0.1", false),
            ("192.168.1.1", false),
            ("169.254.7.7", false),
            ("127.0.0.1", false),
            ("198.18.0.1", false),
            ("192.0.0.8", false),
            ("0.0.0.0", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
        ] {
            assert_eq!(is_public(text.parse().unwrap()), public, "{text}");
        }
    }

    #[test]
    fn a_mapping_on_a_carriers_address_is_told_apart() {
        let carrier = PortMapping::of("100.64.3.4:7000".parse().unwrap());
        assert_eq!(
            carrier,
            PortMapping::BehindCarrier(Ipv4Addr::new(100, 64, 3, 4))
        );
        assert_eq!(carrier.public(), None);
        let public: SocketAddrV4 = "11.0.0.1:7000".parse().unwrap();
        assert_eq!(PortMapping::of(public).public(), Some(public));
    }

    #[tokio::test]
    async fn releasing_what_was_never_given_ends_at_once() {
        let map = PortMap::start(NonZeroU16::new(7000).unwrap());
        let released = timeout(Duration::from_secs(5), map.release()).await;
        released.expect("it ends");
    }
}
