use super::*;
use gimlet_proto::secret::RelaySecret;

const MS: Duration = Duration::from_millis(1);

fn leg(n: u8, now: Instant) -> Leg {
    let secret = RelaySecret([n; 32]);
    Leg::new(SessionId([n; 8]), secret, Duration::from_secs(15), now)
}

fn bound(n: u8, now: Instant) -> Leg {
    let mut leg = leg(n, now);
    leg.handle_timeout(now);
    leg.handle_bound(SessionId([n; 8]), 1, now);
    leg
}

fn moving(leg: Leg, why: Why, now: Instant) -> Relocation {
    Relocation::new(ServerId(1), leg, why, Some(40 * MS), now)
}

#[test]
fn for_a_better_server_the_dialer_moves_when_all_is_agreed() {
    let now = Instant::now();
    let mut to = moving(bound(1, now), Why::Better, now);
    assert!(!to.is_ready(true), "the peer has not accepted");
    to.agreed = true;
    assert!(to.is_ready(false));
}

#[test]
fn a_silent_leg_is_left_when_it_is_dead_or_the_peer_has_left_it() {
    let now = Instant::now();
    for why in [Why::Silence, Why::Asked] {
        let mut relocations = Relocations::default();
        let mut to = moving(bound(1, now), why, now);
        to.agreed = true;
        relocations.current = Some(to);
        let ready = |relocations: &Relocations, dead| {
            let to = relocations.current.as_ref();
            to.is_some_and(|to| to.is_ready(dead))
        };
        assert!(!ready(&relocations, false) && ready(&relocations, true));
        relocations.heard_over(SessionId([2; 8]));
        assert!(!ready(&relocations, false), "that is another leg");
        relocations.heard_over(SessionId([1; 8]));
        assert!(ready(&relocations, false), "{why:?}");
    }
}

#[test]
fn who_hears_the_peer_over_the_new_leg_needs_no_word_of_it() {
    let now = Instant::now();
    let to = moving(bound(1, now), Why::Silence, now);
    let mut relocations = Relocations {
        current: Some(to),
        ..Default::default()
    };
    relocations.heard_over(SessionId([1; 8]));
    assert!(relocations.current.is_some_and(|to| to.is_ready(false)));
}

#[test]
fn a_leg_that_answers_after_all_is_kept_unless_the_peer_has_left_it() {
    let now = Instant::now();
    let mut to = moving(bound(1, now), Why::Silence, now);
    assert!(!to.is_moot(true, None) && !to.is_moot(true, Some(now)));
    assert!(to.is_moot(true, Some(now + MS)) && to.is_moot(false, None));
    to.heard = true;
    assert!(!to.is_moot(false, Some(now + MS)));
    assert!(!moving(bound(1, now), Why::Better, now).is_moot(false, None));
}

#[test]
fn a_leg_is_dead_after_a_second_of_doubt_and_more_where_it_is_long() {
    let now = Instant::now();
    let dead_after = |rtt| {
        let to = Relocation::new(ServerId(1), leg(1, now), Why::Silence, rtt, now);
        to.verdict_at(now) - now
    };
    assert_eq!(dead_after(None), DOUBT);
    assert_eq!(dead_after(Some(40 * MS)), DOUBT);
    assert_eq!(dead_after(Some(1000 * MS)), 1350 * MS);
}

#[test]
fn nudges_are_a_quarter_of_a_round_trip_apart_and_few() {
    let now = Instant::now();
    let mut to = moving(bound(1, now), Why::Silence, now);
    assert!(!to.is_on_both());
    let mut at = now;
    for _ in 0..NUDGES {
        assert!(to.take_nudge(600 * MS, at) && !to.take_nudge(600 * MS, at));
        at += 150 * MS;
    }
    assert!(to.is_on_both() && !to.take_nudge(600 * MS, at));
}

#[test]
fn packets_go_both_ways_when_one_is_in_doubt_or_the_peer_sends_over_the_other() {
    let now = Instant::now();
    let mut relocations = Relocations {
        current: Some(moving(bound(1, now), Why::Asked, now)),
        ..Default::default()
    };
    let both = |relocations: &Relocations, doubted| {
        let to = relocations.current.as_ref();
        to.is_some_and(|to| to.is_for_both(doubted, Some(now)))
    };
    assert!(!both(&relocations, false) && both(&relocations, true));
    relocations.carried_over(SessionId([2; 8]));
    assert!(!both(&relocations, false));
    relocations.carried_over(SessionId([1; 8]));
    assert!(both(&relocations, false));
    let asked = |at| moving(bound(1, now), Why::Asked, now).is_for_both(false, at);
    assert!(asked(None) && asked(now.checked_sub(2 * MOMENT)));
    let better = moving(bound(1, now), Why::Better, now);
    assert!(!better.is_for_both(false, None));
}

#[test]
fn nobody_moves_before_the_new_leg_is_bound() {
    let now = Instant::now();
    let to = moving(leg(1, now), Why::Asked, now);
    assert!(!to.is_ready(true) && !to.is_over(now));
    assert!(to.is_over(now + PATIENCE));
}

#[test]
fn a_silent_relay_has_more_than_a_round_trip() {
    let (relocations, now) = (Relocations::default(), Instant::now());
    let doubted_at = now + 400 * MS;
    let wait = |rtt| relocations.look_at(doubted_at, now, false, rtt) - now;
    assert_eq!(wait(Some(40 * MS)), SILENCE);
    assert_eq!(wait(Some(600 * MS)), 850 * MS);
    assert_eq!(wait(None), SILENCE);
    let regularly = relocations.look_at(doubted_at, now, true, Some(600 * MS));
    assert_eq!(regularly - now, SILENCE, "something came all the time");
    let heard = now + 300 * MS;
    let wait = relocations.look_at(doubted_at, heard, false, None) - now;
    assert_eq!(wait, SILENCE + 300 * MS, "something came meanwhile");
}

#[test]
fn looks_become_rarer_until_all_was_well_for_long() {
    let (mut relocations, start) = (Relocations::default(), Instant::now());
    let mut pauses = Vec::new();
    let mut now = start;
    for _ in 0..8 {
        relocations.looked(now);
        let next = relocations.look_at(now, now - SILENCE, false, None);
        pauses.push((next - now).as_millis());
        now = next;
    }
    assert_eq!(
        pauses,
        [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]
    );
    now += FORGIVEN + MS;
    relocations.looked(now);
    assert_eq!(
        relocations.look_at(now, now - SILENCE, false, None) - now,
        LOOKS.0
    );
}

#[test]
fn a_server_speaks_of_its_own_sessions_only() {
    let (mut relocations, now) = (Relocations::default(), Instant::now());
    let to = moving(leg(1, now), Why::Asked, now);
    relocations.current = Some(to);
    relocations.leave(Some(ServerId(2)), SessionId([2; 8]), now);
    let about = |server, n| relocations.is_at(ServerId(server), SessionId([n; 8]));
    assert!(about(1, 1) && about(2, 2));
    assert!(!about(1, 2) && !about(2, 1) && !about(3, 3));
}
