//! What each of many senders gets through a shard, when what is heavy has a queue of its own.

mod world;

use world::{Absence, CAPACITY, NEVER, Played, SENDERS, STEP, Sender, play};

/// What one of as many as there are may have of the shard.
const SHARE: f64 = CAPACITY / SENDERS as f64;

/// Steps of a window of 200 ms.
const WINDOW: usize = 4;

/// Max-min fair shares of `capacity`.
fn fair_shares(demands: &[f64; SENDERS], capacity: f64) -> [f64; SENDERS] {
    let mut order: Vec<_> = (0..SENDERS).collect();
    order.sort_by(|a, b| demands[*a].total_cmp(&demands[*b]));
    let (mut shares, mut left) = ([0.0; SENDERS], capacity);
    for (done, who) in order.into_iter().enumerate() {
        shares[who] = demands[who].min(left / (SENDERS - done) as f64);
        left -= shares[who];
    }
    shares
}

/// Jain's index of what senders got over their fair share: 1 when all have it, 1/n when one has all.
fn jain(offered: &[f64; SENDERS], passed: &[f64; SENDERS]) -> f64 {
    let shares = fair_shares(offered, passed.iter().sum());
    let parts = std::iter::zip(passed, shares).map(|(got, share)| got / share);
    let (sum, squares) = parts.fold((0.0, 0.0), |(s, q), part| (s + part, q + part * part));
    sum * sum / (SENDERS as f64 * squares)
}

/// The lowest index of any window.
fn worst(played: &Played) -> f64 {
    let sum = |steps: &[[f64; SENDERS]]| {
        let of = |who: usize| steps.iter().map(|step| step[who]).sum();
        std::array::from_fn(of)
    };
    let windows = std::iter::zip(
        played.offered.windows(WINDOW),
        played.passed.windows(WINDOW),
    );
    let index = windows.map(|(offered, passed)| jain(&sum(offered), &sum(passed)));
    index.fold(1.0, f64::min)
}

/// One that sends `flood` times its share in bursts of its own length, and 19 that send `others` times theirs.
fn flooded(flood: f64, others: f64, size: u64, bursts: [u64; 2]) -> Vec<Sender> {
    let sender = |n| Sender {
        rate: SHARE * if n == 7 { flood } else { others },
        datagrams: bursts[usize::from(n != 7)],
        size,
    };
    (0..SENDERS).map(sender).collect()
}

fn total(played: &Played) -> f64 {
    played.passed.iter().flatten().sum()
}

#[test]
fn a_flooder_gets_its_share_in_any_window_whatever_it_sends() {
    for flood in [10.0, 100.0] {
        for size in [100, 1200] {
            for bursts in [[44, 44], [44, 1], [1, 1], [4, 20]] {
                let senders = flooded(flood, 1.0, size, bursts);
                let worst = worst(&play(&senders, 0.3, NEVER));
                assert!(
                    worst >= 0.95,
                    "{flood} x, {size} bytes, {bursts:?}: {worst}"
                );
            }
        }
    }
}

#[test]
fn a_flooder_gets_its_share_on_a_processor_that_others_need_too() {
    for span in [0.001, 0.003, 0.006] {
        for flood in [10.0, 30.0] {
            let senders = flooded(flood, 0.8, 1200, [44, 44]);
            let absence = Absence { after: 0.003, span };
            let worst = worst(&play(&senders, 0.6, absence));
            assert!(worst >= 0.95, "{flood} x, away for {span} s: {worst}");
        }
    }
}

#[test]
fn several_flooders_share_what_others_leave() {
    let mut senders = flooded(30.0, 0.3, 1200, [44, 10]);
    for (n, times) in [(2, 10.0), (11, 60.0)] {
        senders[n].rate = SHARE * times;
        senders[n].datagrams = 44;
    }
    let played = play(&senders, 1.0, NEVER);
    let late: [f64; SENDERS] = std::array::from_fn(|who| {
        let steps = played.passed[10..].iter();
        steps.map(|step| step[who]).sum::<f64>() / (10.0 * STEP * SHARE)
    });
    for (who, got) in late.iter().enumerate() {
        match [2, 7, 11].contains(&who) {
            // A third each of 20 - 17 * 0.3 shares.
            true => assert!((4.2..=5.6).contains(got), "{who}: {got}"),
            false => assert!(*got > 0.295, "{who}: {got}"),
        }
    }
}

#[test]
fn one_alone_is_never_limited() {
    for times in [10.0, 19.5, 100.0] {
        let mut senders = flooded(times, 1.0, 1200, [44, 44]);
        senders.rotate_left(7);
        let played = play(&senders[..1], 0.5, NEVER);
        let could = CAPACITY.min(SHARE * times) * 0.5;
        assert!(total(&played) > could * 0.98, "{times}");
    }
}

#[test]
fn nothing_is_left_idle() {
    for (flood, others) in [(100.0, 1.0), (100.0, 0.2), (30.0, 0.01), (1.5, 1.5)] {
        let senders = flooded(flood, others, 1200, [44, 10]);
        let played = play(&senders, 1.0, NEVER);
        // At the beginning it is behind, and holds what is left over.
        let late: f64 = played.passed[4..].iter().flatten().sum();
        let could = CAPACITY * 0.8;
        assert!(late > could * 0.97, "{flood} {others}: {late} of {could}");
    }
}

#[test]
fn nobody_loses_anything_while_the_shard_keeps_up() {
    let played = play(&flooded(9.0, 0.5, 1200, [44, 10]), 0.5, NEVER);
    let offered: f64 = played.offered.iter().flatten().sum();
    assert!(total(&played) > offered * 0.99);
}
