//! What each GiB and each packet costs: one, ten, a thousand sessions; large packets and small ones.

use std::path::Path;

use serde::Serialize;

use super::rig::{Kind, Rig};
use super::suite::Plan;
use crate::bench::figures::{Figure, GIB};
use crate::bench::progress;

/// Seconds until caches, routes and buffers are warm.
const WARM_UP: f64 = 0.1;

/// Datagrams of one send call. One session alone fills a batch; many send as quinn does, ten at a time.
const ALONE: u8 = 44;
const OF_MANY: u8 = 10;

/// Sessions over TLS at most: a server takes 512 tunnels from one network, and each has two.
const MAX_TUNNELLED: usize = 100;

/// Bytes of a payload: a QUIC packet's, and what a game or a call sends.
const SIZES: [usize; 2] = [1200, 100];

/// One setting, all relays.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Case {
    pub(super) sessions: usize,
    pub(super) size: usize,
    pub(super) burst: u8,
    pub(super) lines: Vec<Line>,
}

/// One relay.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Line {
    pub(super) kind: Kind,
    /// Processor seconds per GiB of payload.
    pub(super) cpu: Figure,
    /// Packets a second that came out.
    pub(super) packets: Figure,
    /// Of those that were sent, how many came out.
    pub(super) share: Figure,
    /// Processor time over that of the copy loop, round by round.
    pub(super) over_copier: Figure,
    /// Processor time over that of Gimlet.
    pub(super) over_gimlet: Figure,
}

impl Case {
    /// This relay's line, if it was measured.
    pub(super) fn line(&self, kind: Kind) -> Option<&Line> {
        self.lines.iter().find(|line| line.kind == kind)
    }
}

#[derive(Debug, Clone, Copy)]
struct Round {
    cpu: f64,
    packets: f64,
    share: f64,
}

/// Drives every relay in every setting.
pub(super) async fn measure(plan: &Plan, folder: &Path) -> anyhow::Result<Vec<Case>> {
    let mut cases = Vec::new();
    for &sessions in &plan.sessions {
        let burst = if sessions == 1 { ALONE } else { OF_MANY };
        let mut rigs = Vec::new();
        for kind in Kind::ALL {
            if kind == Kind::GimletTls && sessions > MAX_TUNNELLED {
                continue;
            }
            progress(format_args!("{sessions} sessions at {}", kind.label()));
            match Rig::start(kind, sessions, folder).await? {
                Some(rig) => rigs.push(rig),
                None => progress("coturn is not installed, so nothing is compared with it"),
            }
        }
        for size in SIZES {
            progress(format_args!("forwarding, {sessions} x {size} bytes"));
            let mut rounds: Vec<Vec<Round>> = vec![Vec::new(); rigs.len()];
            for number in 0..plan.rounds {
                let mut order: Vec<_> = (0..rigs.len()).collect();
                // Whoever comes first may find the machine cooler.
                if number % 2 == 1 {
                    order.reverse();
                }
                for index in order {
                    rounds[index].push(round(&mut rigs[index], plan.flood_s, size, burst).await?);
                }
            }
            let kinds: Vec<_> = rigs.iter().map(|rig| rig.kind).collect();
            cases.push(Case {
                sessions,
                size,
                burst,
                lines: lines(&kinds, &rounds),
            });
        }
    }
    Ok(cases)
}

async fn round(rig: &mut Rig, seconds: f64, size: usize, burst: u8) -> anyhow::Result<Round> {
    rig.drive(WARM_UP, size, burst, 1).await?;
    let sample = rig.drive(seconds, size, burst, 1).await?;
    let total = |packets: &[u64]| packets.iter().sum::<u64>() as f64;
    let out = total(&sample.driven.delivered);
    anyhow::ensure!(out > 0.0, "nothing comes out of {}", rig.kind.label());
    Ok(Round {
        cpu: sample.cpu_s / (out * size as f64 / GIB),
        packets: out / seconds,
        share: out / total(&sample.driven.offered),
    })
}

fn lines(kinds: &[Kind], rounds: &[Vec<Round>]) -> Vec<Line> {
    let all = kinds.iter().zip(rounds);
    let of = |kind: Kind| all.clone().find(|(k, _)| **k == kind).map(|(_, r)| r);
    let ratio = |mine: &[Round], base: &[Round]| {
        Figure::of(mine.iter().zip(base).map(|(a, b)| a.cpu / b.cpu))
    };
    let line = |(kind, mine): (&Kind, &Vec<Round>)| {
        Some(Line {
            kind: *kind,
            cpu: Figure::of(mine.iter().map(|r| r.cpu))?,
            packets: Figure::of(mine.iter().map(|r| r.packets))?,
            share: Figure::of(mine.iter().map(|r| r.share))?,
            over_copier: ratio(mine, of(Kind::Copier)?)?,
            over_gimlet: ratio(mine, of(Kind::Gimlet)?)?,
        })
    };
    all.clone().filter_map(line).collect()
}
