//! Proves the network itself, without Gimlet: what each NAT does, and which pairs plain UDP
//! can join. When a cell fails, this says whether to look at the network or at Gimlet.

use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, ensure};
use gimlet_sim::SiteClass;
use patchbay::Device;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout, timeout_at};

use super::plan::Path;

/// Where the reflectors listen, at the server and at the witness.
pub(crate) const REFLECTOR_PORTS: [u16; 2] = [9001, 9002];

/// How long a packet may take before it counts as filtered. Links here have no delay.
const PACKET_TIMEOUT: Duration = Duration::from_millis(300);
/// How long two hosts try to reach one another. Every joinable pair needs a few milliseconds.
const PUNCH_TIMEOUT: Duration = Duration::from_millis(1000);
/// Between two probes of a punch: fast, for there is no delay to wait for.
const PUNCH_INTERVAL: Duration = Duration::from_millis(40);
/// Larger than any probe.
const BUFFER: usize = 128;

/// What a host's NAT was seen to do, in RFC 4787 words.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Behaviour {
    /// How the outside port depends on the remote end.
    pub(crate) mapping: &'static str,
    /// Whose packets come in, once a packet went out.
    pub(crate) filtering: &'static str,
    /// Whether only the server can be reached at all.
    server_only: bool,
}

impl Behaviour {
    /// The class that this comes to.
    pub(crate) fn class(&self) -> SiteClass {
        let independent = self.mapping == ENDPOINT_INDEPENDENT;
        let closed = self.filtering == ADDRESS_AND_PORT_DEPENDENT;
        match (self.server_only, independent, closed) {
            (true, _, _) => SiteClass::ServerOnly,
            (false, true, false) => SiteClass::Open,
            (false, true, true) => SiteClass::Strict,
            (false, false, true) => SiteClass::Symmetric,
            (false, false, false) => SiteClass::SymmetricOpen,
        }
    }
}

const ENDPOINT_INDEPENDENT: &str = "endpoint-independent";
const ADDRESS_DEPENDENT: &str = "address-dependent";
const ADDRESS_AND_PORT_DEPENDENT: &str = "address-and-port-dependent";

/// Runs the reflectors on one public host, until the network goes.
pub(crate) async fn reflect(device: &Device) -> anyhow::Result<()> {
    for port in REFLECTOR_PORTS {
        let socket = bind(device, port).await?;
        device.spawn(async move |_| {
            let mut buffer = [0; BUFFER];
            // A reflector's only failure is its network going away.
            while let Ok((_, from)) = socket.recv_from(&mut buffer).await {
                let _ = socket.send_to(from.to_string().as_bytes(), from).await;
            }
        })?;
    }
    Ok(())
}

/// A socket in the namespace of `device`; it stays there whoever uses it.
async fn bind(device: &Device, port: u16) -> anyhow::Result<UdpSocket> {
    let bound = device.spawn(async move |_| UdpSocket::bind(("0.0.0.0", port)).await)?;
    bound.await?.context("a probe found no port")
}

fn reflector(device: &Device, port: u16) -> anyhow::Result<SocketAddr> {
    Ok(SocketAddr::new(
        device.ip().context("a public host has no address")?.into(),
        port,
    ))
}

/// The outside address of `socket` as `reflector` sees it.
async fn reflexive(socket: &UdpSocket, reflector: SocketAddr) -> anyhow::Result<SocketAddr> {
    socket.send_to(b"?", reflector).await?;
    let mut buffer = [0; BUFFER];
    let received = timeout(PACKET_TIMEOUT, socket.recv_from(&mut buffer)).await;
    let (len, from) = received.with_context(|| format!("no answer from {reflector}"))??;
    ensure!(
        from == reflector,
        "an answer from {from} instead of {reflector}"
    );
    Ok(std::str::from_utf8(&buffer[..len])?.parse()?)
}

/// Whether a packet from a fresh socket of `sender` to `outside` reaches `inside`.
async fn comes_in(
    inside: &UdpSocket,
    sender: &Device,
    outside: SocketAddr,
) -> anyhow::Result<bool> {
    bind(sender, 0).await?.send_to(b"!", outside).await?;
    let mut buffer = [0; BUFFER];
    Ok(timeout(PACKET_TIMEOUT, inside.recv_from(&mut buffer))
        .await
        .is_ok())
}

/// Tells how the NAT of `host` maps and filters, by the server and the witness.
pub(crate) async fn behaviour(
    host: &Device,
    server: &Device,
    witness: &Device,
) -> anyhow::Result<Behaviour> {
    let [first, second] = REFLECTOR_PORTS;
    let socket = bind(host, 0).await?;
    let outside = reflexive(&socket, reflector(server, first)?).await?;
    // Filtering first, while the socket has been to one address only.
    let unknown_address = comes_in(&socket, witness, outside).await?;
    let unknown_port = comes_in(&socket, server, outside).await?;
    let other_port = reflexive(&socket, reflector(server, second)?).await?;
    let other_address = reflexive(&socket, reflector(witness, first)?).await.ok();
    Ok(Behaviour {
        mapping: match (
            outside == other_port,
            other_address.is_none_or(|it| it == outside),
        ) {
            (true, true) => ENDPOINT_INDEPENDENT,
            (true, false) => ADDRESS_DEPENDENT,
            (false, _) => ADDRESS_AND_PORT_DEPENDENT,
        },
        filtering: match (unknown_address, unknown_port) {
            (true, _) => ENDPOINT_INDEPENDENT,
            (false, true) => ADDRESS_DEPENDENT,
            (false, false) => ADDRESS_AND_PORT_DEPENDENT,
        },
        server_only: other_address.is_none(),
    })
}

/// One end of a punch: its socket and every address the other end may try.
struct End {
    socket: UdpSocket,
    candidates: Vec<SocketAddr>,
}

impl End {
    async fn new(host: &Device, server: &Device) -> anyhow::Result<Self> {
        let socket = bind(host, 0).await?;
        let outside = reflexive(&socket, reflector(server, REFLECTOR_PORTS[0])?).await?;
        let port = socket.local_addr()?.port();
        let inside = host.ip().map(|ip| SocketAddr::new(ip.into(), port));
        let candidates = inside.into_iter().chain([outside]).collect();
        Ok(Self { socket, candidates })
    }
}

/// Whether plain simultaneous sending joins two hosts over IPv4, with answers going to where
/// a probe really came from (peer-reflexive).
pub(crate) async fn punch(a: &Device, b: &Device, server: &Device) -> anyhow::Result<Path> {
    let (a, b) = (End::new(a, server).await?, End::new(b, server).await?);
    let (a_heard, b_heard) = (Cell::new(false), Cell::new(false));
    let ours = knock(&a.socket, &b.candidates, &a_heard, &b_heard);
    let theirs = knock(&b.socket, &a.candidates, &b_heard, &a_heard);
    tokio::join!(ours, theirs);
    Ok(if a_heard.get() && b_heard.get() {
        Path::Direct
    } else {
        Path::Relay
    })
}

/// Sends to every candidate and answers whoever knocks, until both ends have an answer or
/// time is up.
async fn knock(
    socket: &UdpSocket,
    candidates: &[SocketAddr],
    heard: &Cell<bool>,
    other_heard: &Cell<bool>,
) {
    const KNOCK: &[u8] = b"knock";
    const ANSWER: &[u8] = b"answer";
    let deadline = Instant::now() + PUNCH_TIMEOUT;
    let mut buffer = [0; BUFFER];
    while Instant::now() < deadline && !(heard.get() && other_heard.get()) {
        for &candidate in candidates {
            // Unroutable candidates are the rule here, not an error.
            let _ = socket.send_to(KNOCK, candidate).await;
        }
        let until = Instant::now() + PUNCH_INTERVAL;
        while let Ok(received) = timeout_at(until, socket.recv_from(&mut buffer)).await {
            match received {
                Ok((len, from)) if &buffer[..len] == KNOCK => {
                    let _ = socket.send_to(ANSWER, from).await;
                    if !heard.get() {
                        let _ = socket.send_to(KNOCK, from).await;
                    }
                }
                Ok((len, _)) if &buffer[..len] == ANSWER => heard.set(true),
                // A late reflection, or a port-unreachable from a router.
                Ok(_) | Err(_) => {}
            }
        }
    }
}
