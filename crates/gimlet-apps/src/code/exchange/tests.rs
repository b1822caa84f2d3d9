//! Every wrong turn of an exchange.

use super::*;

fn peer(n: u8) -> PeerId {
    PeerId::from_bytes([n; 32])
}

fn binding(claimant: u8, offerer: u8, exporter: u8) -> Binding {
    Binding {
        claimant: peer(claimant),
        offerer: peer(offerer),
        exporter: [exporter; 32],
    }
}

fn code(text: &str) -> Code {
    text.parse().unwrap()
}

/// Whether each side ends up convinced: offerer, claimant.
fn run(theirs: (&str, Binding), ours: (&str, Binding)) -> (bool, bool) {
    let (claiming, share) = Claiming::start(&code(theirs.0), theirs.1);
    let (offering, answer) = Proving::answer(&code(ours.0), &ours.1, &share).unwrap();
    let (claiming, proof) = claiming.handle_share(&answer).unwrap();
    match offering.check_claimant(&proof) {
        Some(proof) => (true, claiming.check_offerer(&proof)),
        None => (false, false),
    }
}

#[test]
fn the_same_code_convinces_both() {
    let here = binding(1, 2, 9);
    assert_eq!(
        run(("7-zoo-clown", here), ("7-zoo-clown", here)),
        (true, true)
    );
}

#[test]
fn another_word_order_or_number_convinces_nobody() {
    let here = binding(1, 2, 9);
    for wrong in ["7-zoo-clock", "7-clown-zoo", "8-zoo-clown", "7-zoo"] {
        let outcome = run((wrong, here), ("7-zoo-clown", here));
        assert_eq!(outcome, (false, false), "{wrong}");
    }
}

#[test]
fn other_ends_or_another_session_convince_nobody() {
    let there = binding(1, 2, 9);
    for here in [
        binding(3, 2, 9),
        binding(1, 3, 9),
        binding(2, 1, 9),
        binding(1, 2, 8),
    ] {
        let outcome = run(("7-zoo", there), ("7-zoo", here));
        assert_eq!(outcome, (false, false), "{here:?}");
    }
}

#[test]
fn who_passes_shares_on_between_two_legs_convinces_nobody() {
    // The claimant (1) was sent to the attacker (6), which dials the offerer (2).
    let (first, second) = (binding(1, 6, 10), binding(6, 2, 11));
    let (claiming, share) = Claiming::start(&code("7-zoo"), first);
    let (offering, answer) = Proving::answer(&code("7-zoo"), &second, &share).unwrap();
    let (claiming, proof) = claiming.handle_share(&answer).unwrap();
    assert!(offering.check_claimant(&proof).is_none());
    // Nor does sending back what came.
    assert!(!claiming.check_offerer(&proof));
}

#[test]
fn a_recorded_exchange_is_of_no_use_on_another_connection() {
    let (then, now) = (binding(1, 2, 9), binding(1, 2, 10));
    let (claiming, share) = Claiming::start(&code("7-zoo"), then);
    let (_, answer) = Proving::answer(&code("7-zoo"), &then, &share).unwrap();
    let (_, proof) = claiming.handle_share(&answer).unwrap();
    for binding in [then, now] {
        // Even in the same session the offerer draws anew.
        let (again, _) = Proving::answer(&code("7-zoo"), &binding, &share).unwrap();
        assert!(again.check_claimant(&proof).is_none());
    }
}

#[test]
fn a_share_that_is_no_point_or_comes_back_is_malformed() {
    let here = binding(1, 2, 9);
    let answer = |share: &Share| Proving::answer(&code("7-zoo"), &here, share).map(|_| ());
    assert_eq!(answer(&[0; 33]), Err(Malformed));
    assert_eq!(answer(&[0xff; 33]), Err(Malformed));
    let (claiming, share) = Claiming::start(&code("7-zoo"), here);
    assert!(claiming.handle_share(&share).is_err(), "our own");
    let (_, ours) = Proving::answer(&code("7-zoo"), &here, &share).unwrap();
    assert_eq!(answer(&ours), Err(Malformed), "an offerer's, to an offerer");
    // Half of all numbers are the height of no point.
    let heights = (2..34).filter(|&height| {
        let mut share = [0; 33];
        (share[0], share[1]) = (b'A', height);
        answer(&share) == Err(Malformed)
    });
    assert!((4..28).contains(&heights.count()));
}

#[test]
fn points_of_small_order_learn_nothing() {
    let here = binding(1, 2, 9);
    // The neutral element, and the point of order two.
    for (first, rest, last) in [(1, 0, 0), (0xec, 0xff, 0x7f)] {
        let mut share = [rest; 33];
        (share[0], share[1], share[32]) = (b'A', first, last);
        let Ok((offering, _)) = Proving::answer(&code("7-zoo"), &here, &share) else {
            continue;
        };
        // Whoever sent it can't know the key without the words: an empty one is not it.
        let guess = Proving::new(&[0; 32], &here, &share, &share);
        assert!(offering.check_claimant(&guess.claimant).is_none());
    }
}
