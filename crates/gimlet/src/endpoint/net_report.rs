//! Where this host is in the network: its servers, its NAT and its router.

use std::net::SocketAddr;
use std::time::Duration;

use gimlet_net::port_map::PortMapping;
use gimlet_proto::candidate::NatClass;
use gimlet_proto::nat;
use tokio::time::timeout;

use super::Endpoint;
use crate::control::ServerStatus;
use crate::engine::Command;

/// How long [`Endpoint::port_mapping`] waits: a second to find a router, two for its answer.
const MAPPING_TIMEOUT: Duration = Duration::from_secs(4);

/// How long [`Endpoint::look_again`] waits: a little longer than looking takes at most.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

/// How long [`Endpoint::servers`] waits: a measurement's time, and a slow name server's.
const MEASURE_TIMEOUT: Duration = Duration::from_secs(3);

/// What [`Endpoint::net_report`] returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetReport {
    /// Where servers see the IPv4 socket; `None` if none answered over IPv4.
    pub reflexive_v4: Option<SocketAddr>,
    /// The same for IPv6.
    pub reflexive_v6: Option<SocketAddr>,
    /// This host's own addresses with the sockets' ports.
    pub local: Vec<SocketAddr>,
    /// The NAT in front of this host as far as it is known.
    pub nat: NatClass,
    /// All that was found out about it.
    pub details: nat::Report,
    /// How long finding out took.
    pub elapsed: Duration,
}

impl Endpoint {
    /// The servers of this endpoint in the order given, how far they are, and which of them is asked
    /// first. Waits until each was measured or did not answer, 1 s and the lookup of its name at most.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn servers(&self) -> Vec<ServerStatus> {
        let mut standing = self.inner.control.standing();
        // An error means that the engine is gone.
        let _ = self.inner.commands.send(Command::Measure).await;
        let measured = standing.wait_for(|standing| standing.measured);
        let measured = timeout(MEASURE_TIMEOUT, measured).await;
        match measured {
            Ok(Ok(standing)) => standing.servers.clone(),
            // An error means that the engine is gone; what is known stays.
            Ok(Err(_)) | Err(_) => self.inner.control.standing().borrow().servers.clone(),
        }
    }

    /// Says where this host is seen from outside and what its NAT does. Uses STUN alone and works
    /// without being signed in; waits for answers 1 s at most, or 1.5 s where there are none.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn net_report(&self) -> NetReport {
        let mut report = self.inner.shared.report.subscribe();
        let known = report.wait_for(Option::is_some).await;
        match known.as_deref() {
            Ok(Some(report)) => report.clone(),
            Ok(None) | Err(_) => NetReport {
                reflexive_v4: None,
                reflexive_v6: None,
                local: Vec::new(),
                nat: NatClass::default(),
                details: nat::Report::default(),
                elapsed: Duration::ZERO,
            },
        }
    }

    /// The same, found out anew: for when this host's network may be another one than before.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn look_again(&self) -> NetReport {
        let mut report = self.inner.shared.report.subscribe();
        report.mark_unchanged();
        // An error means that the engine is gone; then what is known stays.
        let asked = self.inner.commands.send(Command::Discover).await;
        if asked.is_ok() {
            let _ = timeout(LOOK_TIMEOUT, report.changed()).await;
        }
        self.net_report().await
    }

    /// Which port the router gives us, asked for if it was not yet; waits 4 s at most.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn port_mapping(&self) -> PortMapping {
        let mut mapping = self.inner.shared.port_mapping.subscribe();
        if !self.inner.shared.maps_port {
            return PortMapping::Off;
        }
        // An error means that the engine is gone.
        let _ = self.inner.commands.send(Command::MapPort).await;
        let known =
            |mapping: &PortMapping| !matches!(mapping, PortMapping::Off | PortMapping::Asking);
        let known = timeout(MAPPING_TIMEOUT, mapping.wait_for(known)).await;
        match known {
            Ok(Ok(mapping)) => *mapping,
            Ok(Err(_)) | Err(_) => PortMapping::Absent,
        }
    }
}
