//! One example of every control message, with its fields in words.

use std::net::SocketAddr;

use gimlet_proto::candidate::{Allocation, Behaviour, Candidate, CandidateKind, NatClass};
use gimlet_proto::hint::{Hint, Ports};
use gimlet_proto::id::PeerId;
use gimlet_proto::message::{
    Accept, Accepted, Candidates, CloseSession, Coordinate, Coordinated, Draining, FailReason,
    Failed, Introduce, Introduction, List, NatReport, Page, PathKind, PathReport, PeerInfo,
    Presence, RefuseReason, Refused, ReleaseName, Resolve, Resolved, SessionInfo, SignIn, SignOut,
    SignedIn, ThrottleReason, Throttled, ToPeer, ToServer, Unwatch, Watch,
};
use gimlet_proto::name::Name;
use gimlet_proto::secret::RelaySecret;

use super::{SESSION, acceptor, dialer};

/// A message, its name and its fields in words.
pub(super) type Example<T> = (&'static str, T, &'static [&'static str]);

fn alice() -> PeerId {
    PeerId::from_bytes([0xa1; 32])
}

fn bob() -> PeerId {
    PeerId::from_bytes([0xb2; 32])
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn candidates() -> Vec<Candidate> {
    vec![
        Candidate {
            kind: CandidateKind::Host,
            addr: addr("10.0.0.2:7000"),
        },
        Candidate {
            kind: CandidateKind::ServerReflexive,
            addr: addr("[2001:db8::7]:7001"),
        },
    ]
}

pub(super) fn nat() -> NatClass {
    NatClass {
        mapping: Some(Behaviour::EndpointIndependent),
        filtering: Some(Behaviour::AddressAndPortDependent),
        allocation: Some(Allocation::Preserving),
        hairpin: None,
    }
}

fn hint(ports: Ports) -> Hint {
    Hint {
        round: 2,
        nat: nat(),
        ports,
    }
}

const CANDIDATES: &str = "candidates: 2: host 10.0.0.2:7000, server-reflexive [2001:db8::7]:7001";
pub(super) const NAT: &str = "nat: mapping endpoint-independent, filtering address-and-port-dependent, \
                   allocation preserving, hairpin not known";

/// What a peer says.
pub(super) fn to_server() -> Vec<Example<ToServer>> {
    let mut all = own_to_server();
    all.extend(super::stats::to_server());
    all.extend(super::codes::to_server());
    let unwatch = Unwatch { peer: bob() };
    all.push(("unwatch", unwatch.into(), &["peer: 32 bytes b2"]));
    all
}

/// What a server says.
pub(super) fn to_peer() -> Vec<Example<ToPeer>> {
    let mut all = own_to_peer();
    all.extend(super::stats::to_peer());
    let throttled = Throttled {
        session: SESSION,
        reason: ThrottleReason::Share,
        dropped_bytes: 1_000_000,
    };
    let fields = &[
        "session: 0102030405060708",
        "reason: share",
        "dropped: 1000000",
    ];
    all.push(("throttled", throttled.into(), fields));
    all.extend(super::codes::to_peer());
    all
}

fn own_to_server() -> Vec<Example<ToServer>> {
    vec![
        (
            "sign_in",
            SignIn {
                id: 1,
                token: Some("secret-token".to_owned()),
                name: Some(name("alice")),
                lease_s: 60,
                reachable: true,
                software: "gimlet/0.1.0".to_owned(),
            }
            .into(),
            &[
                "id: 1",
                "token: \"secret-token\"",
                "name: \"alice\"",
                "lease_s: 60",
                "reachable: yes",
                "software: \"gimlet/0.1.0\"",
            ],
        ),
        ("sign_out", SignOut {}.into(), &[]),
        (
            "list",
            List {
                id: 2,
                after: Some(alice()),
            }
            .into(),
            &["id: 2", "after: 32 bytes a1"],
        ),
        (
            "resolve",
            Resolve {
                id: 3,
                text: "bob".to_owned(),
            }
            .into(),
            &["id: 3", "text: \"bob\""],
        ),
        (
            "introduce",
            Introduce {
                session: SESSION,
                peer: bob(),
                secret: RelaySecret([0x55; 32]),
                credentials: dialer(),
                candidates: candidates(),
                nat: nat(),
            }
            .into(),
            &[
                "session: 0102030405060708",
                "peer: 32 bytes b2",
                "secret: 32 bytes 55",
                "credentials: fragment 8 bytes 11, password 16 bytes 22",
                CANDIDATES,
                NAT,
            ],
        ),
        (
            "accept",
            Accept {
                session: SESSION,
                secret: RelaySecret([0x66; 32]),
                credentials: acceptor(),
                candidates: vec![],
                nat: NatClass::default(),
            }
            .into(),
            &[
                "session: 0102030405060708",
                "secret: 32 bytes 66",
                "credentials: fragment 8 bytes 33, password 16 bytes 44",
                "candidates: none",
                "nat: nothing known",
            ],
        ),
        (
            "refuse",
            ToServer::Refuse(Refused {
                session: SESSION,
                reason: RefuseReason::Declined,
            }),
            &["session: 0102030405060708", "reason: declined"],
        ),
        (
            "candidates",
            Candidates {
                session: SESSION,
                candidates: candidates(),
            }
            .into(),
            &["session: 0102030405060708", CANDIDATES],
        ),
        (
            "close_session",
            CloseSession { session: SESSION }.into(),
            &["session: 0102030405060708"],
        ),
        (
            "path_report",
            PathReport {
                session: SESSION,
                path: PathKind::Direct,
            }
            .into(),
            &["session: 0102030405060708", "path: direct"],
        ),
        (
            "nat_report",
            NatReport {
                nat: NatClass {
                    mapping: Some(Behaviour::AddressDependent),
                    filtering: None,
                    allocation: Some(Allocation::RandomBlock),
                    hairpin: Some(true),
                },
            }
            .into(),
            &[
                "nat: mapping address-dependent, filtering not known, allocation random-block, \
                 hairpin yes",
            ],
        ),
        (
            "release_name",
            ReleaseName {
                name: name("alice"),
            }
            .into(),
            &["name: \"alice\""],
        ),
        (
            "watch",
            Watch { peer: bob() }.into(),
            &["peer: 32 bytes b2"],
        ),
        (
            "coordinate",
            Coordinate {
                session: SESSION,
                hint: hint(Ports::Sequence {
                    ip: addr("192.0.2.1:0").ip(),
                    next: 40001,
                    step: -1,
                    drift: 3,
                }),
            }
            .into(),
            &[
                "session: 0102030405060708",
                "round: 2",
                NAT,
                "ports: sequence 192.0.2.1, next 40001, step -1, drift 3",
            ],
        ),
    ]
}

fn own_to_peer() -> Vec<Example<ToPeer>> {
    vec![
        (
            "signed_in",
            SignedIn {
                id: 1,
                lease_s: 60,
                name: Some(name("alice")),
                observed: addr("198.51.100.7:40000"),
                stun_ports: vec![3479],
                time_s: 1_700_000_000,
            }
            .into(),
            &[
                "id: 1",
                "lease_s: 60",
                "name: \"alice\"",
                "observed: 198.51.100.7:40000",
                "stun_ports: 1: 3479",
                "time_s: 1700000000",
            ],
        ),
        (
            "failed",
            Failed {
                id: 3,
                reason: FailReason::UnknownPeer,
            }
            .into(),
            &["id: 3", "reason: unknown-peer"],
        ),
        (
            "page",
            Page {
                id: 2,
                peers: vec![PeerInfo {
                    peer: bob(),
                    name: None,
                    lease_s: 42,
                    nat: nat(),
                    observed: Some(addr("[2001:db8::9]:4000")),
                }],
                sessions: vec![SessionInfo {
                    a: alice(),
                    b: bob(),
                    path: PathKind::Relay,
                }],
                more: true,
            }
            .into(),
            &[
                "id: 2",
                "peers: 1: peer 32 bytes b2, no name, lease_s 42, then:",
                NAT,
                "and observed [2001:db8::9]:4000",
                "sessions: 1: a 32 bytes a1, b 32 bytes b2, path relay",
                "more: yes",
            ],
        ),
        (
            "resolved",
            Resolved {
                id: 3,
                peer: bob(),
                name: Some(name("bob")),
                online: true,
            }
            .into(),
            &["id: 3", "peer: 32 bytes b2", "name: \"bob\"", "online: yes"],
        ),
        (
            "introduction",
            Introduction {
                session: SESSION,
                peer: alice(),
                name: Some(name("alice")),
                credentials: dialer(),
                candidates: candidates(),
                nat: nat(),
            }
            .into(),
            &[
                "session: 0102030405060708",
                "peer: 32 bytes a1",
                "name: \"alice\"",
                "credentials: fragment 8 bytes 11, password 16 bytes 22",
                CANDIDATES,
                NAT,
            ],
        ),
        (
            "accepted",
            Accepted {
                session: SESSION,
                credentials: acceptor(),
                candidates: vec![],
                nat: NatClass::default(),
            }
            .into(),
            &[
                "session: 0102030405060708",
                "credentials: fragment 8 bytes 33, password 16 bytes 44",
                "candidates: none",
                "nat: nothing known",
            ],
        ),
        (
            "refused",
            Refused {
                session: SESSION,
                reason: RefuseReason::Offline,
            }
            .into(),
            &["session: 0102030405060708", "reason: offline"],
        ),
        (
            "candidates",
            Candidates {
                session: SESSION,
                candidates: candidates(),
            }
            .into(),
            &["session: 0102030405060708", CANDIDATES],
        ),
        (
            "session_closed",
            CloseSession { session: SESSION }.into(),
            &["session: 0102030405060708"],
        ),
        (
            "presence",
            Presence {
                peer: bob(),
                online: false,
            }
            .into(),
            &["peer: 32 bytes b2", "online: no"],
        ),
        (
            "draining",
            Draining {
                in_ms: 250,
                return_over_ms: 20_000,
            }
            .into(),
            &["in_ms: 250", "return_over_ms: 20000"],
        ),
        (
            "coordinated",
            Coordinated {
                session: SESSION,
                hint: hint(Ports::Range {
                    ip: addr("192.0.2.1:0").ip(),
                    first: 1024,
                    last: 65535,
                }),
                observed: addr("192.0.2.1:0").ip(),
            }
            .into(),
            &[
                "session: 0102030405060708",
                "round: 2",
                NAT,
                "ports: range 192.0.2.1 1024..=65535",
                "observed: 192.0.2.1",
            ],
        ),
    ]
}
