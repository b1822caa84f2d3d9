//! A peer's control session by hand: what a load generator can have thousands of.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, ensure};
use gimlet::{Identity, PeerId, ServerAddress};
use gimlet_net::tls::{Credential, pinned_server_name};
use gimlet_net::{socket, transport};
use gimlet_proto::message::{SignIn, ToPeer, ToServer};
use gimlet_proto::wire::{self, Reader};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Endpoint, RecvStream, SendStream, TokioRuntime};

/// Who signs in, and where.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) id: PeerId,
    config: ClientConfig,
    name: String,
    addr: SocketAddr,
    token: Option<String>,
}

impl Account {
    /// A new identity for this server.
    pub(super) fn new(server: &ServerAddress) -> anyhow::Result<Self> {
        let identity = Identity::generate();
        let key = server.key.context("the server's address has no key")?;
        let tls = Credential::new(&identity)?.control_client(Some(key))?;
        let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
        config.transport_config(Arc::new(transport::control_transport()));
        Ok(Self {
            id: identity.peer_id(),
            config,
            name: pinned_server_name(key),
            addr: addr(server)?,
            token: server.token.clone(),
        })
    }

    /// A connection, and nothing said on it.
    pub(super) async fn connect(&self, endpoint: &Endpoint) -> anyhow::Result<quinn::Connection> {
        let config = self.config.clone();
        Ok(endpoint
            .connect_with(config, self.addr, &self.name)?
            .await?)
    }

    /// Connects and signs in.
    pub(super) async fn sign_in(&self, endpoint: &Endpoint) -> anyhow::Result<Client> {
        let connection = self.connect(endpoint).await?;
        let (sender, receiver) = connection.open_bi().await?;
        let mut client = Client {
            id: self.id,
            _connection: connection,
            sender,
            hearing: Hearing {
                receiver,
                reader: Reader::default(),
            },
        };
        client
            .say(SignIn {
                id: 1,
                token: self.token.clone(),
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
}

/// A control session.
pub(super) struct Client {
    pub(super) id: PeerId,
    _connection: quinn::Connection,
    sender: SendStream,
    hearing: Hearing,
}

impl Client {
    /// Says something.
    pub(super) async fn say(&mut self, message: impl Into<ToServer>) -> anyhow::Result<()> {
        say(&mut self.sender, message).await
    }

    /// Hears the next message.
    pub(super) async fn hear(&mut self) -> anyhow::Result<ToPeer> {
        self.hearing.next().await
    }

    /// Says something; what `other` hears of it.
    pub(super) async fn ask(
        &mut self,
        other: &mut Self,
        message: impl Into<ToServer>,
    ) -> anyhow::Result<ToPeer> {
        self.say(message).await?;
        other.hear().await
    }

    /// The two directions apart; the connection ends with the second.
    pub(super) fn split(self) -> (SendStream, Hearing) {
        (self.sender, self.hearing)
    }
}

/// What comes from the server.
pub(super) struct Hearing {
    receiver: RecvStream,
    reader: Reader,
}

impl Hearing {
    /// The next message.
    pub(super) async fn next(&mut self) -> anyhow::Result<ToPeer> {
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

/// Says something on a stream to the server.
pub(super) async fn say(
    sender: &mut SendStream,
    message: impl Into<ToServer>,
) -> anyhow::Result<()> {
    let bytes = wire::encode(&message.into());
    Ok(sender.write_all(&bytes).await?)
}

/// An endpoint that only dials, from an address of its own.
pub(super) fn endpoint(from: std::net::IpAddr) -> anyhow::Result<Endpoint> {
    Ok(Endpoint::new_with_abstract_socket(
        transport::endpoint_config(&[7; 32]),
        None,
        socket::bind((from, 0).into(), false)?,
        Arc::new(TokioRuntime),
    )?)
}

/// Where a server listens; the bench's has no name.
pub(super) fn addr(server: &ServerAddress) -> anyhow::Result<SocketAddr> {
    Ok(SocketAddr::new(server.host.parse()?, server.port))
}
