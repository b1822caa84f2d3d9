//! A slow egress in virtual time: what each of many senders gets through a shard that can't keep up.

use std::collections::VecDeque;

use super::*;

const SENDERS: usize = 20;

/// Bytes a second that the egress takes.
const CAPACITY: f64 = 100e6;

/// What the system's receive buffer holds.
const QUEUE: u64 = 4 << 20;

/// What reading a batch costs of the time that sending it takes.
const READING: f64 = 0.15;

/// Batches taken in one receive call.
const AT_ONCE: usize = 4;

/// One sender: bytes a second, and datagrams of 1,200 bytes in a batch.
#[derive(Clone, Copy)]
struct Sender {
    rate: f64,
    datagrams: u64,
}

impl Sender {
    fn batch(&self) -> u64 {
        self.datagrams * 1200
    }
}

/// Bytes of each sender that went through in `seconds`, after a second that is not counted.
fn run(senders: &[Sender], seconds: f64, is_fair: bool) -> Vec<f64> {
    play(senders, seconds, is_fair, 0.0)
}

/// The same on a processor that is somebody else's for `starved` seconds after every 5 ms. What the queue
/// could not hold is reported every 100 ms.
fn play(senders: &[Sender], seconds: f64, is_fair: bool, starved: f64) -> Vec<f64> {
    let began = Instant::now();
    let mut fair = Fair::new(began);
    let mut shares = vec![Share::default(); senders.len()];
    let mut passed = vec![0.0; senders.len()];
    let mut next: Vec<f64> = (0..senders.len()).map(|n| n as f64 * 1e-5).collect();
    let (mut queue, mut queued, mut at) = (VecDeque::new(), 0, 0.0);
    let (mut overflowed, mut report_at, mut turn_ends) = (false, 0.1, 0.005);
    while at < seconds + 1.0 {
        // What has arrived since, in the order of its arrival, as far as the queue has room.
        loop {
            let soonest = |a: &usize, b: &usize| next[*a].total_cmp(&next[*b]);
            let who = (0..senders.len()).min_by(soonest).expect("somebody sends");
            if next[who] > at {
                break;
            }
            next[who] += senders[who].batch() as f64 / senders[who].rate;
            if queued + senders[who].batch() <= QUEUE {
                queued += senders[who].batch();
                queue.push_back(who);
            } else {
                overflowed = true;
            }
        }
        if at >= report_at && starved > 0.0 {
            report_at = at + 0.1;
            if std::mem::take(&mut overflowed) {
                fair.overflowed();
            }
        }
        if at >= turn_ends {
            at += starved;
            turn_ends = at + 0.005;
        }
        let taken: Vec<usize> = queue.drain(..queue.len().min(AT_ONCE)).collect();
        fair.received(taken.len() < AT_ONCE, began + Duration::from_secs_f64(at));
        for who in taken.iter().copied() {
            let sender = senders[who];
            queued -= sender.batch();
            let time = sender.batch() as f64 / CAPACITY;
            at += time * READING;
            if !is_fair || fair.pass(&mut shares[who], sender.datagrams, sender.batch()) {
                at += time;
                if at > 1.0 {
                    passed[who] += sender.batch() as f64 / seconds;
                }
            }
        }
        if taken.is_empty() {
            at = next.iter().copied().fold(f64::INFINITY, f64::min);
        }
    }
    passed
}

/// Jain's index: 1 when all get the same, 1/n when one gets all.
fn jain(passed: &[f64]) -> f64 {
    let sum: f64 = passed.iter().sum();
    let squares: f64 = passed.iter().map(|x| x * x).sum();
    sum * sum / (passed.len() as f64 * squares)
}

/// One that sends `flood` times an equal share, and 19 that send `others` times it.
fn flooded(flood: f64, others: f64, datagrams: [u64; 2]) -> Vec<Sender> {
    let share = CAPACITY / SENDERS as f64;
    let sender = |n| Sender {
        rate: share * if n == 0 { flood } else { others },
        datagrams: datagrams[usize::from(n != 0)],
    };
    (0..SENDERS).map(sender).collect()
}

#[test]
fn a_flood_takes_no_more_than_its_share() {
    for (flood, others) in [(5.0, 1.0), (20.0, 1.0), (60.0, 1.2)] {
        let senders = flooded(flood, others, [40, 10]);
        let without = jain(&run(&senders, 3.0, false));
        let with = jain(&run(&senders, 3.0, true));
        assert!(with >= 0.95, "{flood}, {others}: {with}, without {without}");
        assert!(
            without < 0.8,
            "{flood}, {others}: a test of nothing: {without}"
        );
    }
}

#[test]
fn a_flood_of_long_batches_does_not_starve_single_datagrams() {
    let passed = run(&flooded(20.0, 0.9, [40, 1]), 3.0, true);
    assert!(jain(&passed) >= 0.95, "{passed:?}");
}

#[test]
fn who_sends_less_than_the_others_loses_nothing() {
    let share = CAPACITY / SENDERS as f64;
    let mut senders = flooded(20.0, 2.0, [40, 10]);
    senders[7].rate = share / 20.0;
    senders[8].rate = share / 2.0;
    let passed = run(&senders, 3.0, true);
    for n in [7, 8] {
        let of_sent = passed[n] / senders[n].rate;
        assert!(of_sent > 0.6, "{n}: {of_sent}, without fairness a fourth");
    }
}

#[test]
fn nothing_is_dropped_while_the_shard_keeps_up() {
    let share = CAPACITY / SENDERS as f64;
    // Alone and fast, beside others that send little.
    let senders = flooded(14.0, 0.1, [40, 1]);
    let passed = run(&senders, 2.0, true);
    for (passed, sender) in passed.iter().zip(&senders) {
        assert!(
            *passed > sender.rate * 0.99,
            "{} of {}",
            passed,
            sender.rate
        );
    }
    assert!(passed[0] > share * 13.9);
}

#[test]
fn equal_sessions_and_one_alone_lose_next_to_nothing() {
    for senders in [
        flooded(3.0, 3.0, [10, 10]),
        flooded(50.0, 1.0, [40, 10])[..1].to_vec(),
    ] {
        let with: f64 = run(&senders, 2.0, true).iter().sum();
        let without: f64 = run(&senders, 2.0, false).iter().sum();
        // What is read to be dropped costs a little.
        assert!(with > without * 0.88, "{with} of {without}");
    }
}

#[test]
fn a_shard_that_waits_for_a_processor_and_empties_its_queue_at_each_turn_is_fair_too() {
    let share = CAPACITY / SENDERS as f64;
    // What is lost while it is away is lost to all alike; only what it then sends on can be shared.
    let senders = flooded(8.0, 0.2, [40, 10]);
    let without = play(&senders, 3.0, false, 0.045);
    let with = play(&senders, 3.0, true, 0.045);
    let of_sent = |passed: &[f64]| passed[1..].iter().sum::<f64>() / (share * 0.2 * 19.0);
    let (with, without) = (of_sent(&with), of_sent(&without));
    assert!(with > without * 1.5, "{with}, without {without}");
}

#[test]
fn a_shard_that_shares_still_sends_most_of_what_it_could() {
    for starved in [0.0, 0.005, 0.02, 0.045] {
        for (flood, others) in [(8.0, 0.2), (20.0, 1.0), (2.0, 2.0)] {
            let senders = flooded(flood, others, [40, 10]);
            let sum = |is_fair| play(&senders, 3.0, is_fair, starved).iter().sum::<f64>();
            let (with, without) = (sum(true), sum(false));
            assert!(
                with > without * 0.7,
                "{starved}, {flood}, {others}: {with} of {without}"
            );
        }
    }
}

#[test]
fn a_burst_after_a_quiet_time_is_no_standing_queue() {
    let start = Instant::now();
    let mut fair = Fair::new(start);
    fair.received(true, start);
    let burst = start + 10 * STANDING;
    fair.received(false, burst);
    let mut share = Share::default();
    for n in 0..9 {
        for _ in 0..100 {
            assert!(fair.pass(&mut share, 1, 1200), "{n}");
        }
        fair.received(false, burst + n * ROUND);
    }
}
