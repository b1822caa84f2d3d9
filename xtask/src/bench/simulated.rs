//! The same times over a simulated network, exactly: 40 ms between any two hosts, both behind strict
//! NATs. The whole stack runs in virtual time, in which computing takes none.

use std::time::Duration;

use anyhow::ensure;
use gimlet_sim::{LinkConfig, NatConfig, RouterKind};
use gimlet_tests::{World, rtt_40ms};
use serde::Serialize;
use tokio::time::timeout;

use super::message::Dialled;
use super::setup::Times;
use super::{Plan, progress};

/// Round trip between any two hosts, milliseconds.
pub(super) const RTT_MS: f64 = 40.0;

/// Chance of a loss on every link, of which a packet crosses two.
const LOSS: f64 = 0.02;

/// Extra delay of a packet on every link, at most.
const JITTER: Duration = Duration::from_millis(5);

/// Virtual time in which a pair must have connected, and then have gone direct; past it, it counts
/// as failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Times without and with trouble on the way.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Simulated {
    pub(super) clean: Times,
    pub(super) lossy: Times,
}

/// Plays every seed in both settings.
pub(super) fn measure(plan: Plan) -> anyhow::Result<Simulated> {
    progress("times in the simulator");
    let lossy = LinkConfig {
        loss: LOSS,
        jitter: JITTER,
        ..rtt_40ms()
    };
    let all = |link: &LinkConfig| {
        let seeds = 0..plan.seeds;
        let dialled: Vec<_> = seeds.filter_map(|seed| play(seed, link).ok()).collect();
        Times::of(plan.seeds as usize, &dialled)
    };
    Ok(Simulated {
        clean: all(&rtt_40ms())?,
        lossy: all(&lossy)?,
    })
}

fn play(seed: u64, link: &LinkConfig) -> anyhow::Result<Dialled> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()?;
    runtime.block_on(async { timeout(2 * PATIENCE, pair(seed, link)).await? })
}

async fn pair(seed: u64, link: &LinkConfig) -> anyhow::Result<Dialled> {
    let strict = || RouterKind::Nat(NatConfig::strict());
    let mut world = World::new(seed);
    let server = world.server(link.clone(), gimlet_server::Config::on_loopback());
    let (a, b) = (
        world.site(&[strict()], link.clone()),
        world.site(&[strict()], link.clone()),
    );
    let a = world.peer(a, &server.address, |b| b).await;
    let b = world.peer(b, &server.address, |b| b).await;
    let signed_in = a.endpoint.online().await?;
    b.endpoint.online().await?;
    a.endpoint.net_report().await;
    b.endpoint.net_report().await;
    let connection = a.endpoint.connect(b.endpoint.peer_id(), b"test/1").await?;
    let mut path = connection.path_changes();
    let direct = timeout(PATIENCE, path.wait_for(|path| path.is_direct())).await;
    if direct.is_ok() {
        ensure!(
            connection.settled().await.is_direct(),
            "not direct for long"
        );
    }
    Ok(Dialled::of(&signed_in, &connection))
}
