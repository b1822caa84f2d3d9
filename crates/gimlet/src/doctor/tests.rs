//! Which of many facts decides, and what a person is told.

use super::*;

fn told(facts: &[Fact]) -> Diagnosis {
    Diagnosis {
        facts: facts.to_vec(),
        peer: Some("bob".to_owned()),
    }
}

const SIGNED_IN: Fact = Fact::Clock(ClockFact::Agree { ahead_s: 0 });

#[test]
fn the_stage_of_the_peer_counts_before_those_of_this_side() {
    let dark = Fact::Ipv6(Ipv6Fact::Dark {
        own: "2001:db8::1".parse().unwrap(),
    });
    let declined = Fact::Introduction(IntroductionFact::Declined);
    let diagnosis = told(&[SIGNED_IN, dark.clone(), declined]);
    assert_eq!(diagnosis.failed(), Some(Stage::Introduction));
    assert_eq!(diagnosis.verdict(), Verdict::Wrong(Stage::Introduction));
    assert_eq!(
        told(&[SIGNED_IN, dark]).verdict(),
        Verdict::Wrong(Stage::Ipv6)
    );
}

#[test]
fn silence_is_told_from_a_no() {
    let verdict = |fact| told(&[fact]).verdict();
    let silent = ServerFact::Silent {
        addr: "192.0.2.1:1".parse().unwrap(),
        tcp: TcpAnswer::There,
    };
    assert_eq!(
        verdict(Fact::Server(silent)),
        Verdict::Unreachable(Stage::Server)
    );
    assert_eq!(
        verdict(Fact::SignIn(SignInFact::BadToken)),
        Verdict::Wrong(Stage::SignIn)
    );
}

#[test]
fn a_session_without_a_direct_path_is_relay_only_and_names_the_stage() {
    let facts = [
        SIGNED_IN,
        Fact::Handshake(HandshakeFact::Done),
        Fact::Addresses(AddressesFact::NoneOfPeer),
    ];
    let diagnosis = told(&facts);
    assert_eq!(diagnosis.verdict(), Verdict::RelayOnly(Stage::Addresses));
    assert!(diagnosis.sentence().contains("through the server"));
}

#[test]
fn what_fails_has_advice_and_words_without_jargon() {
    use gimlet_proto::candidate::{Allocation, Behaviour, NatClass};
    use gimlet_proto::stats::NatKind;
    use gimlet_proto::traversal::Reason;
    let addr = "192.0.2.1:7".parse().unwrap();
    let detail = || "why".to_owned();
    let mut facts = vec![
        Fact::Configuration(ConfigurationFact::NoServer { me: detail() }),
        Fact::Network(NetworkFact::NoAddress),
        Fact::Server(ServerFact::Unresolved { host: detail() }),
        Fact::Server(ServerFact::NoHandshake { addr }),
        Fact::Server(ServerFact::WrongKey { addr }),
        Fact::SignIn(SignInFact::NotAllowed),
        Fact::SignIn(SignInFact::NameTaken),
        Fact::SignIn(SignInFact::Replaced),
        Fact::Clock(ClockFact::Apart { ahead_s: -86_400 }),
        Fact::Clock(ClockFact::Certificate),
        Fact::Peer(PeerFact::Unknown),
        Fact::Peer(PeerFact::Ambiguous),
        Fact::Introduction(IntroductionFact::Unanswered),
        Fact::Relay(RelayFact::Silent),
        Fact::Handshake(HandshakeFact::WrongKey),
        Fact::Handshake(HandshakeFact::NoProtocol),
        Fact::Addresses(AddressesFact::NoneUsable),
        Fact::Direct(DirectFact::NotChosen),
    ];
    let random = NatClass {
        mapping: Some(Behaviour::AddressAndPortDependent),
        filtering: Some(Behaviour::AddressAndPortDependent),
        allocation: Some(Allocation::Random),
        hairpin: None,
    };
    facts.push(Fact::Pair(PairFact::new(&random, &random, false)));
    for because in [
        Reason::SendFailed,
        Reason::NothingArrived,
        Reason::IncompatibleNats,
        Reason::Unanswered,
        Reason::TooLarge,
    ] {
        facts.push(Fact::Checks(ChecksFact::Failed {
            reason: because.name(),
            because,
            sent: 7,
            received: 0,
            seconds: 15,
            search: None,
        }));
    }
    for fact in &facts {
        let words = fact.words();
        assert_eq!(words.health, Health::Bad, "{words:?}");
        assert!(words.advice.is_some(), "{words:?}");
    }
    for kind in NatKind::ALL {
        let nat = NatClass::default();
        facts.push(Fact::Nat(NatFact::Nat {
            seen: addr,
            kind,
            nat,
            double: Some(true),
            lifetime_s: Some(30),
        }));
    }
    for fact in facts {
        let words = fact.words();
        let text = format!("{} {}", words.found, words.advice.unwrap_or_default()).to_lowercase();
        for jargon in [
            "symmetric",
            "cone",
            "reflexive",
            "candidate",
            "rfc",
            "endpoint-",
        ] {
            assert!(!text.contains(jargon), "{text}");
        }
    }
}

#[test]
fn clocks_are_apart_from_two_minutes_on_either_way() {
    let fact = |ahead_s| {
        let addr = "192.0.2.1:7".parse().unwrap();
        ClockFact::new(&Ok(crate::SignedIn {
            transport: crate::Transport::Udp,
            observed: addr,
            server: addr,
            name: None,
            lease: Duration::from_secs(60),
            elapsed: Duration::ZERO,
            clock_ahead_s: ahead_s,
        }))
    };
    for ahead_s in [-119, 0, 119] {
        assert_eq!(fact(ahead_s), Some(ClockFact::Agree { ahead_s }));
    }
    for ahead_s in [i64::MIN, -120, 120, i64::MAX] {
        assert_eq!(fact(ahead_s), Some(ClockFact::Apart { ahead_s }));
    }
}
