//! A link's delay, order, loss, rate and queue.

use super::*;

fn link(config: LinkConfig) -> (Link, Instant) {
    (Link::new(config, Rng::new(11)), Instant::now())
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn a_perfect_link_delivers_at_once() {
    let (mut link, now) = link(LinkConfig::default());
    assert_eq!(
        link.transmit(now, 1_500),
        Ok(Transit {
            at: now,
            duplicate_at: None
        })
    );
}

#[test]
fn a_packet_over_the_mtu_vanishes() {
    let (mut link, now) = link(LinkConfig::default());
    assert_eq!(link.transmit(now, 1_501), Err(Dropped::TooBig));
}

#[test]
fn jitter_spreads_delay_over_its_range_and_keeps_order() {
    let config = LinkConfig {
        jitter: ms(10),
        ..LinkConfig::with_delay(ms(20))
    };
    let (mut link, start) = link(config);
    let mut previous = start;
    let mut total = Duration::ZERO;
    for i in 0..2_000u32 {
        let sent_at = start + ms(20) * i;
        let at = link.transmit(sent_at, 100).unwrap().at;
        assert!(at >= previous, "packet {i} overtook the one before");
        let delay = at - sent_at;
        assert!((ms(20)..ms(30)).contains(&delay), "{delay:?}");
        total += delay;
        previous = at;
    }
    let mean = total / 2_000;
    assert!((mean.as_secs_f64() - 0.025).abs() < 0.000_5, "{mean:?}");
}

/// Delays of packets a tenth of a millisecond apart.
fn delays(config: LinkConfig) -> Vec<Duration> {
    let (mut link, start) = link(config);
    let sent_at = |n| start + Duration::from_micros(100) * n;
    (0..20_000)
        .map(|n| link.transmit(sent_at(n), 100).unwrap().at - sent_at(n))
        .collect()
}

#[test]
fn a_link_that_waits_for_turns_carries_what_came_meanwhile_at_once() {
    let delays = delays(LinkConfig {
        jitter: ms(10),
        jitter_kind: JitterKind::Turns,
        ..LinkConfig::with_delay(ms(20))
    });
    assert!(delays.iter().all(|delay| (ms(20)..ms(30)).contains(delay)));
    // Whoever comes next to a turn waits for the rest of it: as much shorter as it is later.
    let step = Duration::from_micros(100);
    let same = delays.windows(2).filter(|two| two[1] + step == two[0]);
    assert!(same.count() > 19_000);
}

#[test]
fn packets_overtake_where_every_one_draws_its_delay() {
    let delays = delays(LinkConfig {
        jitter: ms(10),
        jitter_kind: JitterKind::Overtaking,
        ..LinkConfig::with_delay(ms(20))
    });
    assert!(delays.iter().all(|delay| (ms(20)..ms(30)).contains(delay)));
    let overtaken = delays.windows(2).filter(|two| two[1] < two[0]);
    assert!((9_000..11_000).contains(&overtaken.count()));
}

#[test]
fn loss_and_duplication_come_as_often_as_asked() {
    let config = LinkConfig {
        loss: 0.2,
        duplicate: 0.1,
        ..LinkConfig::default()
    };
    let (mut link, now) = link(config);
    let results: Vec<_> = (0..20_000).map(|_| link.transmit(now, 100)).collect();
    let lost = results.iter().filter(|r| **r == Err(Dropped::Loss)).count();
    let twice = results
        .iter()
        .flatten()
        .filter(|t| t.duplicate_at.is_some())
        .count();
    assert!((3_800..4_200).contains(&lost), "{lost}");
    assert!((1_450..1_750).contains(&twice), "{twice}");
}

#[test]
fn a_reordered_packet_is_overtaken_and_the_rest_stay_in_order() {
    let config = LinkConfig {
        reorder: 0.1,
        ..LinkConfig::with_delay(ms(10))
    };
    let (mut link, start) = link(config);
    let mut late = 0;
    for i in 0..5_000u32 {
        let sent_at = start + Duration::from_micros(100) * i;
        let delay = link.transmit(sent_at, 100).unwrap().at - sent_at;
        if delay > ms(10) {
            late += 1;
            assert!(delay <= ms(16), "{delay:?}");
        }
    }
    assert!((400..600).contains(&late), "{late}");
}

#[test]
fn a_rate_spaces_packets_by_their_length() {
    let config = LinkConfig {
        rate: Some(8_000_000),
        ..LinkConfig::with_delay(ms(5))
    };
    let (mut link, start) = link(config);
    // 1,000 bytes at 8 Mbit/s take one millisecond.
    for i in 1..=10 {
        assert_eq!(
            link.transmit(start, 1_000).unwrap().at,
            start + ms(i) + ms(5)
        );
    }
    let idle = start + ms(100);
    assert_eq!(link.transmit(idle, 1_000).unwrap().at, idle + ms(6));
}

#[test]
fn a_full_queue_drops_the_newest_and_drains_with_time() {
    let config = LinkConfig {
        rate: Some(8_000_000),
        queue: 10_000,
        ..LinkConfig::default()
    };
    let (mut link, start) = link(config);
    let accepted = (0..100)
        .filter(|_| link.transmit(start, 1_000).is_ok())
        .count();
    assert_eq!(accepted, 10);
    assert_eq!(link.transmit(start, 1_000), Err(Dropped::QueueFull));
    assert!(link.transmit(start + ms(3), 1_000).is_ok());
}

#[test]
fn a_link_without_any_rate_carries_nothing() {
    let (mut link, now) = link(LinkConfig {
        rate: Some(0),
        ..LinkConfig::default()
    });
    assert_eq!(link.transmit(now, 100), Err(Dropped::QueueFull));
}

#[test]
fn a_new_configuration_starts_with_an_empty_queue() {
    let (mut link, now) = link(LinkConfig {
        rate: Some(8),
        ..LinkConfig::with_delay(ms(900))
    });
    link.transmit(now, 100).unwrap();
    link.reconfigure(LinkConfig::with_delay(ms(1)));
    assert_eq!(link.transmit(now, 100).unwrap().at, now + ms(1));
}
