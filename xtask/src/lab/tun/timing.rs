//! How long strict against strict takes from `connect` on, at 40 ms round trip between any two.

use std::time::Duration;

use anyhow::Context;
use serde::Serialize;

use super::{Spot, World, layout};
use crate::gimlet::Place;
use crate::lab::report::percentiles;
use crate::lab::topology::Side;
use crate::lab::{Crew, Part};

/// Attempts; the median of nine stands some disturbance by whatever else runs.
const ATTEMPTS: usize = 9;
const COMMAND_TIMEOUT: Duration = Duration::from_secs(40);
/// What is timed, and what its median may be. A round trip to the server and QUIC's handshake
/// over it; the same through the relay; two more trips to be direct.
const TARGETS: [(&str, &str, f64); 3] = [
    ("sign-in", "sign_in_ms", 130.0),
    ("connected", "connected_ms", 90.0),
    ("direct", "direct_ms", 140.0),
];

/// The medians of one span.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Timing {
    pub(crate) what: &'static str,
    pub(crate) attempts: usize,
    pub(crate) p50_ms: f64,
    pub(crate) p95_ms: f64,
    /// What the median may be.
    pub(crate) target_ms: f64,
}

/// Dials the same host again and again.
pub(crate) async fn time(
    crew: &Crew,
    world: &World,
    server: &str,
    run: usize,
) -> anyhow::Result<Vec<Timing>> {
    let folder = crew.folder(Part::Tun, run, "timing")?;
    world.lay(run as u64, &layout(Spot::Apdf, Spot::Apdf, 0.0))?;
    let host = |side, name| {
        let place = Place::Namespace(world.host(side).clone());
        crew.host(place, server, &folder, name)
    };
    let (a, b) = (host(Side::A, "a"), host(Side::B, "b"));
    let up = b.start(&["up", "--accept", "all"]).await?;
    let peer = up.ready["peer"].as_str().context("`up` told no peer id")?;
    let mut punches = Vec::new();
    for _ in 0..ATTEMPTS {
        let punch = a.run(&["punch", peer], COMMAND_TIMEOUT).await?;
        punches.push(punch.last().clone());
    }
    up.stop().await;
    let timings = TARGETS.map(|(what, key, target_ms)| {
        let times: Vec<_> = punches.iter().filter_map(|one| one[key].as_f64()).collect();
        let attempts = times.len();
        let (p50_ms, p95_ms) = percentiles(times).with_context(|| format!("never {what}"))?;
        Ok(Timing {
            what,
            attempts,
            p50_ms,
            p95_ms,
            target_ms,
        })
    });
    timings.into_iter().collect()
}
