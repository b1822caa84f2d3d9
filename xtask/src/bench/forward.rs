//! What a forward carries beside the bare session: iperf3 through `gimlet forward`, and `gimlet bench`
//! between the same hosts, in turns, all by the release binary.
//!
//! Over loopback everything shares the processors: through the forward every byte is copied four times
//! more, by iperf3 and into and out of a TCP socket at either side. So two more figures tell what is
//! iperf3's own: without anything between, and through a proxy that only copies. The forward's session
//! has datagrams there that are as long as the host takes, so it is also put beside one that has the
//! same. Over a link of a gigabit the link is the limit, as it is for nearly everybody.

mod hosts;
mod proxy;

use anyhow::Context;
use serde::Serialize;

use super::figures::Figure;
use super::link::Network;
use super::{Plan, progress};
use crate::sandbox::Sandbox;
use hosts::Hosts;
use std::path::Path;

/// Megabits a second of the link.
const LINK_MBIT: u32 = 1000;

/// Bytes of one measurement: two seconds, over loopback and over the link, beside which it does not
/// count how either of both begins.
const BYTES: u64 = 1 << 30;
const LINK_BYTES: u64 = 256 << 20;

/// One direction over one network.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    pub(super) what: String,
    /// Whether everything shares the processors.
    pub(super) is_loopback: bool,
    /// MB/s of the session alone.
    pub(super) session: Figure,
    /// MB/s of iperf3 through the forward.
    pub(super) forward: Figure,
    /// The second over the first, round by round.
    pub(super) ratio: Figure,
    /// Processor seconds per GiB of both ends of the session, and of both ends of the forward.
    pub(super) session_cpu: Figure,
    pub(super) forward_cpu: Figure,
    /// MB/s of the session alone with datagrams as long as the forward's, and the forward's over that.
    pub(super) long_session: Option<Figure>,
    pub(super) long_ratio: Option<Figure>,
    /// MB/s of iperf3 through a proxy that only copies, and with nothing between.
    pub(super) proxy: Option<Figure>,
    pub(super) bare: Option<Figure>,
}

/// What the rounds of one direction came to.
#[derive(Debug, Default)]
struct Rounds {
    session: Vec<f64>,
    forward: Vec<f64>,
    session_cpu: Vec<f64>,
    forward_cpu: Vec<f64>,
    long_session: Vec<f64>,
    proxy: Vec<f64>,
    bare: Vec<f64>,
}

/// Measures both directions over loopback and, where there may be one, over a link.
pub(super) async fn measure(
    plan: Plan,
    binary: &Path,
    sandbox: Option<Sandbox>,
) -> anyhow::Result<Vec<Line>> {
    let mut lines = over(Network::Loopback, binary, plan).await?;
    if let Some(sandbox) = sandbox {
        let link = Network::link(sandbox, LINK_MBIT).await?;
        lines.extend(over(link, binary, plan).await?);
    }
    Ok(lines)
}

async fn over(network: Network, binary: &Path, plan: Plan) -> anyhow::Result<Vec<Line>> {
    let name = network.name();
    let is_loopback = network.is_loopback();
    let bytes = match is_loopback {
        true => BYTES,
        false => LINK_BYTES,
    };
    let hosts = Hosts::start(network, binary).await?;
    let mut lines = Vec::new();
    for (direction, reverse) in [("to the service", false), ("from the service", true)] {
        let what = format!("{name}, {direction}");
        progress(format_args!("forward, {what}"));
        let mut rounds = Rounds::default();
        for _ in 0..plan.rounds {
            rounds.run(&hosts, bytes, reverse, is_loopback).await?;
        }
        lines.push(rounds.line(what, is_loopback)?);
    }
    Ok(lines)
}

impl Rounds {
    async fn run(
        &mut self,
        hosts: &Hosts,
        bytes: u64,
        reverse: bool,
        is_loopback: bool,
    ) -> anyhow::Result<()> {
        let session = hosts.session(bytes, reverse, false).await?;
        self.session.push(session.mb_per_s);
        self.session_cpu.push(session.cpu);
        let forward = hosts.through_forward(bytes, reverse).await?;
        self.forward.push(forward.mb_per_s);
        self.forward_cpu.push(forward.cpu);
        if is_loopback {
            let long = hosts.session(bytes, reverse, true).await?;
            self.long_session.push(long.mb_per_s);
            self.proxy.push(hosts.through_proxy(bytes, reverse).await?);
            self.bare.push(hosts.straight(bytes, reverse).await?);
        }
        Ok(())
    }

    fn line(&self, what: String, is_loopback: bool) -> anyhow::Result<Line> {
        let figure = |values: &[f64]| Figure::of(values.iter().copied());
        let over = |session: &[f64]| {
            let ratios = session.iter().zip(&self.forward).map(|(s, f)| f / s);
            Figure::of(ratios)
        };
        Ok(Line {
            what,
            is_loopback,
            session: figure(&self.session).context("no round")?,
            forward: figure(&self.forward).context("no round")?,
            ratio: over(&self.session).context("no round")?,
            session_cpu: figure(&self.session_cpu).context("no round")?,
            forward_cpu: figure(&self.forward_cpu).context("no round")?,
            long_session: figure(&self.long_session),
            long_ratio: over(&self.long_session),
            proxy: figure(&self.proxy),
            bare: figure(&self.bare),
        })
    }
}
