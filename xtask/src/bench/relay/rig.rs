//! A relay with sessions through it, ready to be driven.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, bail};
use serde::Serialize;

use super::coturn::Coturn;
use crate::bench::crew::Worker;
use crate::bench::message::{Answer, Drive, Driven, Order, Role, Threads, Via};

/// What relays are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// Batches in, batches out, unseen.
    Copier,
    /// The Gimlet server on a pool of threads, as `gimlet serve` runs it.
    Gimlet,
    /// The same on one thread.
    GimletOneThread,
    /// The Gimlet server, reached over TLS from both ends.
    GimletTls,
    /// coturn as it comes.
    Coturn,
    /// coturn at its best.
    CoturnTuned,
}

impl Kind {
    pub(super) const ALL: [Self; 6] = [
        Self::Copier,
        Self::Gimlet,
        Self::GimletOneThread,
        Self::GimletTls,
        Self::Coturn,
        Self::CoturnTuned,
    ];

    /// As people call it.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Copier => "copy loop",
            Self::Gimlet => "Gimlet",
            Self::GimletOneThread => "Gimlet, one thread",
            Self::GimletTls => "Gimlet, over TLS",
            Self::Coturn => "coturn",
            Self::CoturnTuned => "coturn, tuned",
        }
    }
}

enum Relay {
    Worker(Worker),
    Coturn(Coturn),
}

/// The relay, and the process with the ends of its sessions.
pub(super) struct Rig {
    pub(super) kind: Kind,
    relay: Relay,
    lanes: Worker,
    to: SocketAddr,
}

/// What a drive came to.
pub(super) struct Sample {
    /// Processor time of the relay, seconds.
    pub(super) cpu_s: f64,
    pub(super) driven: Driven,
}

impl Rig {
    /// Starts a relay and opens sessions through it; `None` where the relay is not installed.
    pub(super) async fn start(
        kind: Kind,
        sessions: usize,
        folder: &Path,
    ) -> anyhow::Result<Option<Self>> {
        let role = Role::Lanes { count: sessions };
        let mut lanes = Worker::start(Threads::Two, role).await?;
        let (relay, to, via) = match kind {
            Kind::Copier => {
                let pairs = match lanes.ask(Order::Pairs).await? {
                    Answer::Pairs(pairs) => pairs,
                    other => bail!("a worker asked for its lanes said {other:?}"),
                };
                let copier = Worker::start(Threads::One, Role::Copier { pairs }).await?;
                let to = copier.addr()?;
                (Relay::Worker(copier), to, Via::Copier)
            }
            Kind::Gimlet | Kind::GimletOneThread | Kind::GimletTls => {
                let threads = match kind == Kind::GimletOneThread {
                    true => Threads::One,
                    false => Threads::Two,
                };
                let server = Worker::start(threads, Role::Server).await?;
                let (to, line) = (server.addr()?, server.line()?);
                let via = match kind == Kind::GimletTls {
                    true => Via::Tunnels { line },
                    false => Via::Gimlet { line },
                };
                (Relay::Worker(server), to, via)
            }
            Kind::Coturn | Kind::CoturnTuned => {
                let Some(coturn) = Coturn::start(kind == Kind::CoturnTuned, folder)? else {
                    return Ok(None);
                };
                let to = coturn.addr;
                (Relay::Coturn(coturn), to, Via::Turn { server: to })
            }
        };
        lanes
            .done(Order::Open(via))
            .await
            .with_context(|| format!("{sessions} sessions at {}", kind.label()))?;
        Ok(Some(Self {
            kind,
            relay,
            lanes,
            to,
        }))
    }

    /// Sends into it.
    pub(super) async fn drive(
        &mut self,
        seconds: f64,
        size: usize,
        burst: u8,
        first: usize,
    ) -> anyhow::Result<Sample> {
        let before = self.cpu_s().await?;
        let drive = Drive {
            to: self.to,
            seconds,
            size,
            burst,
            first,
        };
        let driven = match self.lanes.ask(Order::Drive(drive)).await? {
            Answer::Driven(driven) => driven,
            other => bail!("a worker told to drive said {other:?}"),
        };
        Ok(Sample {
            cpu_s: self.cpu_s().await? - before,
            driven,
        })
    }

    async fn cpu_s(&mut self) -> anyhow::Result<f64> {
        match &mut self.relay {
            Relay::Worker(worker) => Ok(worker.read().await?.cpu_s),
            Relay::Coturn(coturn) => coturn.cpu_s(),
        }
    }
}
