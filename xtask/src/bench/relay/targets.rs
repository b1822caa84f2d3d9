//! What is promised of the relay, all in one place.

use super::crowd::Crowd;
use super::fairness::Fairness;
use super::forwarding::Case;
use super::rig::Kind;
use crate::bench::report::{Limit, Target};

/// Processor time over that of a loop that only copies.
const OVER_COPIER: Limit = Limit::AtMost(1.3);
/// coturn's over ours.
const COTURN_OVER: Limit = Limit::AtLeast(5.0);
/// Jain's index of 20 sessions with one flooding.
const JAIN: Limit = Limit::AtLeast(0.95);
/// Memory of an idle peer over that of an idle connection of bare quinn.
const OVER_BARE: Limit = Limit::AtMost(1.15);
/// Sign-ins over a bare server's handshakes.
const SIGN_INS: Limit = Limit::AtLeast(0.6);
/// Of a core, for the keep-alives of all peers.
const KEEP_ALIVE: Limit = Limit::AtMost(15.0);
/// Until the last peer is back after a restart.
const STORM: Limit = Limit::AtMost(60.0);

/// Of every setting.
pub(super) fn forwarding(cases: &[Case]) -> Vec<Target> {
    let targets = cases.iter().flat_map(|case| {
        let what = |what: &str| format!("{} x {} B, CPU, {what}", case.sessions, case.size);
        let ours = case.line(Kind::Gimlet);
        // Where it was not measured it is not met.
        let over = ours.map_or(f64::NAN, |line| line.over_copier.median);
        let coturn = [Kind::Coturn, Kind::CoturnTuned]
            .map(|kind| case.line(kind).map_or(f64::NAN, |l| l.over_gimlet.median));
        let best = match coturn.iter().any(|ratio| ratio.is_nan()) {
            true => f64::NAN,
            false => coturn[0].min(coturn[1]),
        };
        [
            Target::new(what("Gimlet / copy loop"), over, "x", OVER_COPIER),
            Target::new(what("coturn / Gimlet"), best, "x", COTURN_OVER),
        ]
    });
    targets.collect()
}

/// Of the Gimlet server.
pub(super) fn fairness(fairness: &[Fairness]) -> Option<Target> {
    let ours = fairness.iter().find(|line| line.kind == Kind::Gimlet)?;
    let jain = ours.jain.median;
    Some(Target::new(
        "Jain's index, one of 20 floods",
        jain,
        "",
        JAIN,
    ))
}

/// At the highest level.
pub(super) fn crowd(crowd: &Crowd) -> Vec<Target> {
    let ratio = crowd.levels.last().map_or(f64::NAN, |l| l.peer / l.bare);
    let keep_alive = crowd.keep_alive[0] * 100.0;
    let sign_ins = crowd.sign_ins.ratio.median;
    let mut targets = vec![
        Target::new("memory of a peer / bare quinn", ratio, "x", OVER_BARE),
        Target::new("sign-ins / bare handshakes", sign_ins, "x", SIGN_INS),
        Target::new("keep-alives of all", keep_alive, "%", KEEP_ALIVE),
    ];
    targets.extend(crowd.storms.iter().map(|storm| {
        let last = match storm.back == storm.peers {
            true => storm.seconds.max,
            false => f64::INFINITY,
        };
        let what = format!("server {}, the last is back", storm.away.label());
        Target::new(what, last, "s", STORM)
    }));
    targets
}
