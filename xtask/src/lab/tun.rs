//! The second part: the simulator's NATs carrying real packets over TUN devices, for what the
//! kernel's cannot do: delay and loss, sequential and block allocation, short lifetimes.
//!
//! One network at a time: each cell lays its own between the same three namespaces.

mod carrier;
mod layout;
mod load;
mod packet;
mod plan;
mod probed;
mod site;
mod timing;
mod world;

use std::net::IpAddr;

use gimlet_sim::Net;

use super::cell::{self, Cell};
use super::crew::Serving;
use super::expect::Expect;
use super::plan::Path;
use super::report::Report;
use super::topology::Side;
use super::{Crew, Part};
use crate::gimlet::Place;

use layout::UPLINK_DELAY;
pub(crate) use layout::{Home, uplink};
pub(crate) use load::measure;
pub(crate) use plan::{Pair, all};
pub(crate) use probed::Probed;
pub(crate) use site::{Spot, layout};
pub(crate) use timing::Timing;
pub(crate) use world::{SERVER_IPS, World};

/// Bytes each way in a cell: at 2 % loss a mebibyte takes seconds, not tens of them.
const BYTES: usize = 1 << 20;

/// The path that plain checks give a pair, as the simulator's oracle says.
pub(crate) fn plain(pair: Pair) -> anyhow::Result<Path> {
    let built = layout::build(0, &layout(pair.a, pair.b, 0.0))?;
    let verdict = Net::verdict(&built.net, built.a.host, built.b.host);
    Ok(match verdict.is_direct() {
        true => Path::Direct,
        false => Path::Relay,
    })
}

/// What a pair must come to, searches included.
pub(crate) fn expect(pair: Pair) -> anyhow::Result<Expect> {
    Ok(Expect::of(plain(pair)?, &pair.a.site(), &pair.b.site()))
}

/// Runs every pair at each loss, `runs` times.
pub(crate) async fn run(
    crew: &Crew,
    world: &World,
    pairs: &[Pair],
    runs: usize,
    report: &mut Report,
) -> anyhow::Result<()> {
    if pairs.is_empty() {
        return Ok(());
    }
    let mut server = serve(crew, world, Part::Tun).await?;
    for run in 1..=runs {
        for loss in plan::LOSSES {
            let mut pairs = pairs.to_vec();
            pairs.retain(|pair| plan::losses(*pair).contains(&loss));
            if pairs.is_empty() {
                continue;
            }
            report.heading(run, &Part::Tun.network(loss));
            for pair in pairs {
                cell(crew, world, pair, loss, run, &server.address, report).await?;
                server.still_runs()?;
            }
        }
    }
    for probed in probed::probe(crew, world, &server.address, pairs, runs).await? {
        report.probed(&probed);
    }
    if TIMED.iter().all(|pair| pairs.contains(pair)) {
        report.timed(timing::time(crew, world, &server.address, runs).await?);
    }
    server.stop().await;
    Ok(())
}

/// Whoever runs this pair is told how long it takes, more precisely than once.
const TIMED: [Pair; 1] = [Pair {
    a: Spot::Apdf,
    b: Spot::Apdf,
}];

/// Starts a server in the world; it needs a network to be laid only when it is used.
pub(crate) async fn serve(crew: &Crew, world: &World, part: Part) -> anyhow::Result<Serving> {
    let place = Place::Namespace(world.server.clone());
    let [first, second] = SERVER_IPS.map(IpAddr::V4);
    crew.serve(part, place, first, Some(second)).await
}

async fn cell(
    crew: &Crew,
    world: &World,
    pair: Pair,
    loss: f64,
    run: usize,
    server: &str,
    report: &mut Report,
) -> anyhow::Result<()> {
    let name = format!("{}-{}-{:.0}", pair.a.name(), pair.b.name(), loss * 100.0);
    let folder = crew.folder(Part::Tun, run, &name)?;
    // Half of the loss on each of the two links between any two.
    world.lay(run as u64, &layout(pair.a, pair.b, loss / 2.0))?;
    let host = |side, name| {
        let place = Place::Namespace(world.host(side).clone());
        crew.host(place, server, &folder, name)
    };
    let (a, b) = (host(Side::A, "a"), host(Side::B, "b"));
    let cell = Cell {
        part: Part::Tun,
        a: pair.a.name(),
        b: pair.b.name(),
        loss,
        run,
        expect: expect(pair)?,
        bytes: BYTES,
        bench: false,
    };
    let outcome = cell::run(&cell, &a, &b).await;
    if !outcome.failures.is_empty() {
        let counters = world.net(|net| format!("{:#?}\n", net.counters()))?;
        std::fs::write(folder.join("network.txt"), counters)?;
    }
    crew.add(report, &outcome, &folder, Part::Tun)
}
