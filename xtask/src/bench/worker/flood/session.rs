//! A relay session by hand: two peers sign in, one introduces itself, the other accepts, and two
//! sockets are bound to what they agreed on.

use std::io::IoSliceMut;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use gimlet::{Identity, NatClass, PeerId, ServerAddress};
use gimlet_net::tls::{Credential, pinned_server_name};
use gimlet_net::{socket, transport};
use gimlet_proto::frame::{encode_bind, encode_bound};
use gimlet_proto::message::{Accept, Introduce, SignIn, ToPeer, ToServer};
use gimlet_proto::secret::{Credentials, RelaySecret, SessionId};
use gimlet_proto::wire::{self, Reader};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, ClientConfig, Endpoint, TokioRuntime};

/// The session's id.
pub(super) const SESSION: SessionId = SessionId([5; 8]);

const SECRETS: [RelaySecret; 2] = [RelaySecret([0xa; 32]), RelaySecret([0xb; 32])];

/// Bind frames sent at most: the relay learns of a session a moment after its peers.
const BINDS: usize = 1000;

/// Open as long as both peers are signed in.
pub(super) struct Session {
    _peers: [Client; 2],
}

impl Session {
    /// Opens the session with `a` and `b` as the sockets of its two sides.
    pub(super) async fn open(
        server: &ServerAddress,
        a: &dyn AsyncUdpSocket,
        b: &dyn AsyncUdpSocket,
    ) -> anyhow::Result<Self> {
        let (mut alice, mut bob) = (
            Client::connect(server).await?,
            Client::connect(server).await?,
        );
        let credentials = Credentials {
            fragment: [1; 8],
            password: [1; 16],
        };
        let introduce = Introduce {
            session: SESSION,
            peer: bob.id,
            secret: SECRETS[0].clone(),
            credentials: credentials.clone(),
            candidates: vec![],
            nat: NatClass::default(),
        };
        match alice.ask(&mut bob, introduce).await? {
            ToPeer::Introduction(_) => (),
            other => bail!("instead of an introduction came {other:?}"),
        }
        let accept = Accept {
            session: SESSION,
            secret: SECRETS[1].clone(),
            credentials,
            candidates: vec![],
            nat: NatClass::default(),
        };
        match bob.ask(&mut alice, accept).await? {
            ToPeer::Accepted(_) => (),
            other => bail!("instead of an acceptance came {other:?}"),
        }
        let server = addr(server)?;
        bind(server, a, &SECRETS[0]).await?;
        bind(server, b, &SECRETS[1]).await?;
        Ok(Self {
            _peers: [alice, bob],
        })
    }
}

/// Asks until the relay says yes; before the control side has told it, it does not know us.
async fn bind(
    server: SocketAddr,
    socket: &dyn AsyncUdpSocket,
    secret: &RelaySecret,
) -> anyhow::Result<()> {
    let frame = encode_bind(SESSION, 1, secret);
    let mut buffer = vec![0; 1 << 16];
    for _ in 0..BINDS {
        socket.try_send(&Transmit {
            destination: server,
            ecn: None,
            contents: &frame,
            segment_size: None,
            src_ip: None,
        })?;
        let mut meta = [RecvMeta::default()];
        std::future::poll_fn(|cx| {
            socket.poll_recv(cx, &mut [IoSliceMut::new(&mut buffer)], &mut meta)
        })
        .await?;
        if buffer[..meta[0].len] == encode_bound(SESSION, 1) {
            return Ok(());
        }
    }
    bail!("the relay does not bind the session")
}

/// A control session.
struct Client {
    id: PeerId,
    _endpoint: Endpoint,
    _connection: quinn::Connection,
    sender: quinn::SendStream,
    receiver: quinn::RecvStream,
    reader: Reader,
}

impl Client {
    /// Signs a new identity in.
    async fn connect(server: &ServerAddress) -> anyhow::Result<Self> {
        let identity = Identity::generate();
        let key = server.key.context("the server's address has no key")?;
        let tls = Credential::new(&identity)?.control_client(Some(key))?;
        let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
        config.transport_config(Arc::new(transport::control_transport()));
        let endpoint = Endpoint::new_with_abstract_socket(
            transport::endpoint_config(&[7; 32]),
            None,
            socket::bind((Ipv4Addr::LOCALHOST, 0).into(), false)?,
            Arc::new(TokioRuntime),
        )?;
        let name = pinned_server_name(key);
        let connection = endpoint.connect_with(config, addr(server)?, &name)?.await?;
        let (sender, receiver) = connection.open_bi().await?;
        let mut client = Self {
            id: identity.peer_id(),
            _endpoint: endpoint,
            _connection: connection,
            sender,
            receiver,
            reader: Reader::default(),
        };
        client
            .say(SignIn {
                id: 1,
                token: server.token.clone(),
                name: None,
                lease_s: 60,
                software: "gimlet-bench".to_owned(),
                reachable: true,
            })
            .await?;
        let answer = client.hear().await?;
        ensure!(matches!(answer, ToPeer::SignedIn(_)), "{answer:?}");
        Ok(client)
    }

    /// Says something; what `other` hears of it.
    async fn ask(
        &mut self,
        other: &mut Self,
        message: impl Into<ToServer>,
    ) -> anyhow::Result<ToPeer> {
        self.say(message).await?;
        other.hear().await
    }

    async fn say(&mut self, message: impl Into<ToServer>) -> anyhow::Result<()> {
        let bytes = wire::encode(&message.into());
        Ok(self.sender.write_all(&bytes).await?)
    }

    async fn hear(&mut self) -> anyhow::Result<ToPeer> {
        loop {
            if let Some(message) = self.reader.poll()? {
                return Ok(message);
            }
            let chunk = self.receiver.read_chunk(1 << 16, true).await?;
            let chunk = chunk.context("the server closed the session")?;
            self.reader.extend(&chunk.bytes);
        }
    }
}

fn addr(server: &ServerAddress) -> anyhow::Result<SocketAddr> {
    Ok(SocketAddr::new(server.host.parse()?, server.port))
}
