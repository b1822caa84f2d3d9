//! Asks sockets, server and peer, stage by stage.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use gimlet_net::port_map::PortMapping;
use gimlet_proto::message::Resolved;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::{
    ClockFact, ConfigurationFact, Diagnosis, Fact, HandshakeFact, Health, IntroductionFact,
    Ipv6Fact, NatFact, NetworkFact, Options, PairFact, PeerFact, PortMappingFact, RelayFact,
    ServerFact, SignInFact, TcpAnswer, meeting, ms, path,
};
use crate::connection::Connection;
use crate::control;
use crate::endpoint::Endpoint;
use crate::error::SignInError;
use crate::event::{EndpointEvent, SignedIn};

/// How long a server's machine may take to answer over TCP.
const TCP_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a further server may take, where there are several: a handshake's time-out and a pause.
const NEXT_SERVER: Duration = Duration::from_secs(6);

/// How long a direct path may take to carry data.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(2);

/// The findings so far, told as they come.
struct Examination<'a, T> {
    endpoint: &'a Endpoint,
    options: &'a Options,
    tell: T,
    done: Diagnosis,
}

impl Endpoint {
    /// Goes through the stages of signing in, and of connecting to a peer where one is named. `tell`
    /// hears each fact as it is found. Takes some ten seconds at most, and as long as
    /// [`Options::wait_direct`] more with a peer.
    ///
    /// Best with an endpoint just made: it looks at how the first sign-in ends.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: an attempt to connect is given up.
    pub async fn examine(&self, options: &Options, tell: impl FnMut(&Fact)) -> Diagnosis {
        let mut examination = Examination {
            endpoint: self,
            options,
            tell,
            done: Diagnosis {
                facts: Vec::new(),
                peer: options.peer.clone(),
            },
        };
        examination.run().await;
        examination.done
    }
}

impl<T: FnMut(&Fact)> Examination<'_, T> {
    async fn run(&mut self) {
        let shared = self.endpoint.shared();
        let fact = ConfigurationFact::new(shared.id, &shared.servers, shared.relay_only);
        if self.find(Fact::Configuration(fact)) == Health::Bad {
            return;
        }
        let places = self.server_addresses().await;
        let here = places.iter().any(|addr| addr.ip().is_loopback());
        let addresses = (shared.network.addresses)(here);
        let fact = NetworkFact::new(&addresses, here);
        if self.find(Fact::Network(fact)) == Health::Bad {
            return;
        }
        // It takes seconds where the router does not answer; meanwhile there is enough to do.
        let asking = self.endpoint.clone();
        let mapping = tokio::spawn(async move { asking.port_mapping().await });
        let signed_in = self.sign_in(&places).await;
        self.own_network(&addresses, &places, mapping).await;
        if let (Ok(_), Some(text)) = (signed_in, &self.options.peer)
            && let Some(resolved) = self.resolve(text).await
        {
            self.meet(&resolved).await;
        }
    }

    fn find(&mut self, fact: Fact) -> Health {
        (self.tell)(&fact);
        let health = fact.health();
        self.done.facts.push(fact);
        health
    }

    /// Where the servers are, as far as their names say.
    async fn server_addresses(&self) -> Vec<SocketAddr> {
        let mut addresses = Vec::new();
        for server in &self.endpoint.shared().servers {
            let places = control::places(self.endpoint.shared(), server).await;
            addresses.extend(places.unwrap_or_default().iter().map(|place| place.addr));
        }
        addresses
    }

    async fn sign_in(&mut self, places: &[SocketAddr]) -> Result<SignedIn, SignInError> {
        let signed_in = self.online().await;
        let net = self.endpoint.net_report().await;
        let stun = net.reflexive_v4.is_some() || net.reflexive_v6.is_some();
        let tcp = match &signed_in {
            Err(SignInError::Unreachable { addr }) if !stun && self.options.try_tcp => {
                // Of several addresses the one that is asked about counts.
                let addr = places.iter().copied().find(|place| place == addr);
                try_tcp(addr).await
            }
            Ok(_) | Err(_) => TcpAnswer::NotTried,
        };
        let answered = match &signed_in {
            Ok(to) => Ok((to.server, to.transport, ms(to.elapsed))),
            Err(error) => Err(error),
        };
        let servers = self.endpoint.servers().await;
        let fact = ServerFact::new(answered, stun, tcp).among(servers);
        self.find(Fact::Server(fact));
        if let Some(fact) = SignInFact::new(&signed_in) {
            self.find(Fact::SignIn(fact));
        }
        if let Some(fact) = ClockFact::new(&signed_in) {
            self.find(Fact::Clock(fact));
        }
        signed_in
    }

    /// Waits until signed in to any server, or until each was tried.
    async fn online(&self) -> Result<SignedIn, SignInError> {
        let mut events = self.endpoint.events();
        let mut result = self.endpoint.online().await;
        for _ in 1..self.endpoint.shared().servers.len() {
            if result.is_ok() {
                break;
            }
            let tried = async {
                loop {
                    match events.recv().await {
                        Ok(EndpointEvent::SignedIn(signed_in)) => return Ok(signed_in),
                        Ok(EndpointEvent::SignedOut { reason }) => return Err(reason),
                        Ok(_) => (),
                        Err(_) => return Err(SignInError::SignedOut),
                    }
                }
            };
            if let Ok(next) = timeout(NEXT_SERVER, tried).await {
                result = next;
            }
        }
        result
    }

    async fn own_network(
        &mut self,
        addresses: &[IpAddr],
        places: &[SocketAddr],
        mapping: JoinHandle<PortMapping>,
    ) {
        let net = self.endpoint.net_report().await;
        if net.reflexive_v4.is_none() && net.reflexive_v6.is_none() {
            // The server stage has said that nothing comes back.
            return;
        }
        if places.iter().any(SocketAddr::is_ipv4) {
            let fact = NatFact::new(&net);
            self.find(Fact::Nat(fact.clone()));
            if let NatFact::Nat { kind, .. } = fact
                && let Ok(mapping) = mapping.await
                && let Some(fact) = PortMappingFact::new(mapping, kind)
            {
                self.find(Fact::PortMapping(fact));
            }
        }
        let tried = places.iter().any(SocketAddr::is_ipv6);
        let fact = Ipv6Fact::new(addresses, &net, tried);
        self.find(Fact::Ipv6(fact));
    }

    async fn resolve(&mut self, text: &str) -> Option<Resolved> {
        let result = self.endpoint.resolve(text).await;
        let me = self.endpoint.peer_id();
        let is_me = result.as_ref().is_ok_and(|resolved| resolved.peer == me);
        if let Ok(resolved) = &result {
            let name = resolved.name.as_ref().map(ToString::to_string);
            self.done.peer = Some(name.unwrap_or_else(|| resolved.peer.short()));
        }
        match self.find(Fact::Peer(PeerFact::new(&result, is_me))) {
            Health::Bad => None,
            Health::Good | Health::Notice => result.ok(),
        }
    }

    async fn meet(&mut self, resolved: &Resolved) {
        let began_at = Instant::now();
        let connected = self
            .endpoint
            .connect(resolved.peer, &self.options.alpn)
            .await;
        let connection = match connected {
            Ok(connection) => connection,
            Err(error) => {
                let (introduction, relay, handshake) = meeting::failed(&error);
                self.find(Fact::Introduction(introduction));
                if let Some(relay) = relay {
                    self.find(Fact::Relay(relay));
                }
                if let Some(handshake) = handshake {
                    self.find(Fact::Handshake(handshake));
                }
                return;
            }
        };
        let timings = connection.timings();
        let accepted = IntroductionFact::accepted(timings.introduced);
        self.find(Fact::Introduction(accepted));
        self.find(Fact::Relay(RelayFact::Works {
            ms: ms(timings.connected),
            rtt_ms: ms(connection.rtt()),
        }));
        self.find(Fact::Handshake(HandshakeFact::Done));
        self.follow(&connection, began_at).await;
        connection.close(0, b"");
    }

    /// Waits for a direct path, and says what became of it.
    async fn follow(&mut self, connection: &Connection, began_at: Instant) {
        let mut changes = connection.path_changes();
        let settled = async {
            tokio::select! {
                _ = changes.wait_for(|path| path.is_direct()) => (),
                _ = connection.settled() => (),
            }
        };
        // However it ends, what is found below says how.
        let _ = timeout(self.options.wait_direct, settled).await;
        if connection.path().is_direct() {
            let _ = timeout(CONFIRM_TIMEOUT, connection.settled()).await;
        }
        let (path, outcome) = (connection.path(), connection.outcome());
        let (addresses, checks, direct, confirmed) =
            path::judge(&path, &outcome, &connection.timings(), began_at.elapsed());
        let (local, remote) = connection.nats();
        self.find(Fact::Addresses(addresses));
        if let Some(checks) = checks {
            let pair = PairFact::new(&local, &remote, path.is_direct());
            self.find(Fact::Pair(pair));
            self.find(Fact::Checks(checks));
        }
        if let Some(direct) = direct {
            self.find(Fact::Direct(direct));
        }
        if let Some(confirmed) = confirmed {
            self.find(Fact::Confirmed(confirmed));
        }
    }
}

async fn try_tcp(addr: Option<SocketAddr>) -> TcpAnswer {
    let Some(addr) = addr else {
        return TcpAnswer::NotTried;
    };
    match timeout(TCP_TIMEOUT, TcpStream::connect(addr)).await {
        Ok(Ok(_)) => TcpAnswer::There,
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => TcpAnswer::There,
        Ok(Err(_)) | Err(_) => TcpAnswer::Silent,
    }
}
