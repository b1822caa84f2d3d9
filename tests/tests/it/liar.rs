//! A server that lies: it introduces the wrong peer, speaks for an absent one, and swaps addresses.
//! Nobody gets into a session who does not hold the key, and no plaintext passes it.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use gimlet::doctor::{Stage, Verdict};
use gimlet::{CloseReason, ConnectError, Identity, PeerId, ServerAddress};
use gimlet_net::tls::{self, Credential};
use gimlet_net::transport;
use gimlet_proto::candidate::{Candidate, CandidateKind};
use gimlet_proto::demux::{self, Kind};
use gimlet_proto::frame::{self, Frame, FrameKind};
use gimlet_proto::message::{
    Accept, Accepted, Introduce, Introduction, Resolve, Resolved, SignedIn, ToPeer, ToServer,
};
use gimlet_proto::secret::SessionId;
use gimlet_proto::{stun, wire};
use gimlet_tests::{Peer, Place, World, rtt_40ms};
use quinn::crypto::rustls::QuicServerConfig;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, TokioRuntime, UdpPoller};
use tokio::sync::mpsc;

use crate::bench::{echo, strict};

mod forgets;

const SECRET: &[u8] = b"attack at dawn, and tell nobody";

#[tokio::test(start_paused = true)]
async fn a_server_that_introduces_somebody_else_gets_nobody_in() {
    let mut t = Bench::new().await;
    let (alice, bob) = (t.peer().await, t.peer().await);
    let mallory = t.peer().await;
    t.liar.lie(Lie::Instead {
        of: bob.endpoint.peer_id(),
        put: mallory.endpoint.peer_id(),
    });
    let error = alice
        .endpoint
        .connect(bob.endpoint.peer_id(), b"test/1")
        .await
        .unwrap_err();
    assert_eq!(error, ConnectError::WrongKey);
    let diagnosis = crate::doctor::examine(&alice, Some(bob.endpoint.peer_id().to_string())).await;
    assert_eq!(diagnosis.failed(), Some(Stage::Handshake));
    assert_eq!(diagnosis.verdict(), Verdict::Wrong(Stage::Handshake));
    nobody_in(&mallory).await;
    nobody_in(&bob).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_speaks_for_a_dialer_gets_nobody_in() {
    let mut t = Bench::new().await;
    let (alice, bob) = (t.peer().await, t.peer().await);
    let mallory = t.peer().await;
    t.liar.lie(Lie::SpeakFor {
        mallory: mallory.endpoint.peer_id(),
        name: alice.endpoint.peer_id(),
    });
    // In TLS 1.3 the dialling side is done first; it learns at once that it was refused.
    let connection = mallory
        .endpoint
        .connect(bob.endpoint.peer_id(), b"test/1")
        .await
        .unwrap();
    let reason = connection.closed().await;
    assert!(matches!(reason, CloseReason::Broken { .. }), "{reason:?}");
    nobody_in(&bob).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_swaps_addresses_cannot_redirect_a_session_nor_read_it() {
    let mut t = Bench::new().await;
    let (alice, bob) = (t.peer().await, t.peer().await);
    let mallory = t.world.site(&[], rtt_40ms());
    let addr = "203.0.113.200:9".parse().unwrap();
    drop(mallory);
    t.liar.lie(Lie::Candidates(addr));
    let (dialled, accepted) = tokio::join!(
        alice.endpoint.connect(bob.endpoint.peer_id(), b"test/1"),
        bob.endpoint.accept()
    );
    let (dialled, accepted) = (dialled.unwrap(), accepted.unwrap());
    echo(&dialled, &accepted, SECRET).await;
    assert!(!dialled.settled().await.is_direct());
    echo(&dialled, &accepted, SECRET).await;
    let seen = t.liar.seen();
    assert!(seen.len() > 2 * SECRET.len(), "it relayed all of it");
    assert!(!seen.windows(SECRET.len()).any(|window| window == SECRET));
    assert!(!seen.windows(8).any(|window| SECRET.starts_with(window)));
}

/// Nobody comes within a while.
async fn nobody_in(peer: &Peer) {
    let came = tokio::time::timeout(Duration::from_secs(30), peer.endpoint.accept()).await;
    assert!(came.is_err(), "{came:?}");
}

// --- bench: a world with a liar for a server ---

struct Bench {
    world: World,
    liar: Arc<Liar>,
}

impl Bench {
    async fn new() -> Self {
        let mut world = World::new(1);
        let place = world.host(None, &["203.0.113.1"], rtt_40ms());
        let liar = Liar::start(&place);
        Self { world, liar }
    }

    async fn peer(&mut self) -> Peer {
        let place = self.world.site(&strict(), rtt_40ms());
        let peer = self
            .world
            .peer(place, &self.liar.address, |builder| builder)
            .await;
        peer.endpoint.online().await.unwrap();
        peer
    }
}

#[derive(Debug, Clone, Copy)]
enum Lie {
    None,
    /// Introduces `put` to whoever asks for `of`.
    Instead {
        of: PeerId,
        put: PeerId,
    },
    /// Calls `mallory` by the name of another key.
    SpeakFor {
        mallory: PeerId,
        name: PeerId,
    },
    /// Replaces every candidate by this address.
    Candidates(SocketAddr),
}

struct Member {
    say: mpsc::UnboundedSender<ToPeer>,
    addr: SocketAddr,
}

#[derive(Default)]
struct State {
    members: HashMap<PeerId, Member>,
    sessions: HashMap<SessionId, [PeerId; 2]>,
    lie: Option<Lie>,
    seen: Vec<u8>,
}

struct Liar {
    address: ServerAddress,
    state: Arc<Mutex<State>>,
}

impl Liar {
    fn start(place: &Place) -> Arc<Self> {
        let identity = Identity::generate();
        let credential = Credential::new(&identity).unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let socket = Split {
            inner: place.socket(3478),
            state: state.clone(),
        };
        let crypto = QuicServerConfig::try_from(credential.control_server(None).unwrap()).unwrap();
        let quic = quinn::Endpoint::new_with_abstract_socket(
            transport::endpoint_config(&[7; 32]),
            Some(quinn::ServerConfig::with_crypto(Arc::new(crypto))),
            Arc::new(socket),
            Arc::new(TokioRuntime),
        )
        .unwrap();
        let address = format!("gimlet://203.0.113.1:3478?key={}", identity.peer_id());
        let liar = Arc::new(Self {
            address: address.parse().unwrap(),
            state,
        });
        let serving = liar.clone();
        tokio::spawn(async move {
            while let Some(incoming) = quic.accept().await {
                let liar = serving.clone();
                tokio::spawn(async move { liar.serve(incoming.await.unwrap()).await });
            }
        });
        liar
    }

    fn lie(&self, lie: Lie) {
        self.state.lock().unwrap().lie = Some(lie);
    }

    fn seen(&self) -> Vec<u8> {
        self.state.lock().unwrap().seen.clone()
    }

    async fn serve(&self, connection: quinn::Connection) {
        let peer = tls::peer_id_of(&connection).unwrap();
        let (mut send, mut recv) = connection.accept_bi().await.unwrap();
        let (say, mut said) = mpsc::unbounded_channel::<ToPeer>();
        let member = Member {
            say,
            addr: connection.remote_address(),
        };
        self.state.lock().unwrap().members.insert(peer, member);
        let mut reader = wire::Reader::default();
        let mut buffer = [0; 4096];
        loop {
            tokio::select! {
                read = recv.read(&mut buffer) => {
                    let Ok(Some(count)) = read else { return };
                    self.state.lock().unwrap().seen.extend_from_slice(&buffer[..count]);
                    reader.extend(&buffer[..count]);
                    while let Some(message) = reader.poll::<ToServer>().unwrap() {
                        self.hear(peer, message, connection.remote_address());
                    }
                }
                Some(message) = said.recv() => {
                    if send.write_all(&wire::encode(&message)).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn hear(&self, from: PeerId, message: ToServer, observed: SocketAddr) {
        let state = &mut *self.state.lock().unwrap();
        let lie = state.lie.unwrap_or(Lie::None);
        match message {
            ToServer::SignIn(sign_in) => {
                let stun_ports = Vec::new();
                let (id, name) = (sign_in.id, sign_in.name);
                state.say(
                    from,
                    SignedIn {
                        id,
                        lease_s: 60,
                        name,
                        observed,
                        stun_ports,
                        time_s: 0,
                    },
                );
            }
            ToServer::Resolve(Resolve { id, text }) => {
                let peer = text.parse().expect("tests ask for ids");
                let (name, online) = (None, true);
                state.say(
                    from,
                    Resolved {
                        id,
                        peer,
                        name,
                        online,
                    },
                );
            }
            ToServer::Introduce(introduce) => state.introduce(from, introduce, lie),
            ToServer::Accept(accept) => state.accept(accept, lie),
            _ => (),
        }
    }
}

impl State {
    fn say(&self, to: PeerId, message: impl Into<ToPeer>) {
        if let Some(member) = self.members.get(&to) {
            let _ = member.say.send(message.into());
        }
    }

    fn introduce(&mut self, from: PeerId, introduce: Introduce, lie: Lie) {
        let to = match lie {
            Lie::Instead { of, put } if of == introduce.peer => put,
            _ => introduce.peer,
        };
        let peer = match lie {
            Lie::SpeakFor { mallory, name } if mallory == from => name,
            _ => from,
        };
        self.sessions.insert(introduce.session, [from, to]);
        let introduction = Introduction {
            session: introduce.session,
            peer,
            name: None,
            credentials: introduce.credentials,
            candidates: swapped(introduce.candidates, lie),
            nat: introduce.nat,
        };
        self.say(to, introduction);
    }

    fn accept(&mut self, accept: Accept, lie: Lie) {
        let Some([dialer, _]) = self.sessions.get(&accept.session) else {
            return;
        };
        let accepted = Accepted {
            session: accept.session,
            credentials: accept.credentials,
            candidates: swapped(accept.candidates, lie),
            nat: accept.nat,
        };
        self.say(*dialer, accepted);
    }

    /// What to send in answer to a datagram that is not QUIC.
    fn answer(&mut self, from: SocketAddr, datagram: &[u8]) -> Option<(SocketAddr, Vec<u8>)> {
        if demux::classify(datagram) == Some(Kind::Stun) {
            return Some((from, stun::answer_binding(datagram, from)?));
        }
        self.seen.extend_from_slice(datagram);
        let frame = Frame::decode(datagram)?;
        match frame.kind {
            FrameKind::Bind => {
                let counter = u64::from_be_bytes(*frame.payload.first_chunk()?);
                Some((from, frame::encode_bound(frame.session, counter).to_vec()))
            }
            FrameKind::Data => {
                let sides = self.sessions.get(&frame.session)?;
                let addrs = sides.map(|side| self.members.get(&side).map(|member| member.addr));
                let to = addrs.into_iter().flatten().find(|addr| *addr != from)?;
                Some((to, datagram.to_vec()))
            }
            FrameKind::Bound | FrameKind::Unknown => None,
        }
    }
}

fn swapped(candidates: Vec<Candidate>, lie: Lie) -> Vec<Candidate> {
    match lie {
        Lie::Candidates(addr) => vec![Candidate {
            kind: CandidateKind::ServerReflexive,
            addr,
        }],
        Lie::None | Lie::Instead { .. } | Lie::SpeakFor { .. } => candidates,
    }
}

/// Hands QUIC to quinn and the rest to the liar.
struct Split {
    inner: Arc<dyn AsyncUdpSocket>,
    state: Arc<Mutex<State>>,
}

impl fmt::Debug for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Split")
    }
}

impl AsyncUdpSocket for Split {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.inner.clone().create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.inner.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let received = self.inner.poll_recv(cx, bufs, meta);
        if let Poll::Ready(Ok(count)) = received {
            for (buf, meta) in bufs.iter().zip(meta).take(count) {
                let datagram = &buf[..meta.len];
                if demux::classify(datagram) == Some(Kind::Quic) {
                    continue;
                }
                let answer = self.state.lock().unwrap().answer(meta.addr, datagram);
                if let Some((destination, contents)) = answer {
                    self.inner.try_send(&Transmit {
                        destination,
                        ecn: None,
                        contents: &contents,
                        segment_size: None,
                        src_ip: None,
                    })?;
                }
                meta.len = 0;
            }
        }
        received
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}
