//! `gimlet whoami`: my addresses as seen from outside, and what my NAT does. Needs STUN only, no
//! sign-in.

mod nat;

use std::fmt;
use std::net::SocketAddr;

use serde::Serialize;

use crate::describe;
use crate::exit::{Failure, Outcome, Status};
use crate::output::ms;
use crate::session::Context;
use crate::width::{self, hung};
use gimlet::doctor::ServerDistance;
use gimlet::{Endpoint, NetReport, PortMapping, Transport};
use nat::Nat;

#[derive(Serialize)]
pub(super) struct Report {
    peer: String,
    name: Option<String>,
    reflexive_v4: Option<SocketAddr>,
    reflexive_v6: Option<SocketAddr>,
    /// `udp` where a server answered over it, `tls` where one is reached, but not over UDP.
    transport: Option<&'static str>,
    /// The port that the router gives me.
    mapped: Option<SocketAddr>,
    /// Whether another NAT, usually a carrier's, is behind the router; null where no router tells.
    carrier_nat: Option<bool>,
    local: Vec<SocketAddr>,
    nat: Nat,
    /// In the order given.
    servers: Vec<ServerDistance>,
    elapsed_ms: f64,
}

impl Report {
    pub(super) async fn of(context: &Context, endpoint: &Endpoint) -> Self {
        let (net, mapping, servers) = tokio::join!(
            endpoint.net_report(),
            endpoint.port_mapping(),
            endpoint.servers()
        );
        let servers = servers.into_iter().map(ServerDistance::from).collect();
        Self::new(context, endpoint, net, mapping, servers)
    }

    fn new(
        context: &Context,
        endpoint: &Endpoint,
        net: NetReport,
        mapping: PortMapping,
        servers: Vec<ServerDistance>,
    ) -> Self {
        Self {
            peer: endpoint.peer_id().to_string(),
            name: context.settings.name.as_ref().map(ToString::to_string),
            reflexive_v4: net.reflexive_v4,
            reflexive_v6: net.reflexive_v6,
            transport: (net.reflexive_v4.or(net.reflexive_v6))
                .map(|_| describe::transport(Transport::Udp)),
            mapped: mapping.public().map(SocketAddr::V4),
            carrier_nat: match mapping {
                PortMapping::Public(_) => Some(false),
                PortMapping::BehindCarrier(_) => Some(true),
                PortMapping::Off | PortMapping::Asking | PortMapping::Absent => None,
            },
            local: net.local,
            nat: Nat::from(&net.details),
            servers,
            elapsed_ms: ms(net.elapsed),
        }
    }

    /// Whether any server has answered.
    pub(super) fn is_seen(&self) -> bool {
        self.reflexive_v4.is_some() || self.reflexive_v6.is_some()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_deref().unwrap_or("-");
        let address = |found: Option<SocketAddr>| {
            found.map_or_else(|| "-".to_owned(), |found| found.to_string())
        };
        let local: Vec<_> = self.local.iter().map(ToString::to_string).collect();
        writeln!(f, "peer     {}", self.peer)?;
        writeln!(f, "name     {name}")?;
        writeln!(f, "IPv4     {}", address(self.reflexive_v4))?;
        writeln!(f, "IPv6     {}", address(self.reflexive_v6))?;
        let mapped = match self.carrier_nat {
            Some(true) => {
                "- (the router is itself behind a NAT, usually the provider's)".to_owned()
            }
            Some(false) | None => address(self.mapped),
        };
        writeln!(f, "mapped   {mapped}")?;
        writeln!(f, "local    {}", local.join(" "))?;
        match self.transport == Some(describe::transport(Transport::Tls)) {
            true => writeln!(f, "NAT      unknown: UDP is blocked; connected over TLS")?,
            false => {
                let nat = hung(&self.nat.to_string(), 9, width::of_stdout());
                writeln!(f, "NAT      {nat}")?;
            }
        }
        let servers: Vec<_> = self.servers.iter().map(ToString::to_string).collect();
        writeln!(f, "servers  {}", servers.join(" "))?;
        write!(f, "elapsed  {:.1} ms", self.elapsed_ms)
    }
}

pub(super) async fn run(context: &Context) -> Outcome {
    let work = async |endpoint: &Endpoint| {
        let mut report = Report::of(context, endpoint).await;
        if !report.is_seen() {
            match endpoint.online().await {
                Ok(to) if to.transport == Transport::Tls => {
                    report.transport = Some(describe::transport(to.transport));
                }
                Ok(_) => return Err(nobody_answered()),
                Err(error) => return Err(Failure::sign_in(error)),
            }
        }
        context.output.print(&report)?;
        Ok(Status::Done)
    };
    context.dialling(work).await
}

fn nobody_answered() -> Failure {
    let error = anyhow::anyhow!("no server answered over UDP");
    Failure::new(Status::Unreachable, error)
        .hint("is the server running, the address right, and does this network let UDP out?")
}
