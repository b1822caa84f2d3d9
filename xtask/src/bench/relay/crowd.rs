//! Peers by the thousand that do nothing, sign in, are introduced, and come back after a restart.

use std::path::Path;
use std::time::Duration;

use anyhow::{bail, ensure};
use serde::Serialize;

use super::suite::Plan;
use crate::bench::crew::Worker;
use crate::bench::figures::Spread;
use crate::bench::message::{Answer, Meet, Met, Order, Role, Spot, Threads};
use crate::bench::progress;
use crate::workspace;

/// Introductions at a time when it is to be as fast as it goes.
const ABREAST: usize = 64;

/// What a pace for the time of an introduction is, of the fastest.
const EASY: f64 = 0.25;

/// Peers signed in by one order, so that none takes longer than orders may on a busy machine.
const PARTY: usize = 2500;

/// Time for a server to be quiet after the last sign-in: acknowledgements, timers, freed memory.
const SETTLE: Duration = Duration::from_secs(2);

/// All of it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Crowd {
    pub(super) levels: Vec<Level>,
    /// Processor time of keep-alives at the last level, as a share of a core; and bare quinn's.
    pub(super) keep_alive: [f64; 2],
    /// Sign-ins a second while the last level filled, and a bare server's handshakes.
    pub(super) sign_ins: [f64; 2],
    /// Processor time of one, milliseconds.
    pub(super) sign_in_ms: [f64; 2],
    pub(super) meetings: Meetings,
    pub(super) storm: Storm,
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

/// A server that is killed and comes back.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Storm {
    pub(super) peers: usize,
    pub(super) back: usize,
    /// Seconds from the new server's start to a peer's sign-in.
    pub(super) seconds: Spread,
    /// Processor time of the server for all of it.
    pub(super) cpu_s: f64,
}

/// A server and its peers.
struct Scene {
    server: Worker,
    throng: Worker,
    /// Memory before anybody came but one.
    bare: f64,
    peers: usize,
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
    let mut gimlet = Scene::open(spot(any), false).await?;
    let mut bare = Scene::open(Role::BareServer, true).await?;
    let mut levels = Vec::new();
    let (mut sign_ins, mut sign_in_ms) = ([0.0; 2], [0.0; 2]);
    for &peers in &plan.levels {
        progress(format_args!("{peers} idle peers"));
        let mut each = [0.0; 2];
        for (index, scene) in [&mut gimlet, &mut bare].into_iter().enumerate() {
            (sign_ins[index], sign_in_ms[index]) = scene.fill(peers).await?;
            each[index] = scene.memory().await? / peers as f64;
        }
        let before = gimlet.memory().await?;
        let sessions = peers / 2;
        gimlet.throng.done(Order::Idle { sessions }).await?;
        let session = (gimlet.memory().await? - before) / sessions as f64;
        gimlet.throng.done(Order::Close).await?;
        levels.push(Level {
            peers,
            peer: each[0],
            bare: each[1],
            session,
        });
    }
    progress("keep-alives");
    let keep_alive = [
        gimlet.idle(plan.idle_s).await?,
        bare.idle(plan.idle_s).await?,
    ];
    drop(bare);
    progress("introductions");
    let meetings = gimlet.meet(plan).await?;
    progress("a restart");
    let listen = gimlet.server.addr()?;
    let storm = gimlet.restart(spot(listen)).await?;
    Ok(Crowd {
        levels,
        keep_alive,
        sign_ins,
        sign_in_ms,
        meetings,
        storm,
    })
}

impl Scene {
    async fn open(role: Role, bare: bool) -> anyhow::Result<Self> {
        let server = Worker::start(Threads::Two, role).await?;
        let role = Role::Throng {
            server: server.line()?,
            bare,
        };
        let mut scene = Self {
            throng: Worker::start(Threads::Two, role).await?,
            server,
            bare: 0.0,
            peers: 0,
        };
        // What a process needs for any is not counted to the others.
        scene.fill(1).await?;
        scene.bare = scene.server.read().await?.memory as f64;
        Ok(scene)
    }

    /// Signs peers in until there are so many; how many a second, and milliseconds of the server's
    /// processor time for each.
    async fn fill(&mut self, peers: usize) -> anyhow::Result<(f64, f64)> {
        let total = peers - self.peers;
        let before = self.server.read().await?.cpu_s;
        let (mut left, mut seconds) = (total, 0.0);
        while left > 0 {
            let count = left.min(PARTY);
            match self.throng.ask(Order::SignIn { count }).await? {
                Answer::Took(took) => seconds += took,
                other => bail!("a worker told to sign in said {other:?}"),
            }
            left -= count;
        }
        let cpu_s = self.server.read().await?.cpu_s - before;
        self.peers = peers;
        Ok((total as f64 / seconds, cpu_s * 1e3 / total as f64))
    }

    /// Bytes more than when it was empty.
    async fn memory(&mut self) -> anyhow::Result<f64> {
        tokio::time::sleep(SETTLE).await;
        Ok(self.server.read().await?.memory as f64 - self.bare)
    }

    /// Share of a core that doing nothing takes.
    async fn idle(&mut self, seconds: f64) -> anyhow::Result<f64> {
        let before = self.server.read().await?.cpu_s;
        tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
        Ok((self.server.read().await?.cpu_s - before) / seconds)
    }

    async fn meet(&mut self, plan: &Plan) -> anyhow::Result<Meetings> {
        let abreast = ABREAST.min(self.peers / 2);
        let mut meet = async |gap_s| {
            let order = Meet {
                abreast,
                gap_s,
                seconds: plan.meet_s,
            };
            match self.throng.ask(Order::Meet(order)).await? {
                Answer::Met(met) => Ok(met),
                other => bail!("a worker told to introduce said {other:?}"),
            }
        };
        let per_s = |met: &Met| met.times.len() as f64 / met.seconds;
        let before = self.server.read().await?.cpu_s;
        let fast: Met = meet(0.0).await?;
        let cpu_s = self.server.read().await?.cpu_s - before;
        let gap_s = abreast as f64 / (per_s(&fast) * EASY);
        let easy = meet(gap_s).await?;
        Ok(Meetings {
            per_s: per_s(&fast),
            cpu_ms: cpu_s * 1e3 / fast.times.len() as f64,
            flat_out: times(fast.times.clone())?,
            easy_per_s: per_s(&easy),
            easy: times(easy.times)?,
        })
    }

    /// Kills the server and starts it again as `role`.
    async fn restart(mut self, role: Role) -> anyhow::Result<Storm> {
        self.server.kill().await?;
        let mut server = Worker::start(Threads::Two, role).await?;
        let since = crate::bench::worker::monotonic_s();
        let back = match self.throng.ask(Order::Back { since }).await? {
            Answer::Times(times) => times,
            other => bail!("a worker asked who is back said {other:?}"),
        };
        let seconds = Spread::of(back.iter().copied());
        let Some(seconds) = seconds else {
            bail!("nobody came back after the restart");
        };
        Ok(Storm {
            peers: self.peers,
            back: back.len(),
            seconds,
            cpu_s: server.read().await?.cpu_s,
        })
    }
}

fn times(mut times: Vec<f64>) -> anyhow::Result<Times> {
    ensure!(!times.is_empty(), "no introduction came about");
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[(share * (times.len() - 1) as f64).round() as usize];
    Ok(Times {
        p50: at(0.5),
        p99: at(0.99),
        max: at(1.0),
    })
}
