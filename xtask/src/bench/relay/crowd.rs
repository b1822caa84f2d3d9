//! Peers by the thousand that do nothing, sign in, are introduced, and come back after a restart; beside
//! a bare quinn server that only holds as many connections.

mod report;
mod scene;

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::suite::Plan;
use crate::bench::figures::{Figure, Spread};
use crate::bench::message::{Role, Spot};
use crate::bench::progress;
use crate::workspace;
pub(super) use report::print;
use scene::Scene;

/// Peers signed in at one server before it is the other's turn: some seconds, so that both meet the
/// same crowd of idle peers and the same machine.
const PARTY: usize = 2500;

/// Time for a server to be quiet after something ended: acknowledgements, timers, freed memory.
const SETTLE: Duration = Duration::from_secs(2);

/// All of it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Crowd {
    pub(super) levels: Vec<Level>,
    /// Processor time of keep-alives at the last level, as a share of a core; and bare quinn's.
    pub(super) keep_alive: [f64; 2],
    pub(super) sign_ins: SignIns,
    pub(super) meetings: Meetings,
    /// A server that is killed, and one that is stopped.
    pub(super) storms: [Storm; 2],
}

/// Bytes of memory that are the server's own, for each, with so many peers signed in.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Level {
    pub(super) peers: usize,
    pub(super) peer: f64,
    /// The same of a bare quinn server.
    pub(super) bare: f64,
    /// What a session, bound from both sides, adds.
    pub(super) session: f64,
}

/// Sign-ins while the last level filled, and a bare server's handshakes.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct SignIns {
    /// A second, of each party.
    pub(super) per_s: [Figure; 2],
    /// Of one party over that of its neighbour.
    pub(super) ratio: Figure,
    /// Processor time of the server for one, milliseconds.
    pub(super) server_ms: [f64; 2],
    /// And of the peers, which share the machine.
    pub(super) peers_ms: [f64; 2],
}

/// Introductions.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Meetings {
    /// A second, as fast as it goes.
    pub(super) per_s: f64,
    /// Processor time of the server for each, milliseconds.
    pub(super) cpu_ms: f64,
    /// Milliseconds from asking to being accepted, then.
    pub(super) flat_out: Times,
    /// A second, at an easy pace, and milliseconds then.
    pub(super) easy_per_s: f64,
    pub(super) easy: Times,
}

/// Of a distribution.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Times {
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

/// How a server goes away before it comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Away {
    /// Without a word.
    Killed,
    /// As an operator stops it.
    Stopped,
}

impl Away {
    /// In tables and targets.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Stopped => "stopped",
        }
    }
}

/// A crowd that comes back after a restart.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Storm {
    pub(super) away: Away,
    pub(super) peers: usize,
    pub(super) back: usize,
    /// Seconds from the new server's start to a peer's sign-in.
    pub(super) seconds: Spread,
    /// Processor time of the server for all of it.
    pub(super) cpu_s: f64,
}

/// Measures a Gimlet server, and a bare one beside it.
pub(super) async fn measure(plan: &Plan, folder: &Path) -> anyhow::Result<Crowd> {
    let state = folder.join("relay-state");
    workspace::fresh(&state)?;
    let spot = |listen| {
        let state = state.clone();
        Role::ServerAt(Spot { listen, state })
    };
    let any = ([127, 0, 0, 1], 0).into();
    let gimlet = Scene::open(spot(any), false).await?;
    let bare = Scene::open(Role::BareServer, true).await?;
    let mut scenes = [gimlet, bare];
    let mut levels = Vec::new();
    let mut parties = Vec::new();
    for &peers in &plan.levels {
        progress(format_args!("{peers} idle peers"));
        parties = fill(&mut scenes, peers).await?;
        tokio::time::sleep(SETTLE).await;
        let [gimlet, bare] = &mut scenes;
        let before = gimlet.memory().await?;
        let level = Level {
            peers,
            peer: before / peers as f64,
            bare: bare.memory().await? / peers as f64,
            session: gimlet.sessions(peers / 2).await?,
        };
        levels.push(level);
    }
    progress("keep-alives");
    let keep_alive = idle(&mut scenes, plan.idle_s).await?;
    let [mut gimlet, bare] = scenes;
    drop(bare);
    progress("introductions");
    let meetings = gimlet.meet(plan).await?;
    let listen = gimlet.server.addr()?;
    progress("a kill and a restart");
    let killed = gimlet.restart(Away::Killed, spot(listen)).await?;
    tokio::time::sleep(SETTLE).await;
    progress("a stop and a restart");
    let stopped = gimlet.restart(Away::Stopped, spot(listen)).await?;
    Ok(Crowd {
        levels,
        keep_alive,
        sign_ins: sign_ins(&parties),
        meetings,
        storms: [killed, stopped],
    })
}

/// What signing one party in came to.
#[derive(Debug, Clone, Copy)]
struct Party {
    per_s: f64,
    server_ms: f64,
    peers_ms: f64,
}

/// Signs peers in at both, party by party in turn, until there are so many at each.
async fn fill(scenes: &mut [Scene; 2], peers: usize) -> anyhow::Result<Vec<[Party; 2]>> {
    let [gimlet, bare] = scenes;
    let mut parties = Vec::new();
    while gimlet.peers < peers {
        let count = PARTY.min(peers - gimlet.peers);
        // Whoever is second meets a larger crowd on the machine.
        parties.push(match parties.len() % 2 {
            0 => [gimlet.gather(count).await?, bare.gather(count).await?],
            _ => {
                let second = bare.gather(count).await?;
                [gimlet.gather(count).await?, second]
            }
        });
    }
    Ok(parties)
}

fn sign_ins(parties: &[[Party; 2]]) -> SignIns {
    let nothing = Figure {
        median: f64::NAN,
        low: f64::NAN,
        high: f64::NAN,
    };
    let both = |of: &dyn Fn(&Party) -> f64| {
        [0, 1].map(|side| {
            let values = parties.iter().map(|party| of(&party[side]));
            Figure::of(values).unwrap_or(nothing)
        })
    };
    let ratios = parties.iter().map(|[ours, bare]| ours.per_s / bare.per_s);
    SignIns {
        per_s: both(&|party| party.per_s),
        ratio: Figure::of(ratios).unwrap_or(nothing),
        server_ms: both(&|party| party.server_ms).map(|figure| figure.median),
        peers_ms: both(&|party| party.peers_ms).map(|figure| figure.median),
    }
}

/// Share of a core that doing nothing takes each server, at the same time.
async fn idle(scenes: &mut [Scene; 2], seconds: f64) -> anyhow::Result<[f64; 2]> {
    // The last level's sessions were closed just before.
    tokio::time::sleep(SETTLE).await;
    let [gimlet, bare] = scenes;
    let before = [gimlet.cpu_s().await?, bare.cpu_s().await?];
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    let after = [gimlet.cpu_s().await?, bare.cpu_s().await?];
    Ok([0, 1].map(|side| (after[side] - before[side]) / seconds))
}
