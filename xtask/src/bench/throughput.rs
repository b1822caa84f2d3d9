//! Streams over loopback or a link: bytes a second, and processor time of sender, receiver and relay apart.

use serde::Serialize;

use super::crew::Worker;
use super::figures::{Figure, GIB, gib};
use super::link::Network;
use super::message::{Role, Spot, Threads, Way};
use super::{Plan, progress};
use crate::workspace;

/// Sent before measuring: windows, buffers and path MTU have settled.
const WARM_UP: u64 = 64 << 20;

/// Streams beside TLS: the window of one holds it up where queues are long, and bulk data goes over
/// several as well.
pub(super) const SEVERAL: u8 = 4;

/// A way for a stream to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Variant {
    /// quinn to quinn.
    Plain,
    /// Gimlet to Gimlet.
    Direct,
    /// quinn to quinn through a bare forwarder.
    Forwarded,
    /// Gimlet to Gimlet over the server's relay.
    Relayed,
    /// The same, with all of it over TLS.
    OverTls,
}

impl Variant {
    /// What Gimlet costs.
    pub(super) const BESIDE_PLAIN: [Self; 4] =
        [Self::Plain, Self::Direct, Self::Forwarded, Self::Relayed];

    /// What TLS costs.
    pub(super) const BESIDE_UDP: [Self; 2] = [Self::Relayed, Self::OverTls];

    /// What a row of the table is called.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Plain => "plain quinn",
            Self::Direct => "Gimlet, direct",
            Self::Forwarded => "plain quinn, bare forwarder",
            Self::Relayed => "Gimlet, relayed",
            Self::OverTls => "Gimlet, relayed over TLS",
        }
    }

    /// The same without Gimlet, or without TLS.
    pub(super) fn baseline(self) -> Option<Self> {
        match self {
            Self::Plain | Self::Forwarded => None,
            Self::Direct => Some(Self::Plain),
            Self::Relayed => Some(Self::Forwarded),
            Self::OverTls => Some(Self::Relayed),
        }
    }
}

/// One measurement.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Sample {
    pub(super) mb_per_s: f64,
    /// Processor seconds per GiB of stream data.
    pub(super) cpu_sender: f64,
    pub(super) cpu_receiver: f64,
    /// Processor seconds per GiB that the relay sent on, whichever way.
    pub(super) cpu_relay: Option<f64>,
    /// Share of the bytes that took another path than the one measured.
    pub(super) strayed: f64,
}

/// What one variant came to, and in which relation to its baseline, round by round.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Line {
    pub(super) variant: Variant,
    pub(super) threads: Threads,
    pub(super) mb_per_s: Figure,
    pub(super) cpu_sender: Figure,
    pub(super) cpu_receiver: Figure,
    pub(super) cpu_relay: Option<Figure>,
    pub(super) ratios: Option<Ratios>,
    pub(super) samples: Vec<Sample>,
}

/// Medians of the ratios of each round.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Ratios {
    pub(super) mb_per_s: Figure,
    pub(super) cpu_sender: Figure,
    pub(super) cpu_receiver: Figure,
    pub(super) cpu_relay: Option<Figure>,
}

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Course<'a> {
    /// In turn.
    pub(super) variants: &'a [Variant],
    /// With each of these runtimes.
    pub(super) threads: &'a [Threads],
    /// So many at once.
    pub(super) streams: u8,
}

/// Measures this over a network.
pub(super) async fn measure(
    plan: Plan,
    course: Course<'_>,
    network: &Network,
) -> anyhow::Result<Vec<Line>> {
    let variants = course.variants;
    let variants = (course.threads.iter().copied())
        .flat_map(|threads| variants.iter().map(move |variant| (*variant, threads)));
    let mut measured: Vec<_> = variants.map(|which| (which, Vec::new())).collect();
    for round in 0..plan.rounds {
        progress(format_args!(
            "throughput, {}, round {} of {}",
            network.name(),
            round + 1,
            plan.rounds
        ));
        // There and back: what slowly changes is as often before a baseline as after it.
        if round % 2 == 1 {
            measured.reverse();
        }
        for ((variant, threads), samples) in &mut measured {
            samples.push(sample(*variant, *threads, plan.bytes, course.streams, network).await?);
        }
        if round % 2 == 1 {
            measured.reverse();
        }
    }
    let of = |variant, threads| {
        let found = measured.iter().find(|(key, _)| *key == (variant, threads));
        found.map_or(&[][..], |(_, samples)| samples)
    };
    let lines = measured.iter().filter_map(|((variant, threads), samples)| {
        let baseline = variant.baseline().map(|baseline| of(baseline, *threads));
        Some(Line {
            variant: *variant,
            threads: *threads,
            mb_per_s: Figure::of(samples.iter().map(|s| s.mb_per_s))?,
            cpu_sender: Figure::of(samples.iter().map(|s| s.cpu_sender))?,
            cpu_receiver: Figure::of(samples.iter().map(|s| s.cpu_receiver))?,
            cpu_relay: Figure::of(samples.iter().filter_map(|s| s.cpu_relay)),
            ratios: baseline.and_then(|baseline| ratios(samples, baseline)),
            samples: samples.clone(),
        })
    });
    Ok(lines.collect())
}

fn ratios(samples: &[Sample], baseline: &[Sample]) -> Option<Ratios> {
    let of = |value: fn(&Sample) -> Option<f64>| {
        let pairs = samples.iter().zip(baseline);
        Figure::of(pairs.filter_map(|(own, base)| Some(value(own)? / value(base)?)))
    };
    Some(Ratios {
        mb_per_s: of(|s| Some(s.mb_per_s))?,
        cpu_sender: of(|s| Some(s.cpu_sender))?,
        cpu_receiver: of(|s| Some(s.cpu_receiver))?,
        cpu_relay: of(|s| s.cpu_relay),
    })
}

/// Everybody in one measurement: fresh processes, gone after it.
struct Cast {
    sender: Worker,
    receiver: Worker,
    relay: Option<Worker>,
    /// Only introduces.
    _server: Option<Worker>,
}

impl Cast {
    async fn of(variant: Variant, threads: Threads, network: &Network) -> anyhow::Result<Self> {
        let [near, far] = network.places();
        let (between, ip) = network.server();
        // A server and a forwarder are one socket: more threads are of no use to them.
        let relay = |role| Worker::start_at(&between, Threads::One, role);
        let mut cast = match variant {
            Variant::Plain | Variant::Forwarded => {
                let receiver = Worker::start_at(&far, threads, Role::PlainReceiver).await?;
                let mut to = receiver.addr()?;
                let mut forwarder = None;
                if variant == Variant::Forwarded {
                    let started = relay(Role::Forwarder { to }).await?;
                    to = started.addr()?;
                    forwarder = Some(started);
                }
                Self {
                    sender: Worker::start_at(&near, threads, Role::PlainSender { to }).await?,
                    receiver,
                    relay: forwarder,
                    _server: None,
                }
            }
            Variant::Direct | Variant::Relayed | Variant::OverTls => {
                let way = match variant {
                    Variant::OverTls => Way::RelayOverTls,
                    Variant::Relayed => Way::Relay,
                    Variant::Plain | Variant::Forwarded | Variant::Direct => Way::Direct,
                };
                let running = match network {
                    Network::Loopback => relay(Role::Server).await?,
                    Network::Link { .. } => {
                        let state = workspace::target().join("bench").join("server");
                        workspace::fresh(&state)?;
                        let listen = (ip, 0).into();
                        relay(Role::ServerAt(Spot { listen, state })).await?
                    }
                };
                let server = running.line()?;
                let receiver = Role::Receiver {
                    server: server.clone(),
                    way,
                };
                let receiver = Worker::start_at(&far, threads, receiver).await?;
                let sender = Role::Sender { server, way };
                let sender = Worker::start_at(&near, threads, sender).await?;
                let (relay, _server) = match way {
                    Way::Relay | Way::RelayOverTls => (Some(running), None),
                    Way::Direct => (None, Some(running)),
                };
                Self {
                    sender,
                    receiver,
                    relay,
                    _server,
                }
            }
        };
        cast.sender.send(WARM_UP, 1).await?;
        Ok(cast)
    }
}

async fn sample(
    variant: Variant,
    threads: Threads,
    bytes: u64,
    streams: u8,
    network: &Network,
) -> anyhow::Result<Sample> {
    let mut cast = Cast::of(variant, threads, network).await?;
    let before = (cast.sender.read().await?, cast.receiver.read().await?);
    let relay_before = match &mut cast.relay {
        Some(relay) => Some(relay.read().await?),
        None => None,
    };
    let sent = cast.sender.send(bytes, streams).await?;
    let cpu_relay = match (&mut cast.relay, relay_before) {
        (Some(relay), Some(before)) => {
            let now = relay.read().await?;
            let forwarded = (now.forwarded - before.forwarded) as f64;
            Some((now.cpu_s - before.cpu_s) / (forwarded / GIB))
        }
        _ => None,
    };
    let (sender, receiver) = (cast.sender.read().await?, cast.receiver.read().await?);
    let gib = gib(bytes);
    Ok(Sample {
        mb_per_s: bytes as f64 / 1e6 / sent.seconds,
        cpu_sender: (sender.cpu_s - before.0.cpu_s) / gib,
        cpu_receiver: (receiver.cpu_s - before.1.cpu_s) / gib,
        cpu_relay,
        strayed: sent.strayed as f64 / bytes as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_within_a_round() {
        // The machine got twice as slow in between; Gimlet's share did not change.
        let sample = |mb_per_s, cpu: f64| Sample {
            mb_per_s,
            cpu_sender: cpu,
            cpu_receiver: cpu,
            cpu_relay: None,
            strayed: 0.0,
        };
        let plain = [sample(1000.0, 1.0), sample(500.0, 2.0)];
        let gimlet = [sample(900.0, 1.1), sample(450.0, 2.2)];
        let ratios = ratios(&gimlet, &plain).unwrap();
        assert_eq!((ratios.mb_per_s.low, ratios.mb_per_s.high), (0.9, 0.9));
        assert_eq!(ratios.cpu_sender.median, 1.1);
        assert_eq!(ratios.cpu_relay, None);
    }
}
