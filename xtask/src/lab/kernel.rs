//! The first part: the kernel's own NATs, every pair of sites once.

use std::time::Duration;

use super::cell::{self, Cell};
use super::plan::{self, Pair};
use super::report::Report;
use super::site::Site;
use super::topology::{Side, Topology};
use super::{Crew, Part, oracle, service};
use crate::gimlet::{Gimlet, Place};
use crate::payload::TRANSFER_BYTES;
use crate::sandbox::Sandbox;

/// The network and the server in it.
pub(crate) struct Kernel<'a> {
    crew: &'a Crew,
    pairs: &'a [Pair],
    pub(crate) topology: Topology,
}

/// How long `whoami` may take, whatever happens.
const WHOAMI_TIMEOUT: Duration = Duration::from_secs(40);

/// What is wrong with what a host says of its router's opening, where its router opens ports.
async fn opening(site: Site, host: &Gimlet) -> anyhow::Result<Option<String>> {
    if !site.opens_ports() {
        return Ok(None);
    }
    let whoami = host
        .named("whoami")
        .run(&["whoami"], WHOAMI_TIMEOUT)
        .await?;
    let mapped = &whoami.last()["mapped"];
    let is_right = match site {
        // The daemon sees the carrier's address on its outside and opens nothing.
        Site::UpnpCarrier => mapped.is_null(),
        _ => mapped
            .as_str()
            .is_some_and(|mapped| mapped.starts_with("11.0.")),
    };
    Ok((!is_right).then(|| format!("whoami: mapped is {mapped}")))
}

/// How long signing in may take where UDP is blocked, milliseconds.
const SIGN_IN_WITHIN: f64 = 3000.0;

/// What is wrong with what a host says of how it reaches the server, where UDP is blocked.
async fn over_tls(site: Site, host: &Gimlet) -> anyhow::Result<Option<String>> {
    if !site.blocks_udp() {
        return Ok(None);
    }
    let whoami = host.named("whoami");
    let whoami = whoami.run(&["whoami"], WHOAMI_TIMEOUT).await?;
    let transport = &whoami.last()["transport"];
    Ok((transport != "tls").then(|| format!("whoami: transport is {transport}, must be tls")))
}

/// Whether a service is used besides: between two NATs that can be punched through, and two that can't.
fn uses_service(pair: Pair) -> bool {
    pair.a == pair.b && matches!(pair.a, Site::Moderate | Site::Strict)
}

impl<'a> Kernel<'a> {
    /// Brings up the sites that `pairs` need.
    pub(crate) async fn build(
        crew: &'a Crew,
        sandbox: Sandbox,
        pairs: &'a [Pair],
    ) -> anyhow::Result<Self> {
        let topology = Topology::build(sandbox, &plan::sites(pairs)).await?;
        Ok(Self {
            crew,
            pairs,
            topology,
        })
    }

    /// Runs every pair `runs` times.
    pub(crate) async fn run(&self, runs: usize, report: &mut Report) -> anyhow::Result<()> {
        let place = Place::Namespace(self.topology.server.clone());
        let ip = self.topology.server_ip.into();
        let mut server = self.crew.serve(Part::Kernel, place, ip, None).await?;
        for run in 1..=runs {
            report.heading(run, &Part::Kernel.network(0.0));
            for &pair in self.pairs {
                self.cell(pair, run, &server.address, report).await?;
                // Without it every cell fails, and none of them says why.
                server.still_runs()?;
            }
        }
        server.stop().await;
        Ok(())
    }

    async fn cell(
        &self,
        pair: Pair,
        run: usize,
        server: &str,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let folder = self.crew.folder(Part::Kernel, run, &pair.name())?;
        let host = |site, side, name: &str| -> anyhow::Result<Gimlet> {
            let place = Place::Namespace(self.topology.host(site, side)?.clone());
            Ok(self.crew.host(place, server, &folder, name))
        };
        let (mut a, mut b) = (host(pair.a, Side::A, "a")?, host(pair.b, Side::B, "b")?);
        for (site, side, host) in [(pair.a, Side::A, &mut a), (pair.b, Side::B, &mut b)] {
            if let Some(proxy) = self.topology.proxy(site, side)? {
                host.flags.extend(["--proxy".to_owned(), proxy]);
            }
        }
        let cell = Cell {
            part: Part::Kernel,
            a: pair.a.name(),
            b: pair.b.name(),
            loss: 0.0,
            run,
            expect: oracle::expect(pair),
            bytes: TRANSFER_BYTES,
            bench: true,
        };
        let mut outcome = cell::run(&cell, &a, &b).await;
        for (site, host) in [(pair.a, &a), (pair.b, &b)] {
            outcome.failures.extend(opening(site, host).await?);
            outcome.failures.extend(over_tls(site, host).await?);
        }
        if uses_service(pair) {
            let at = service::Where {
                user: &a,
                host: &b,
                expected: cell.expect.path,
                outside: self.topology.outside(pair.b, Side::B)?,
            };
            match service::reach(at).await {
                Ok(reach) => outcome.service = reach,
                Err(error) => outcome.failures.push(format!("service: {error:#}")),
            }
        }
        if let Some(took) = outcome.ms("sign_in_ms")
            && pair.a.blocks_udp()
            && took > SIGN_IN_WITHIN
        {
            let within = format!("must be within {SIGN_IN_WITHIN} ms");
            let failure = format!("signed in over TLS after {took:.0} ms, {within}");
            outcome.failures.push(failure);
        }
        if !outcome.failures.is_empty() {
            for (site, side, name) in [(pair.a, Side::A, "a"), (pair.b, Side::B, "b")] {
                let state = self.topology.router_state(site, side)?;
                std::fs::write(folder.join(format!("{name}-router.txt")), state)?;
            }
        }
        self.crew.add(report, &outcome, &folder, Part::Kernel)
    }
}
