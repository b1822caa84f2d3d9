//! A publisher and a thousand subscribers beside the same with quinn's streams alone: how many messages
//! a second are delivered at most, and how long one takes to all of them while there is nothing else.
//!
//! The publisher has a thread, the subscribers share another; they are in twenty hosts, over direct
//! paths on loopback. A message is encoded once, and written once for each subscriber, on either side
//! of the comparison; QUIC, TLS and sockets are the same.

mod fan;
mod gimlet;
mod plain;
mod tally;

use std::time::Duration;

use anyhow::Context;
use serde::Serialize;

use super::crew::Worker;
use super::figures::Figure;
use super::message::{Role, Threads};
use super::{Plan, progress};
use fan::{Fan, Kind};

/// Subscribers.
pub(super) const SUBSCRIBERS: usize = 1000;

/// Messages of a flood, and bytes of each: all of it is within what a publisher keeps.
const FLOOD: usize = 100;
pub(super) const MESSAGE: usize = 200;

/// The messages whose time is taken, and the pause between two: each is with everybody before the next.
const EASE: usize = 20;
const PAUSE: Duration = Duration::from_millis(200);

/// One side of the comparison.
#[derive(Debug, Serialize)]
pub(super) struct Side {
    /// Deliveries a second while the publisher publishes as fast as it can.
    pub(super) per_s: Figure,
    /// Processor microseconds of a delivery, of the publisher and of the subscriber.
    pub(super) cpu_publisher: Figure,
    pub(super) cpu_subscriber: Figure,
    /// Milliseconds from publishing to a subscriber's program, at ease.
    pub(super) p50: Figure,
    pub(super) p99: Figure,
}

/// Both, and one over the other, round by round.
#[derive(Debug, Serialize)]
pub(super) struct Topics {
    pub(super) subscribers: usize,
    pub(super) plain: Side,
    pub(super) gimlet: Side,
    pub(super) per_s_ratio: Figure,
    pub(super) p99_ratio: Figure,
}

/// One round of one side.
#[derive(Debug, Clone, Copy)]
struct Round {
    per_s: f64,
    cpu_publisher: f64,
    cpu_subscriber: f64,
    p50: f64,
    p99: f64,
}

/// Measures both sides in turns.
pub(super) async fn measure(plan: Plan) -> anyhow::Result<Topics> {
    let server = Worker::start(Threads::One, Role::Server).await?;
    let line = server.line()?;
    progress(format_args!("topic, {SUBSCRIBERS} subscribers connect"));
    let plain = Fan::start(Kind::Plain).await.context("quinn alone")?;
    let gimlet = Fan::start(Kind::Gimlet { server: line });
    let gimlet = gimlet.await.context("a publisher")?;
    let mut rounds = Vec::new();
    for round in 1..=plan.rounds {
        progress(format_args!("topic, round {round} of {}", plan.rounds));
        rounds.push((take(&plain).await?, take(&gimlet).await?));
    }
    let ratio = |of: fn(&Round) -> f64| {
        let ratios = rounds.iter().map(|(plain, gimlet)| of(gimlet) / of(plain));
        Figure::of(ratios).context("no round")
    };
    Ok(Topics {
        subscribers: SUBSCRIBERS,
        plain: side(rounds.iter().map(|(plain, _)| *plain).collect())?,
        gimlet: side(rounds.iter().map(|(_, gimlet)| *gimlet).collect())?,
        per_s_ratio: ratio(|round| round.per_s)?,
        p99_ratio: ratio(|round| round.p99)?,
    })
}

async fn take(fan: &Fan) -> anyhow::Result<Round> {
    let before = fan.cpu().await?;
    let flood = fan.publish(FLOOD, Duration::ZERO).await?;
    let after = fan.cpu().await?;
    let each = |of: usize| (after[of] - before[of]) * 1e6 / (FLOOD * SUBSCRIBERS) as f64;
    let ease = fan.publish(EASE, PAUSE).await?;
    Ok(Round {
        per_s: (FLOOD * SUBSCRIBERS) as f64 / flood.seconds,
        cpu_publisher: each(0),
        cpu_subscriber: each(1),
        p50: ease.percentile(0.5),
        p99: ease.percentile(0.99),
    })
}

fn side(rounds: Vec<Round>) -> anyhow::Result<Side> {
    let figure = |of: fn(&Round) -> f64| Figure::of(rounds.iter().map(of)).context("no round");
    Ok(Side {
        per_s: figure(|round| round.per_s)?,
        cpu_publisher: figure(|round| round.cpu_publisher)?,
        cpu_subscriber: figure(|round| round.cpu_subscriber)?,
        p50: figure(|round| round.p50)?,
        p99: figure(|round| round.p99)?,
    })
}
