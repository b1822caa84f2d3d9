//! Behaviour discovery by whole endpoints behind simulated NATs, and against other people's tools:
//! coturn's client asks our server, and we ask coturn's server. Neither shares code with us.

use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use gimlet::{Allocation, Behaviour, Endpoint, NatClass, NetReport, ServerAddress};
use gimlet_server::{Config, Server};
use gimlet_sim::{NatConfig, RouterKind};
use gimlet_tests::{Peer, RunningServer, World, rtt_40ms};

use crate::bench::nat;

/// An endpoint behind these routers, signed in.
async fn behind(world: &mut World, routers: &[RouterKind]) -> (Peer, RunningServer) {
    let server = world.server(rtt_40ms(), Config::on_loopback());
    let place = world.site(routers, rtt_40ms());
    let peer = world.peer(place, &server.address, |builder| builder).await;
    (peer, server)
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_learns_its_nat_within_a_second_and_tells_the_server() {
    use Allocation::{Preserving, Random, RandomBlock, Sequential};
    use Behaviour::{AddressAndPortDependent, AddressDependent, EndpointIndependent};
    let symmetric = |allocation| NatConfig {
        allocation,
        ..NatConfig::symmetric()
    };
    for (config, mapping, filtering, allocation, hairpin) in [
        (
            NatConfig::open(),
            EndpointIndependent,
            AddressDependent,
            Preserving,
            Some(true),
        ),
        (
            NatConfig::strict(),
            EndpointIndependent,
            AddressAndPortDependent,
            Preserving,
            Some(false),
        ),
        (
            NatConfig::carrier(),
            EndpointIndependent,
            AddressAndPortDependent,
            RandomBlock,
            Some(true),
        ),
        (
            NatConfig::symmetric(),
            AddressAndPortDependent,
            AddressAndPortDependent,
            Random,
            None,
        ),
        (
            symmetric(gimlet_sim::Allocation::Sequential { step: 1 }),
            AddressAndPortDependent,
            AddressAndPortDependent,
            Sequential,
            None,
        ),
    ] {
        let mut world = World::new(11);
        let (peer, _server) = behind(&mut world, &nat(config)).await;
        peer.endpoint.online().await.unwrap();
        let report = peer.endpoint.net_report().await;
        let expected = NatClass {
            mapping: Some(mapping),
            filtering: Some(filtering),
            allocation: Some(allocation),
            hairpin,
        };
        assert_eq!(report.nat, expected);
        assert_eq!(report.nat, report.details.class);
        assert!(
            report.elapsed <= Duration::from_secs(1),
            "{:?}",
            report.elapsed
        );
        // A round trip later the server knows it too.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let listing = peer.endpoint.list().await.unwrap();
        assert_eq!(listing.peers[0].nat, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_stays_learns_how_long_mappings_live() {
    let mut world = World::new(12);
    let config = NatConfig {
        mapping_lifetime: Duration::from_secs(33),
        ..NatConfig::strict()
    };
    let (peer, _server) = behind(&mut world, &nat(config)).await;
    assert_eq!(peer.endpoint.net_report().await.details.lifetime, None);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let report = peer.endpoint.net_report().await;
    assert_eq!(report.details.lifetime, Some(Duration::from_secs(30)));
}

#[tokio::test(start_paused = true)]
async fn looking_again_asks_anew() {
    let mut world = World::new(13);
    let (peer, server) = behind(&mut world, &nat(NatConfig::strict())).await;
    let before = peer.endpoint.net_report().await;
    let asked = server.handle.counters().stun_answered;
    let again = peer.endpoint.look_again().await;
    assert_eq!(again.nat, before.nat);
    assert!(server.handle.counters().stun_answered >= asked + 10);
}

/// What `turnutils_natdiscovery` says, run with these flags.
async fn natdiscovery(flags: &'static [&'static str], server: SocketAddr) -> String {
    let run = move || {
        let mut client = Command::new("turnutils_natdiscovery");
        client.args(flags);
        client.args(["-p", &server.port().to_string(), &server.ip().to_string()]);
        let output = client.output().expect("coturn is installed");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    tokio::task::spawn_blocking(run).await.expect("it ends")
}

/// What an endpoint finds out with this server, without signing in. On a busy machine not every answer
/// is there within the second that a report takes at most, so it looks again until all is known.
async fn look(server: SocketAddr) -> NetReport {
    let server = ServerAddress {
        host: server.ip().to_string(),
        port: server.port(),
        key: None,
        token: None,
        tls: None,
    };
    let builder = Endpoint::builder().server(server).port_mapping(false);
    let endpoint = builder.bind().await.expect("sockets of this host");
    let complete = async {
        let mut report = endpoint.net_report().await;
        while report.nat.filtering.is_none() || report.nat.mapping.is_none() {
            report = endpoint.look_again().await;
        }
        report
    };
    let report = tokio::time::timeout(Duration::from_secs(20), complete).await;
    endpoint.close().await;
    report.expect("the server answers")
}

#[tokio::test]
async fn coturns_client_and_ours_find_the_same_with_our_server_of_two_addresses() {
    let mut config = Config::on_loopback();
    config.listen_alt = Some("127.0.0.2:0".parse().unwrap());
    let server = Server::bind(config).unwrap();
    let (addr, handle) = (server.local_addr(), server.handle());
    tokio::spawn(server.run(std::future::pending()));

    let said = natdiscovery(&["-m", "-f", "-H"], addr).await;
    assert!(
        said.contains("NAT with Endpoint Independent Mapping!"),
        "{said}"
    );
    assert!(
        said.contains("NAT with Endpoint Independent Filtering!"),
        "{said}"
    );
    assert!(
        said.contains("Received a request (maybe a successful hairpinning)"),
        "{said}"
    );
    assert!(said.contains("Other addr: : 127.0.0.2:"), "{said}");
    // With the 1,500 bytes of PADDING that the same client can add.
    let said = natdiscovery(&["-m", "-f", "-P"], addr).await;
    assert!(
        said.contains("NAT with Endpoint Independent Mapping!"),
        "{said}"
    );
    assert!(
        said.contains("NAT with Endpoint Independent Filtering!"),
        "{said}"
    );
    assert!(handle.counters().stun_moved >= 2, "{:?}", handle.counters());

    let report = look(addr).await;
    assert_eq!(report.nat.mapping, Some(Behaviour::EndpointIndependent));
    assert_eq!(report.nat.filtering, Some(Behaviour::EndpointIndependent));
    assert!(report.details.two_addresses);
}

#[tokio::test]
async fn coturns_client_gets_along_with_our_server_of_one_address() {
    let server = Server::bind(Config::on_loopback()).unwrap();
    let addr = server.local_addr();
    tokio::spawn(server.run(std::future::pending()));
    // Without a second address nothing is promised that only two can tell.
    let said = natdiscovery(&["-m", "-f"], addr).await;
    assert!(said.contains("UDP reflexive addr: 127.0.0.1:"), "{said}");
    assert!(!said.contains("RFC 5780 response"), "{said}");
    let report = look(addr).await;
    assert_eq!(report.nat.mapping, Some(Behaviour::EndpointIndependent));
    assert_eq!(
        report.nat.filtering,
        Some(Behaviour::AddressDependent),
        "or better"
    );
    assert!(!report.details.two_addresses);
}

/// coturn's server on two loopback addresses, killed when dropped.
struct Coturn {
    child: Child,
    addr: SocketAddr,
    _files: tempfile::TempDir,
}

impl Coturn {
    fn start() -> Self {
        let files = tempfile::tempdir().unwrap();
        // Two free ports beside each other, as good as any: somebody may take them before coturn does.
        let port = (0..100)
            .find_map(|_| {
                let first = UdpSocket::bind("127.0.0.1:0").ok()?;
                let port = first.local_addr().ok()?.port();
                UdpSocket::bind(("127.0.0.1", port.checked_add(1)?)).ok()?;
                Some(port)
            })
            .expect("two free ports");
        let child = Command::new("turnserver")
            .args(["-n", "-S", "--no-auth", "--no-tls", "--no-dtls", "--no-cli"])
            .args(["-L", "127.0.0.1", "-L", "127.0.0.2", "--log-file=stdout"])
            .arg(format!("--listening-port={port}"))
            .arg(format!("--alt-listening-port={}", port + 1))
            .arg(format!("--pidfile={}", files.path().join("pid").display()))
            .arg(format!("--userdb={}", files.path().join("db").display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("coturn is installed");
        Self {
            child,
            addr: SocketAddr::from(([127, 0, 0, 1], port)),
            _files: files,
        }
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        // An error says that it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn our_prober_finds_with_coturns_server_what_coturns_client_finds() {
    let coturn = Coturn::start();
    let report = look(coturn.addr).await;
    let said = natdiscovery(&["-m", "-f"], coturn.addr).await;
    assert!(
        said.contains("NAT with Endpoint Independent Mapping!"),
        "{said}"
    );
    assert!(
        said.contains("NAT with Endpoint Independent Filtering!"),
        "{said}"
    );
    assert_eq!(report.nat.mapping, Some(Behaviour::EndpointIndependent));
    assert_eq!(report.nat.filtering, Some(Behaviour::EndpointIndependent));
    assert_eq!(report.nat.allocation, Some(Allocation::Preserving));
    assert!(report.details.two_addresses);
    assert_eq!(report.details.translated, Some(false));
}
