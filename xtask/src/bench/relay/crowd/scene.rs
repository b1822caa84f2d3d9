//! One server, and the process with its peers.

use anyhow::{bail, ensure};

use super::{Away, Meetings, Party, SETTLE, Storm, Times};
use crate::bench::crew::Worker;
use crate::bench::figures::Spread;
use crate::bench::message::{Answer, Meet, Met, Order, Role, Threads};
use crate::bench::relay::suite::Plan;
use crate::bench::worker::monotonic_s;

/// Introductions at a time when it is to be as fast as it goes.
const ABREAST: usize = 64;

/// What a pace for the time of an introduction is, of the fastest.
const EASY: f64 = 0.25;

/// See the [module docs](self).
pub(super) struct Scene {
    pub(super) server: Worker,
    throng: Worker,
    /// Memory before anybody came but one.
    empty: f64,
    pub(super) peers: usize,
}

impl Scene {
    /// Starts both; a bare server's peers only connect.
    pub(super) async fn open(role: Role, bare: bool) -> anyhow::Result<Self> {
        let server = Worker::start(Threads::Two, role).await?;
        let role = Role::Throng {
            server: server.line()?,
            bare,
        };
        let mut scene = Self {
            throng: Worker::start(Threads::Two, role).await?,
            server,
            empty: 0.0,
            peers: 0,
        };
        // What a process needs for any is not counted to the others.
        scene.gather(1).await?;
        scene.empty = scene.server.read().await?.memory as f64;
        Ok(scene)
    }

    /// Signs so many more peers in.
    pub(super) async fn gather(&mut self, count: usize) -> anyhow::Result<Party> {
        let before = [self.cpu_s().await?, self.throng.read().await?.cpu_s];
        let seconds = match self.throng.ask(Order::SignIn { count }).await? {
            Answer::Took(seconds) => seconds,
            other => bail!("a worker told to sign in said {other:?}"),
        };
        let after = [self.cpu_s().await?, self.throng.read().await?.cpu_s];
        self.peers += count;
        let each_ms = |side: usize| (after[side] - before[side]) * 1e3 / count as f64;
        Ok(Party {
            per_s: count as f64 / seconds,
            server_ms: each_ms(0),
            peers_ms: each_ms(1),
        })
    }

    /// Bytes more than when it was empty.
    pub(super) async fn memory(&mut self) -> anyhow::Result<f64> {
        Ok(self.server.read().await?.memory as f64 - self.empty)
    }

    /// Processor time of the server so far.
    pub(super) async fn cpu_s(&mut self) -> anyhow::Result<f64> {
        Ok(self.server.read().await?.cpu_s)
    }

    /// Bytes of memory that each of so many idle sessions takes, which are closed then.
    pub(super) async fn sessions(&mut self, count: usize) -> anyhow::Result<f64> {
        let before = self.memory().await?;
        self.throng.done(Order::Idle { sessions: count }).await?;
        tokio::time::sleep(SETTLE).await;
        let each = (self.memory().await? - before) / count as f64;
        self.throng.done(Order::Close).await?;
        Ok(each)
    }

    /// Has peers introduced, flat out and at ease.
    pub(super) async fn meet(&mut self, plan: &Plan) -> anyhow::Result<Meetings> {
        let abreast = ABREAST.min(self.peers / 2);
        let before = self.cpu_s().await?;
        let fast = self.meet_once(abreast, 0.0, plan.meet_s).await?;
        let cpu_s = self.cpu_s().await? - before;
        let per_s = |met: &Met| met.times.len() as f64 / met.seconds;
        let gap_s = abreast as f64 / (per_s(&fast) * EASY);
        let easy = self.meet_once(abreast, gap_s, plan.meet_s).await?;
        Ok(Meetings {
            per_s: per_s(&fast),
            cpu_ms: cpu_s * 1e3 / fast.times.len() as f64,
            flat_out: times(fast.times),
            easy_per_s: per_s(&easy),
            easy: times(easy.times),
        })
    }

    async fn meet_once(&mut self, abreast: usize, gap_s: f64, seconds: f64) -> anyhow::Result<Met> {
        let order = Meet {
            abreast,
            gap_s,
            seconds,
        };
        match self.throng.ask(Order::Meet(order)).await? {
            Answer::Met(met) => {
                ensure!(!met.times.is_empty(), "no introduction in {seconds} s");
                Ok(met)
            }
            other => bail!("a worker told to introduce said {other:?}"),
        }
    }

    /// Has the server go away and starts it again as `role`.
    pub(super) async fn restart(&mut self, away: Away, role: Role) -> anyhow::Result<Storm> {
        if away == Away::Stopped {
            match self.server.ask(Order::Stop).await? {
                Answer::Took(_) => (),
                other => bail!("a server told to stop said {other:?}"),
            }
        }
        self.server.kill().await?;
        self.server = Worker::start(Threads::Two, role).await?;
        let since = monotonic_s();
        let back = match self.throng.ask(Order::Back { since }).await? {
            Answer::Times(times) => times,
            other => bail!("a worker asked who is back said {other:?}"),
        };
        let Some(seconds) = Spread::of(back.iter().copied()) else {
            bail!("nobody came back after the restart");
        };
        Ok(Storm {
            away,
            peers: self.peers,
            back: back.len(),
            seconds,
            cpu_s: self.cpu_s().await?,
        })
    }
}

/// Of at least one.
fn times(mut times: Vec<f64>) -> Times {
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[(share * (times.len() - 1) as f64).round() as usize];
    Times {
        p50: at(0.5),
        p99: at(0.99),
        max: at(1.0),
    }
}
