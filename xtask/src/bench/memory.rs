//! Memory of endpoints that are signed in, and of pairs that are connected, while nothing happens.

use anyhow::bail;
use serde::Serialize;

use super::crew::Worker;
use super::message::{Answer, Order, Role, Threads};
use super::{Plan, progress};

/// Bytes of anonymous memory for each.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Memory {
    pub(super) pairs: usize,
    /// An endpoint that is signed in.
    pub(super) endpoint: f64,
    /// What a direct connection adds to the dialing side.
    pub(super) connection_dialing: f64,
    /// And to the accepting side.
    pub(super) connection_accepting: f64,
    /// What a signed-in peer costs the server.
    pub(super) server_peer: f64,
    /// And what a session between two adds.
    pub(super) server_session: f64,
}

/// Gathers two crowds and pairs them.
pub(super) async fn measure(plan: Plan) -> anyhow::Result<Memory> {
    progress("memory");
    let mut server = Worker::start(Threads::One, Role::Server).await?;
    let crowd = || Role::Crowd {
        server: server.line().unwrap_or_default(),
    };
    let mut dialing = Worker::start(Threads::One, crowd()).await?;
    let mut accepting = Worker::start(Threads::One, crowd()).await?;
    // One of each first: what a process needs for any is not counted to the others.
    gather(&mut dialing, 1).await?;
    gather(&mut accepting, 1).await?;
    let mut all = [&mut server, &mut dialing, &mut accepting];
    let bare = levels(&mut all).await?;
    gather(all[1], plan.pairs).await?;
    let peers = gather(all[2], plan.pairs).await?;
    let signed_in = levels(&mut all).await?;
    match all[1].ask(Order::Pair { peers }).await? {
        Answer::Paired => (),
        other => bail!("a worker told to connect said {other:?}"),
    }
    let paired = levels(&mut all).await?;
    let each = |before: f64, after: f64, count: usize| (after - before) / count as f64;
    Ok(Memory {
        pairs: plan.pairs,
        endpoint: each(bare[1], signed_in[1], plan.pairs),
        connection_dialing: each(signed_in[1], paired[1], plan.pairs),
        connection_accepting: each(signed_in[2], paired[2], plan.pairs),
        server_peer: each(bare[0], signed_in[0], 2 * plan.pairs),
        server_session: each(signed_in[0], paired[0], plan.pairs),
    })
}

async fn gather(crowd: &mut Worker, count: usize) -> anyhow::Result<Vec<String>> {
    match crowd.ask(Order::Gather { count }).await? {
        Answer::Gathered(ids) => Ok(ids),
        other => bail!("a worker told to gather said {other:?}"),
    }
}

async fn levels(workers: &mut [&mut Worker; 3]) -> anyhow::Result<[f64; 3]> {
    let mut levels = [0.0; 3];
    for (worker, level) in workers.iter_mut().zip(&mut levels) {
        *level = worker.read().await?.memory as f64;
    }
    Ok(levels)
}
