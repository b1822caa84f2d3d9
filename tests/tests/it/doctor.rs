//! The doctor names the stage that fails, with the whole stack over the simulated network.

use std::time::Duration;

use gimlet::doctor::{
    ChecksFact, ClockFact, Diagnosis, Fact, Health, Ipv6Fact, Options, PeerFact, ServerFact, Stage,
    Verdict,
};
use gimlet::{AcceptPolicy, Endpoint, Identity};
use gimlet_server::Config;
use gimlet_sim::{FirewallConfig, LinkConfig, NatConfig, RouterKind};
use gimlet_tests::{Peer, Place, RunningServer, World, rtt_40ms};

use crate::bench::{nat, sign_in, strict};

/// Lets the doctor look at a peer's own side, and at the way to another one.
pub(crate) async fn examine(patient: &Peer, peer: Option<String>) -> Diagnosis {
    let options = Options {
        peer,
        alpn: b"test/1".to_vec(),
        // Long enough for an attempt to be settled, whatever is tried.
        wait_direct: Duration::from_secs(90),
        try_tcp: false,
    };
    let mut told = Vec::new();
    let diagnosis = patient
        .endpoint
        .examine(&options, |fact| told.push(fact.stage()))
        .await;
    assert!(told.is_sorted(), "stages come in order: {told:?}");
    assert_eq!(told.len(), diagnosis.facts.len());
    diagnosis
}

/// Two sites and a server; the second peer is signed in and takes whoever comes.
struct Ward {
    world: World,
    server: RunningServer,
    a: Place,
    b: Peer,
}

impl Ward {
    async fn new(a: &[RouterKind], b: &[RouterKind]) -> Self {
        let mut world = World::new(3);
        let server = world.server(rtt_40ms(), Config::on_loopback());
        let (a, b) = (world.site(a, rtt_40ms()), world.site(b, rtt_40ms()));
        let b = sign_in(&world, b, &server).await;
        let accepting = b.endpoint.clone();
        tokio::spawn(take_everybody(accepting));
        Self {
            world,
            server,
            a,
            b,
        }
    }

    async fn patient(&self) -> Peer {
        let place = self.a.clone();
        self.world.peer(place, &self.server.address, |b| b).await
    }

    async fn examine(&self) -> Diagnosis {
        let peer = self.b.endpoint.peer_id().to_string();
        examine(&self.patient().await, Some(peer)).await
    }
}

async fn take_everybody(endpoint: Endpoint) {
    let mut taken = Vec::new();
    while let Some(connection) = endpoint.accept().await {
        taken.push(connection);
    }
}

fn udp_to_the_server_only() -> Vec<RouterKind> {
    let server: std::net::IpAddr = "203.0.113.1".parse().unwrap();
    vec![RouterKind::Firewall(FirewallConfig::udp_only_to([server]))]
}

fn no_udp() -> Vec<RouterKind> {
    vec![RouterKind::Firewall(FirewallConfig::block_udp())]
}

fn fact(diagnosis: &Diagnosis, stage: Stage) -> &Fact {
    let mut facts = diagnosis.facts.iter();
    let found = facts.find(|fact| fact.stage() == stage);
    found.unwrap_or_else(|| panic!("no {stage:?} in {:#?}", diagnosis.facts))
}

#[tokio::test(start_paused = true)]
async fn a_healthy_host_is_told_so() {
    let ward = Ward::new(&strict(), &strict()).await;
    let diagnosis = examine(&ward.patient().await, None).await;
    assert_eq!(diagnosis.verdict(), Verdict::Fine, "{diagnosis:#?}");
    assert_eq!(diagnosis.failed(), None);
}

#[tokio::test(start_paused = true)]
async fn a_pair_that_can_be_direct_passes_every_stage() {
    let ward = Ward::new(&strict(), &strict()).await;
    let diagnosis = ward.examine().await;
    assert_eq!(diagnosis.verdict(), Verdict::Direct, "{diagnosis:#?}");
    let with_peer = diagnosis.facts.iter().filter(|f| f.stage().is_with_peer());
    assert_eq!(with_peer.count(), 9);
    assert_eq!(fact(&diagnosis, Stage::Confirmed).health(), Health::Good);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_offline_fails_at_the_peer() {
    let ward = Ward::new(&strict(), &strict()).await;
    ward.b.endpoint.close().await;
    let diagnosis = ward.examine().await;
    assert_eq!(diagnosis.verdict(), Verdict::Unreachable(Stage::Peer));
    let found = fact(&diagnosis, Stage::Peer);
    assert!(
        matches!(found, Fact::Peer(PeerFact::Offline { .. })),
        "{found:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_name_that_nobody_has_fails_at_the_peer() {
    let ward = Ward::new(&strict(), &strict()).await;
    let diagnosis = examine(&ward.patient().await, Some("nobody".to_owned())).await;
    assert_eq!(diagnosis.verdict(), Verdict::Unreachable(Stage::Peer));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_refuses_fails_at_the_introduction() {
    let mut world = World::new(3);
    let server = world.server(rtt_40ms(), Config::on_loopback());
    let (a, b) = (
        world.site(&strict(), rtt_40ms()),
        world.site(&strict(), rtt_40ms()),
    );
    let refusing = |builder: gimlet::Builder| builder.accept(AcceptPolicy::Nobody);
    let b = world.peer(b, &server.address, refusing).await;
    b.endpoint.online().await.unwrap();
    let a = world.peer(a, &server.address, |b| b).await;
    let diagnosis = examine(&a, Some(b.endpoint.peer_id().to_string())).await;
    assert_eq!(diagnosis.verdict(), Verdict::Wrong(Stage::Introduction));
}

#[tokio::test(start_paused = true)]
async fn udp_blocked_on_this_side_fails_at_the_server() {
    let ward = Ward::new(&no_udp(), &strict()).await;
    let diagnosis = ward.examine().await;
    assert_eq!(diagnosis.verdict(), Verdict::Unreachable(Stage::Server));
    let found = fact(&diagnosis, Stage::Server);
    assert!(
        matches!(found, Fact::Server(ServerFact::Silent { .. })),
        "{found:?}"
    );
    assert!(found.words().advice.unwrap().contains("blocks UDP"));
}

#[tokio::test(start_paused = true)]
async fn udp_blocked_on_the_other_side_fails_at_the_peer() {
    let mut ward = Ward::new(&strict(), &strict()).await;
    let blocked = ward.world.site(&no_udp(), rtt_40ms());
    let other = ward.world.peer(blocked, &ward.server.address, |b| b).await;
    other.endpoint.online().await.unwrap_err();
    let id = other.endpoint.peer_id().to_string();
    let diagnosis = examine(&ward.patient().await, Some(id)).await;
    assert_eq!(diagnosis.verdict(), Verdict::Unreachable(Stage::Peer));
    let advice = fact(&diagnosis, Stage::Peer).words().advice.unwrap();
    assert!(
        advice.contains("gimlet doctor") && advice.contains("UDP"),
        "{advice}"
    );
}

#[tokio::test(start_paused = true)]
async fn udp_that_passes_to_the_server_only_fails_at_the_checks_whichever_side_it_is() {
    for (a, b) in [
        (udp_to_the_server_only(), strict()),
        (strict(), udp_to_the_server_only()),
    ] {
        let diagnosis = Ward::new(&a, &b).await.examine().await;
        assert_eq!(
            diagnosis.verdict(),
            Verdict::RelayOnly(Stage::Checks),
            "{diagnosis:#?}"
        );
        let Fact::Checks(ChecksFact::Failed { sent, .. }) = fact(&diagnosis, Stage::Checks) else {
            panic!("{diagnosis:#?}");
        };
        assert!(*sent > 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_not_there_fails_at_the_server() {
    let ward = Ward::new(&strict(), &strict()).await;
    ward.world.set_dark(ward.server.place.host, true);
    let diagnosis = examine(&ward.patient().await, None).await;
    assert_eq!(diagnosis.verdict(), Verdict::Unreachable(Stage::Server));
}

#[tokio::test(start_paused = true)]
async fn a_server_with_another_key_fails_at_the_server_and_is_no_silence() {
    let ward = Ward::new(&strict(), &strict()).await;
    let mut address = ward.server.address.clone();
    address.key = Some(Identity::generate().peer_id());
    let patient = ward.world.peer(ward.a.clone(), &address, |b| b).await;
    let diagnosis = examine(&patient, None).await;
    assert_eq!(diagnosis.verdict(), Verdict::Wrong(Stage::Server));
    let found = fact(&diagnosis, Stage::Server);
    assert!(
        matches!(found, Fact::Server(ServerFact::WrongKey { .. })),
        "{found:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn two_routers_with_random_ports_fail_at_the_pair() {
    let random = nat(NatConfig::symmetric());
    let diagnosis = Ward::new(&random, &random).await.examine().await;
    assert_eq!(
        diagnosis.verdict(),
        Verdict::RelayOnly(Stage::Pair),
        "{diagnosis:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_search_is_told_with_its_packets_and_time() {
    let random = nat(NatConfig::symmetric());
    let diagnosis = Ward::new(&strict(), &random).await.examine().await;
    assert_eq!(diagnosis.verdict(), Verdict::Direct, "{diagnosis:#?}");
    let Fact::Checks(ChecksFact::Answered { search, .. }) = fact(&diagnosis, Stage::Checks) else {
        panic!("{diagnosis:#?}");
    };
    let search = search.as_ref().unwrap();
    assert!(search.rounds > 0 && search.packets > 0, "{search:?}");
    assert_eq!(search.strategy, Some("birthday"));
    let words = fact(&diagnosis, Stage::Checks).words();
    assert!(
        words.found.contains("A search over ports took"),
        "{words:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn clocks_that_are_apart_fail_at_the_clock_either_way() {
    let ward = Ward::new(&strict(), &strict()).await;
    for ahead_s in [-3600i64, 3600] {
        let configure =
            |builder: gimlet::Builder| builder.network(ward.a.network_with_clock(ahead_s));
        let address = &ward.server.address;
        let patient = ward.world.peer(ward.a.clone(), address, configure).await;
        let diagnosis = examine(&patient, None).await;
        assert_eq!(diagnosis.verdict(), Verdict::Wrong(Stage::Clock));
        let Fact::Clock(ClockFact::Apart { ahead_s: found }) = fact(&diagnosis, Stage::Clock)
        else {
            panic!("{diagnosis:#?}");
        };
        assert!((found - ahead_s).abs() < 60, "{found}");
    }
}

#[tokio::test(start_paused = true)]
async fn ipv6_that_leads_nowhere_is_named_and_does_not_keep_the_two_apart() {
    let mut world = World::new(3);
    let server = world.server(rtt_40ms(), Config::on_loopback());
    let dark = world.host(None, &["2001:db8:9::1"], LinkConfig::default());
    let second = world.server_at(&dark, Config::on_loopback());
    world.set_dark(dark.host, true);
    let places = [
        ["203.0.113.50", "2001:db8:1::2"],
        ["203.0.113.51", "2001:db8:2::2"],
    ]
    .map(|addrs| world.host(None, &addrs, rtt_40ms()));
    let [a, b] = places;
    let also = |builder: gimlet::Builder| builder.server(second.address.clone());
    let b = world.peer(b, &server.address, |b| b).await;
    b.endpoint.online().await.unwrap();
    tokio::spawn(take_everybody(b.endpoint.clone()));
    let a = world.peer(a, &server.address, also).await;
    let alone = examine(&a, None).await;
    assert_eq!(alone.verdict(), Verdict::Wrong(Stage::Ipv6), "{alone:#?}");
    let found = fact(&alone, Stage::Ipv6);
    assert!(
        matches!(found, Fact::Ipv6(Ipv6Fact::Dark { .. })),
        "{found:?}"
    );
    let together = examine(&a, Some(b.endpoint.peer_id().to_string())).await;
    assert_eq!(together.verdict(), Verdict::Direct, "{together:#?}");
    assert_eq!(together.failed(), Some(Stage::Ipv6));
}
