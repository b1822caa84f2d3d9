//! Simulated attempts, one of every interesting kind: what `cargo xtask sim` plays by the thousand.

use std::time::Duration;

use gimlet_proto::traversal::Strategy;
use gimlet_trial::{Conditions, Expectation, Site, Tally, Trial, expectation, play};

fn varied(seed: u64, dialer: Site, acceptor: Site) -> Trial {
    play(seed, [dialer, acceptor], &Conditions::varied(0.02))
}

#[test]
fn every_pair_of_sites_comes_out_as_it_must() {
    for dialer in Site::ALL {
        for acceptor in Site::ALL {
            let trial = varied(1, dialer, acceptor);
            let pair = format!("{dialer} dials {acceptor}: {trial:?}");
            assert_eq!(trial.astray, 0, "{pair}");
            let within = |limit| trial.after_connect.is_some_and(|at| at <= limit);
            match expectation(dialer, acceptor) {
                Expectation::Plain => assert!(trial.direct, "{pair}"),
                Expectation::Searched { within: limit, .. } => assert!(within(limit), "{pair}"),
                Expectation::Measured => (),
                Expectation::Relayed { silent } => {
                    assert!(!trial.direct && trial.failure.is_some(), "{pair}");
                    assert!(!silent || trial.searching == [0, 0], "{pair}");
                }
            }
        }
    }
}

#[test]
fn a_path_is_named_by_what_it_took() {
    let table = [
        (Site::Public, Site::Public, Strategy::Host),
        (Site::Strict, Site::Carrier, Strategy::Reflexive),
        (Site::Open, Site::SymRandom, Strategy::PeerReflexive),
        (Site::Strict, Site::SymSeq, Strategy::Predicted),
        (Site::SymSeq, Site::SymSeq, Strategy::Predicted),
        (Site::Strict, Site::SymBlock, Strategy::Birthday),
        (Site::Strict, Site::SymRandom, Strategy::Birthday),
    ];
    for (dialer, acceptor, found_by) in table {
        let trial = varied(1, dialer, acceptor);
        assert_eq!(trial.strategy, Some(found_by), "{dialer} dials {acceptor}");
    }
}

#[test]
fn a_seed_gives_the_same_figures_again() {
    let json = |first: u64| {
        let mut tally = Tally::default();
        for seed in first..first + 5 {
            tally.add(&varied(seed, Site::SymRandom, Site::Strict));
        }
        serde_json::to_string(&tally.figures()).unwrap()
    };
    assert_eq!(json(1), json(1));
    assert_ne!(json(1), json(6));
}

#[test]
fn two_strict_sites_20_ms_apart_are_direct_on_both_sides_three_trips_after_the_exchange() {
    let trial = play(1, [Site::Strict, Site::Strict], &Conditions::even(0.0));
    assert_eq!(trial.after_connect, Some(Duration::from_millis(140)));
    assert_eq!(trial.after_exchange, Some(Duration::from_millis(60)));
}

/// The search opens some thirty paths. The side that has no room for all must take the nominated one.
#[test]
fn a_search_that_opens_many_paths_ends_on_the_same_one_on_both_sides() {
    for seed in 0..40 {
        let trial = varied(seed, Site::Strict, Site::SymSeq);
        let limit = Duration::from_secs(5);
        assert!(
            trial.after_connect.is_some_and(|at| at <= limit),
            "{seed}: {trial:?}"
        );
    }
}

#[test]
fn a_mapping_for_each_address_is_met_though_one_server_address_cannot_show_it() {
    let conditions = Conditions {
        server_addresses: 1,
        ..Conditions::even(0.0)
    };
    for (site, limit_s) in [(Site::AdmKeep, 3), (Site::AdmSeq, 3), (Site::AdmRandom, 20)] {
        for sites in [[Site::Strict, site], [site, Site::Strict]] {
            let trial = play(1, sites, &conditions);
            let limit = Duration::from_secs(limit_s);
            let in_time = trial.after_connect.is_some_and(|at| at <= limit);
            assert!(in_time, "{site}: {trial:?}");
        }
    }
}
