//! The fourth part: a large file that arrives whatever is done to its transfer.
//!
//! Both processes are killed (SIGKILL) at random moments and started again by the same command, and
//! the direct path is taken away and given back. The hash must be right, and an interruption may cost
//! two chunks of a mebibyte. That is told by the sender's interface, not by what Gimlet says of
//! itself: what it has sent, less what the file takes in a transfer that nobody disturbs.

mod acts;
mod host;
mod ordeal;
mod tally;
mod wire;

use serde::Serialize;

use super::report::Report;
use super::site::Site;
use super::topology::Topology;
use super::{Crew, Part};
use crate::gimlet::Place;
use crate::sandbox::Sandbox;
use ordeal::{Ordeal, Passed};

const MIB: u64 = 1 << 20;

/// What an interruption may cost, bytes of the file: the chunk under way and one that waits.
const COST: u64 = 2 * MIB;

/// How large the file is, and how often it is interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    bytes: u64,
    kills: u32,
    /// How often the direct path is taken away and given back.
    cuts: u32,
    seed: u64,
}

impl Extent {
    /// What every change is tested with: seconds.
    pub(crate) fn short(seed: u64) -> Self {
        Self {
            bytes: 128 * MIB,
            kills: 4,
            cuts: 1,
            seed,
        }
    }

    /// A gibibyte and ten kills.
    pub(crate) fn full(seed: u64) -> Self {
        Self {
            bytes: 1024 * MIB,
            kills: 10,
            cuts: 2,
            seed,
        }
    }
}

/// How the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Way {
    Direct,
    Relayed,
    /// Direct, but for a time without the direct path.
    Moved,
}

impl Way {
    /// Where both hosts are.
    fn site(self) -> Site {
        match self {
            Self::Direct | Self::Moved => Site::Moderate,
            Self::Relayed => Site::Strict,
        }
    }

    /// The name used in results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Relayed => "relayed",
            Self::Moved => "moved",
        }
    }

    /// The share of all bytes that may go over the server.
    fn relayed_share(self) -> std::ops::Range<f64> {
        match self {
            // Until the direct path is found.
            Self::Direct => 0.0..0.05,
            Self::Relayed => 0.95..1.05,
            Self::Moved => 0.1..0.9,
        }
    }
}

/// What one transfer came to.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Carried {
    pub(crate) way: Way,
    pub(crate) bytes: u64,
    pub(crate) kills: u32,
    pub(crate) moves: u32,
    /// Replays the moments of the interruptions.
    pub(crate) seed: u64,
    /// Bytes of the file that were sent twice.
    pub(crate) twice: Option<u64>,
    /// Of them what the dearest interruption cost.
    pub(crate) most: Option<u64>,
    /// Of all bytes sent, those that went over the server.
    pub(crate) relayed_share: Option<f64>,
    /// The longest time without a byte.
    pub(crate) pause_ms: Option<u64>,
    pub(crate) elapsed_ms: u64,
    pub(crate) failure: Option<String>,
}

/// Runs every way once without interruptions and once with, in a network of its own.
pub(crate) async fn run(
    crew: &Crew,
    sandbox: Sandbox,
    extent: Extent,
    run: usize,
    report: &mut Report,
) -> anyhow::Result<()> {
    let sites = [Site::Moderate, Site::Strict].into_iter().collect();
    let topology = Topology::build(sandbox, &sites).await?;
    let place = Place::Namespace(topology.server.clone());
    let ip = topology.server_ip.into();
    let mut server = crew.serve(Part::Files, place, ip, None).await?;
    let mut calm = Calm::default();
    for way in [Way::Direct, Way::Relayed, Way::Moved] {
        let easy = match way {
            Way::Direct | Way::Relayed => Ordeal::calm(way, extent),
            Way::Moved => Ordeal::moved(extent),
        };
        for ordeal in [easy, Ordeal::under(way, extent)] {
            let folder = crew.folder(Part::Files, run, &ordeal.name())?;
            let passed = ordeal::pass(crew, &topology, &server.address, &folder, ordeal).await;
            report.carried(&calm.judge(ordeal, passed));
            server.still_runs()?;
        }
    }
    server.stop().await;
    Ok(())
}

/// Bytes on the wire for a byte of the file where nothing interrupts.
#[derive(Default)]
struct Calm {
    direct: Option<f64>,
    relayed: Option<f64>,
}

impl Calm {
    fn judge(&mut self, ordeal: Ordeal, passed: anyhow::Result<Passed>) -> Carried {
        let mut carried = Carried {
            way: ordeal.way,
            bytes: ordeal.bytes,
            kills: ordeal.kills,
            moves: 2 * ordeal.cuts,
            seed: ordeal.seed,
            twice: None,
            most: None,
            relayed_share: None,
            pause_ms: None,
            elapsed_ms: 0,
            failure: None,
        };
        let passed = match passed {
            Ok(passed) => passed,
            Err(error) => {
                carried.failure = Some(format!("{error:#}"));
                return carried;
            }
        };
        let share = passed.relayed as f64 / passed.sent as f64;
        carried.relayed_share = Some(share);
        carried.pause_ms = Some(millis(passed.pause));
        carried.elapsed_ms = millis(passed.took);
        let may = ordeal.way.relayed_share();
        if !may.contains(&share) {
            let [from, to] = [may.start, may.end].map(|share| share * 100.0);
            let went = share * 100.0;
            let failure = format!("{went:.1} % went over the server, must be {from:.0} to {to:.0}");
            carried.failure = Some(failure);
        }
        if ordeal.is_calm() {
            let ratio = passed.sent as f64 / ordeal.bytes as f64;
            match ordeal.way {
                Way::Direct | Way::Moved => self.direct = Some(ratio),
                Way::Relayed => self.relayed = Some(ratio),
            }
            return carried;
        }
        let (Some(direct), Some(relayed)) = (self.direct, self.relayed.or(self.direct)) else {
            carried.failure = Some("nothing to compare with".to_owned());
            return carried;
        };
        let ratio = direct + (relayed - direct) * share.clamp(0.0, 1.0);
        let cost = tally::cost(&passed.stretches, ordeal.bytes, passed.sent, ratio);
        (carried.twice, carried.most) = (Some(cost.all), Some(cost.most));
        let each = cost.all / u64::from(carried.kills + carried.moves).max(1);
        if cost.surely.max(each) > COST {
            let failure = format!(
                "an interruption cost {} bytes, the mean of all {each}, must be {COST} at most",
                cost.surely
            );
            carried.failure.get_or_insert(failure);
        }
        carried
    }
}

fn millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
