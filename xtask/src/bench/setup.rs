//! Time until signed in, connected and direct over loopback, where nothing takes time but Gimlet.

use anyhow::bail;
use serde::Serialize;

use super::crew::Worker;
use super::figures::Spread;
use super::message::{Answer, Dialled, Order, Role, Threads, Way};
use super::{Plan, progress};

/// Times of many connections, milliseconds.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Times {
    pub(super) signed_in: Spread,
    pub(super) connected: Spread,
    pub(super) direct: Option<Spread>,
    /// Until QUIC had come over the direct path.
    pub(super) confirmed: Option<Spread>,
    pub(super) attempts: usize,
    /// Attempts that became direct.
    pub(super) went_direct: usize,
}

impl Times {
    /// Of attempts that did not all have to succeed.
    pub(super) fn of(attempts: usize, dialled: &[Dialled]) -> anyhow::Result<Self> {
        let direct = dialled.iter().filter_map(|d| d.direct);
        let times = || {
            Some(Self {
                signed_in: Spread::of(dialled.iter().map(|d| d.signed_in))?,
                connected: Spread::of(dialled.iter().map(|d| d.connected))?,
                direct: Spread::of(direct.clone()),
                confirmed: Spread::of(dialled.iter().filter_map(|d| d.confirmed)),
                attempts,
                went_direct: direct.clone().count(),
            })
        };
        times().ok_or_else(|| anyhow::anyhow!("no attempt to connect succeeded"))
    }
}

/// Dials again and again, three processes in all.
pub(super) async fn measure(plan: Plan) -> anyhow::Result<Times> {
    progress("times over loopback");
    let running = Worker::start(Threads::One, Role::Server).await?;
    let server = running.line()?;
    let receiver = Role::Receiver {
        server: server.clone(),
        way: Way::Direct,
    };
    let _receiver = Worker::start(Threads::One, receiver).await?;
    let mut dialer = Worker::start(Threads::One, Role::Dialer { server }).await?;
    let mut dialled = Vec::new();
    for _ in 0..plan.dials {
        match dialer.ask(Order::Dial).await? {
            Answer::Dialled(times) => dialled.push(times),
            other => bail!("a worker told to dial said {other:?}"),
        }
    }
    Times::of(plan.dials, &dialled)
}
