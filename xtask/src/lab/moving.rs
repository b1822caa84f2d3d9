//! The third part: transfers that go on while a host changes its interface, a router forgets
//! everything, or a host sleeps. Each must end with the right bytes, and be back soon.

mod stream;
mod trace;

use std::cell::RefCell;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::Context;
use gimlet_sim::{LinkConfig, RouterKind};
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use tokio::process::Child;
use tokio::time::sleep;

use super::crew::Serving;
use super::report::Report;
use super::topology::Side;
use super::tun::{self, Home, Spot, World};
use super::{Crew, Part};
use crate::gimlet::Place;
use stream::Stream;
use trace::Trace;

/// How long a transfer runs before anything happens to it: long enough to be direct.
const CALM_BEFORE: Duration = Duration::from_millis(1500);
/// How long it runs on afterwards: whatever comes later is a second interruption, and counts.
const CALM_AFTER: Duration = Duration::from_secs(3);
/// How long it may take until traffic flows again, whatever the limit: a late one shall say
/// how late.
const BACK_TIMEOUT: Duration = Duration::from_secs(30);
/// A round trip between the hosts.
const RTT: Duration = Duration::from_millis(40);
/// The outside address of the router that a moving host moves to, and its own below it.
const ELSEWHERE: [Ipv4Addr; 2] = [Ipv4Addr::new(11, 0, 7, 1), Ipv4Addr::new(192, 168, 7, 2)];

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Event {
    /// The dialing host goes to another router by another interface.
    Change,
    /// The dialing host's router forgets every mapping.
    Reboot,
    /// The listening host's process stops and goes on.
    Sleep,
}

impl Event {
    /// What happens, for the table.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Change => "interface changes",
            Self::Reboot => "router reboots",
            Self::Sleep => "host sleeps",
        }
    }

    /// How soon bytes must flow again: the time to notice, and three round trips.
    fn limit(self) -> Duration {
        3 * RTT
            + match self {
                Self::Change => Duration::from_secs(1),
                Self::Reboot | Self::Sleep => Duration::from_secs(2),
            }
    }
}

/// One transfer and what happens to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    event: Event,
    /// Where both hosts are.
    spot: Spot,
}

/// Direct sessions, and relayed ones.
pub(crate) const AWAKE: [Scenario; 4] = [
    Scenario {
        event: Event::Change,
        spot: Spot::Apdf,
    },
    Scenario {
        event: Event::Change,
        spot: Spot::Random,
    },
    Scenario {
        event: Event::Reboot,
        spot: Spot::Apdf,
    },
    Scenario {
        event: Event::Reboot,
        spot: Spot::Random,
    },
];

/// The one that takes a minute.
pub(crate) const ASLEEP: [Scenario; 1] = [Scenario {
    event: Event::Sleep,
    spot: Spot::Apdf,
}];

/// What one transfer came to.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Moved {
    pub(crate) event: Event,
    /// Where both hosts were.
    pub(crate) site: &'static str,
    pub(crate) run: usize,
    /// From the event, or from waking up, to traffic again.
    pub(crate) back_ms: Option<u64>,
    /// The most that may be.
    pub(crate) limit_ms: u64,
    /// Bytes that arrived, all of them right.
    pub(crate) verified_bytes: Option<u64>,
    pub(crate) elapsed_ms: u64,
    /// What is wrong, if anything.
    pub(crate) failure: Option<String>,
}

/// Runs scenarios one after the other; the host that sleeps sleeps for `nap`.
pub(crate) async fn run(
    crew: &Crew,
    world: &World,
    scenarios: &[Scenario],
    nap: Duration,
    run: usize,
    report: &mut Report,
) -> anyhow::Result<()> {
    for moved in transfers(crew, world, scenarios, nap, run).await? {
        report.moved(&moved);
    }
    Ok(())
}

/// The same without a table, for while another part prints its own.
pub(crate) async fn transfers(
    crew: &Crew,
    world: &World,
    scenarios: &[Scenario],
    nap: Duration,
    run: usize,
) -> anyhow::Result<Vec<Moved>> {
    let mut server = tun::serve(crew, world, Part::Move).await?;
    let mut all = Vec::new();
    for scenario in scenarios {
        all.push(transfer(crew, world, *scenario, nap, run, &server).await?);
        server.still_runs()?;
    }
    server.stop().await;
    Ok(all)
}

async fn transfer(
    crew: &Crew,
    world: &World,
    scenario: Scenario,
    nap: Duration,
    run: usize,
    server: &Serving,
) -> anyhow::Result<Moved> {
    let started = Instant::now();
    let Scenario { event, spot } = scenario;
    let name = format!("{event:?}-{}", spot.name()).to_lowercase();
    let folder = crew.folder(Part::Move, run, &name)?;
    let [home, _] = world.lay(run as u64, &tun::layout(spot, spot, 0.0))?;
    let host = |side, name| {
        let place = Place::Namespace(world.host(side).clone());
        crew.host(place, &server.address, &folder, name)
    };
    let (a, b) = (host(Side::A, "a"), host(Side::B, "b"));
    let streamed = async {
        let stream = Stream::open(&a, &b, &name).await?;
        let meanwhile = async |_: &mut Child, listening: &mut Child, trace: &RefCell<Trace>| {
            sleep(CALM_BEFORE).await;
            let since = match event {
                Event::Change => change(world, spot)?,
                Event::Reboot => reboot(world, &home)?,
                Event::Sleep => doze(listening, nap).await?,
            };
            flows(trace, since).await;
            sleep(CALM_AFTER).await;
            Ok(trace.borrow().back_after(since, Instant::now()))
        };
        stream.during(meanwhile).await
    };
    let streamed = streamed.await;
    let mut moved = Moved {
        event,
        site: spot.name(),
        run,
        back_ms: None,
        limit_ms: millis(event.limit()),
        verified_bytes: None,
        elapsed_ms: millis(started.elapsed()),
        failure: None,
    };
    match streamed {
        Err(error) => moved.failure = Some(format!("{error:#}")),
        Ok((back, bytes)) => {
            moved.back_ms = back.map(millis);
            moved.verified_bytes = Some(bytes);
            if back.is_none_or(|back| back > event.limit()) {
                moved.failure = Some(format!("not back within {} ms", moved.limit_ms));
            }
        }
    }
    Ok(moved)
}

/// Takes the dialing host to another router of the same kind.
fn change(world: &World, spot: Spot) -> anyhow::Result<Instant> {
    let site = spot.site();
    let layer = site.layers.first().context("a site without a router")?;
    let kind = match layer.clone() {
        gimlet_sim::Layer::Nat(config) => RouterKind::Nat(config),
        gimlet_sim::Layer::Firewall(config) => RouterKind::Firewall(config),
    };
    let [outside, inside] = ELSEWHERE;
    let link = tun::uplink(0.0);
    let router = world.net(|net| net.add_router(None, kind, vec![outside.into()], link))?;
    let since = Instant::now();
    world.change_interface(Side::A, Some(router), inside, LinkConfig::default())?;
    Ok(since)
}

fn reboot(world: &World, home: &Home) -> anyhow::Result<Instant> {
    world.net(|net| {
        for router in &home.routers {
            net.reboot_router(*router);
        }
    })?;
    Ok(Instant::now())
}

/// Stops a process for a while; returns when it went on.
async fn doze(child: &Child, nap: Duration) -> anyhow::Result<Instant> {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
    let pid = pid.and_then(Pid::from_raw).context("it has ended")?;
    kill_process(pid, Signal::STOP)?;
    sleep(nap).await;
    kill_process(pid, Signal::CONT)?;
    Ok(Instant::now())
}

/// Waits until bytes arrive that were not under way at `since` already.
async fn flows(trace: &RefCell<Trace>, since: Instant) {
    let deadline = since + BACK_TIMEOUT;
    while Instant::now() < deadline && !trace.borrow().flows_after(since + RTT) {
        sleep(Duration::from_millis(20)).await;
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
