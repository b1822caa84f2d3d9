//! What the neighbours of a flooder get.
//!
//! The fair share of a session is the max-min one: what it asks for, or an equal part of what those
//! who ask for more leave to each other. Jain's index is of what sessions got over their fair share.

use std::path::Path;

use serde::Serialize;

use super::rig::{Kind, Rig};
use super::suite::Plan;
use crate::bench::figures::Figure;
use crate::bench::progress;

const SESSIONS: usize = 20;

/// What the flooder sends for each packet of another.
const FLOOD: usize = 20;

/// Payload bytes, and datagrams of a send call: full batches, which cost a sender least, so that there
/// is an overload.
const SIZE: usize = 1200;
const BURST: u8 = 44;

/// One relay's.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Fairness {
    pub(super) kind: Kind,
    /// Jain's index.
    pub(super) jain: Figure,
    /// Of its fair share, what the neighbour got that got least.
    pub(super) worst: Figure,
    /// Of all that was sent, what came out: without overload there is nothing to be fair about.
    pub(super) share: Figure,
}

/// Floods the relays that have sessions.
pub(super) async fn measure(plan: &Plan, folder: &Path) -> anyhow::Result<Vec<Fairness>> {
    let mut rigs = Vec::new();
    for kind in [Kind::Gimlet, Kind::Coturn] {
        rigs.extend(Rig::start(kind, SESSIONS, folder).await?);
    }
    let mut rounds = vec![Vec::new(); rigs.len()];
    for _ in 0..plan.fair_rounds {
        for (rig, rounds) in rigs.iter_mut().zip(&mut rounds) {
            progress(format_args!("fairness at {}", rig.kind.label()));
            let sample = rig.drive(plan.fair_s, SIZE, BURST, FLOOD).await?;
            rounds.push(judge(&sample.driven.offered, &sample.driven.delivered));
        }
    }
    let fairness = |(rig, rounds): (&Rig, &Vec<[f64; 3]>)| {
        let figure = |index: usize| Figure::of(rounds.iter().map(|round| round[index]));
        Some(Fairness {
            kind: rig.kind,
            jain: figure(0)?,
            worst: figure(1)?,
            share: figure(2)?,
        })
    };
    Ok(rigs.iter().zip(&rounds).filter_map(fairness).collect())
}

/// Jain's index, the worst neighbour's part of its fair share, and the share of all that came out.
fn judge(offered: &[u64], delivered: &[u64]) -> [f64; 3] {
    let (asked, total): (u64, u64) = (offered.iter().sum(), delivered.iter().sum());
    let shares = fair_shares(offered, total as f64);
    let parts: Vec<_> = delivered
        .iter()
        .zip(shares)
        .map(|(got, share)| *got as f64 / share)
        .collect();
    let worst = parts[1..].iter().copied().fold(f64::INFINITY, f64::min);
    [jain(&parts), worst, total as f64 / asked as f64]
}

/// Max-min fair shares of `capacity` for these demands.
fn fair_shares(demands: &[u64], capacity: f64) -> Vec<f64> {
    let mut order: Vec<_> = (0..demands.len()).collect();
    order.sort_by_key(|&index| demands[index]);
    let mut shares = vec![0.0; demands.len()];
    let mut left = capacity;
    for (done, &index) in order.iter().enumerate() {
        let equal = left / (demands.len() - done) as f64;
        shares[index] = equal.min(demands[index] as f64);
        left -= shares[index];
    }
    shares
}

/// 1 when all are equal, 1/n when one has everything.
fn jain(values: &[f64]) -> f64 {
    let sum: f64 = values.iter().sum();
    let squares: f64 = values.iter().map(|value| value * value).sum();
    sum * sum / (values.len() as f64 * squares)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_asks_for_little_gets_it_and_the_rest_share_the_rest() {
        assert_eq!(fair_shares(&[100, 10, 40], 90.0), [40.0, 10.0, 40.0]);
        assert_eq!(fair_shares(&[100, 100], 60.0), [30.0, 30.0]);
        assert_eq!(fair_shares(&[5, 5], 10.0), [5.0, 5.0]);
    }

    #[test]
    fn the_index_is_one_when_all_get_their_share_and_low_when_one_takes_all() {
        assert_eq!(
            judge(&[100, 10, 10], &[30, 10, 10]),
            [1.0, 1.0, 50.0 / 120.0]
        );
        let [index, worst, _] = judge(&[100, 100], &[100, 0]);
        assert_eq!((index, worst), (0.5, 0.0));
    }
}
