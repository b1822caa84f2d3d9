//! What dialers report, and what of it counts.

use super::*;
use crate::message::{AskStats, Outcome, Stats};
use crate::stats::{Attempt, Reached, StageTimes, Summary};

fn report(n: u8) -> Outcome {
    Outcome {
        session: session(n),
        attempt: Attempt {
            times: StageTimes {
                introduced_ms: Some(80),
                connected_ms: Some(80),
                ..StageTimes::default()
            },
            ..Attempt::default()
        },
    }
}

impl Bench {
    fn stats(&mut self, conn: ConnId) -> Summary {
        match self.ask(conn, AskStats { id: 7 }) {
            ToPeer::Stats(Stats { id: 7, summary, .. }) => summary,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_dialers_report_is_counted_and_told_to_whoever_asks() {
    let (mut t, dialer, acceptor) = Bench::introduced();
    t.events.clear();
    t.say(dialer, report(9));
    assert!(matches!(t.events[..], [Event::AttemptReported { .. }]));
    let stats = t.stats(acceptor);
    assert_eq!(stats.all.attempts, 1);
    assert_eq!(stats.all.stage(Reached::Connected).count, 1);
    assert_eq!(
        (stats.introductions.asked, stats.introductions.accepted),
        (1, 1)
    );
}

#[test]
fn reports_of_others_and_of_unknown_or_pending_sessions_do_not_count() {
    let (mut t, dialer, acceptor) = Bench::introduced();
    let stranger = t.sign_in(3);
    t.say(acceptor, report(9));
    t.say(stranger, report(9));
    t.say(dialer, report(5));
    t.say(dialer, introduce(2, 2));
    t.say(dialer, report(2));
    let stats = t.stats(dialer);
    assert_eq!((stats.all.attempts, stats.ignored), (0, 4));
    assert_eq!(stats.introductions.asked, 2);
}

#[test]
fn a_session_is_reported_eight_times_and_no_more() {
    let (mut t, dialer, _) = Bench::introduced();
    (0..20).for_each(|_| t.say(dialer, report(9)));
    let stats = t.stats(dialer);
    assert_eq!((stats.all.attempts, stats.ignored), (8, 12));
}

#[test]
fn one_key_moves_the_numbers_slowly_over_however_many_sessions() {
    let (mut t, dialer, acceptor) = Bench::introduced();
    for n in 20..60 {
        t.say(dialer, introduce(n, 2));
        t.say(acceptor, accept(n));
        (0..8).for_each(|_| t.say(dialer, report(n)));
        t.advance(Duration::from_millis(200));
    }
    let counted = t.stats(dialer).all.attempts;
    assert!((60..=70).contains(&counted), "{counted}");
    t.advance(Duration::from_secs(10));
    t.say(dialer, report(9));
    assert_eq!(t.stats(dialer).all.attempts, counted + 1);
}

#[test]
fn refusals_are_counted_by_the_server_itself() {
    let mut t = Bench::open();
    let dialer = t.sign_in(1);
    t.say(dialer, introduce(1, 2));
    let stats = t.stats(dialer);
    assert_eq!(
        (stats.introductions.asked, stats.introductions.accepted),
        (1, 0)
    );
    let refused = &stats.introductions.refused[0];
    assert_eq!((refused.reason, refused.count), (RefuseReason::Offline, 1));
}
