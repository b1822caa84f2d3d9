//! Relays flooded with full batches: processor time of each GiB sent on, beside the bare loop's.

mod coturn;
mod crowd;
mod fairness;
mod forwarding;
mod report;
mod rig;
mod suite;
mod targets;

use serde::Serialize;

use super::crew::Worker;
use super::figures::{Figure, GIB};
use super::message::{Order, Role, Threads};
use super::{Plan, progress};
pub(super) use suite::{Args, run};

/// What a flood through the server and one through the bare forwarder came to.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Relays {
    pub(super) server: Relay,
    pub(super) forwarder: Relay,
    /// Processor time of the server over that of the forwarder.
    pub(super) ratio: Figure,
}

/// One of them.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Relay {
    /// Processor seconds per GiB.
    pub(super) cpu: Figure,
    pub(super) mb_per_s: Figure,
}

/// Floods both in turn.
pub(super) async fn measure(plan: Plan) -> anyhow::Result<Relays> {
    let (mut servers, mut forwarders) = (Vec::new(), Vec::new());
    for round in 0..plan.rounds {
        progress(format_args!(
            "relay, round {} of {}",
            round + 1,
            plan.rounds
        ));
        forwarders.push(forwarder(plan.flood_s).await?);
        servers.push(server(plan.flood_s).await?);
    }
    let of = |samples: &[(f64, f64)]| {
        Some(Relay {
            cpu: Figure::of(samples.iter().map(|s| s.0))?,
            mb_per_s: Figure::of(samples.iter().map(|s| s.1))?,
        })
    };
    let ratios = servers.iter().zip(&forwarders).map(|(s, f)| s.0 / f.0);
    let figures = || {
        Some(Relays {
            server: of(&servers)?,
            forwarder: of(&forwarders)?,
            ratio: Figure::of(ratios)?,
        })
    };
    figures().ok_or_else(|| anyhow::anyhow!("no rounds, no figures"))
}

async fn server(seconds: f64) -> anyhow::Result<(f64, f64)> {
    let relay = Worker::start(Threads::One, Role::Server).await?;
    let role = Role::Flood {
        server: Some(relay.line()?),
    };
    flood(relay, Worker::start(Threads::Two, role).await?, seconds).await
}

async fn forwarder(seconds: f64) -> anyhow::Result<(f64, f64)> {
    let flood_worker = Worker::start(Threads::Two, Role::Flood { server: None }).await?;
    let role = Role::Forwarder {
        to: flood_worker.addr()?,
    };
    let relay = Worker::start(Threads::One, role).await?;
    flood(relay, flood_worker, seconds).await
}

/// Processor seconds per GiB and megabytes a second of the relay.
async fn flood(mut relay: Worker, mut source: Worker, seconds: f64) -> anyhow::Result<(f64, f64)> {
    let to = relay.addr()?;
    // What comes first meets a cold relay.
    source.ask(Order::Flood { to, seconds: 0.1 }).await?;
    let before = relay.read().await?;
    source.ask(Order::Flood { to, seconds }).await?;
    let after = relay.read().await?;
    let bytes = (after.forwarded - before.forwarded) as f64;
    anyhow::ensure!(bytes > 0.0, "the relay sent nothing on");
    let cpu = (after.cpu_s - before.cpu_s) / (bytes / GIB);
    Ok((cpu, bytes / 1e6 / seconds))
}
