//! A running server and a small client, with deadlines on everything they wait for.

use std::collections::VecDeque;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use gimlet_net::identity::Identity;
use gimlet_net::tls::{Credential, pinned_server_name};
use gimlet_net::transport::endpoint_config;
use gimlet_proto::id::PeerId;
use gimlet_proto::message::{SignIn, SignedIn, ToPeer, ToServer};
use gimlet_proto::rendezvous::CloseReason;
use gimlet_proto::wire::{self, Reader};
use gimlet_server::{Config, RunError, Server, ServerHandle, Snapshot};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ConnectionError, Endpoint, TransportConfig};
use tokio::net::UdpSocket;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time;

/// Longer than anything here takes on the slowest machine; only a failure waits for it.
const DEADLINE: Duration = Duration::from_secs(20);

/// Waits, but not for ever.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    time::timeout(DEADLINE, what)
        .await
        .expect("it happens before the deadline")
}

/// A running server.
pub(crate) struct Running {
    pub(crate) addr: SocketAddr,
    pub(crate) alt: SocketAddr,
    pub(crate) id: PeerId,
    pub(crate) handle: ServerHandle,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), RunError>>,
}

pub(crate) fn start(config: Config) -> Running {
    let server = Server::bind(config).expect("the server binds");
    let (stop, stopped) = oneshot::channel();
    Running {
        addr: server.local_addr(),
        alt: server.alt_addr().expect("a second port"),
        id: server.peer_id(),
        handle: server.handle(),
        stop,
        task: tokio::spawn(server.run(async {
            let _ = stopped.await;
        })),
    }
}

impl Running {
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        soon(self.task).await.unwrap().unwrap();
    }

    /// Waits until the counters are as wanted.
    pub(crate) async fn counted(&self, wanted: impl Fn(&Snapshot) -> bool) -> Snapshot {
        let reached = async {
            loop {
                let now = self.handle.counters();
                if wanted(&now) {
                    return now;
                }
                time::sleep(Duration::from_millis(1)).await;
            }
        };
        match time::timeout(DEADLINE, reached).await {
            Ok(counters) => counters,
            Err(_) => panic!("counters stay at {:#?}", self.handle.counters()),
        }
    }
}

/// A UDP socket on loopback.
pub(crate) async fn socket() -> UdpSocket {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap()
}

pub(crate) async fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 65_536];
    let (length, _) = soon(socket.recv_from(&mut buffer)).await.unwrap();
    buffer.truncate(length);
    buffer
}

/// A peer with a control session.
pub(crate) struct Client {
    pub(crate) id: PeerId,
    pub(crate) endpoint: Endpoint,
    pub(crate) connection: quinn::Connection,
    sender: quinn::SendStream,
    receiver: quinn::RecvStream,
    reader: Reader,
    inbox: VecDeque<ToPeer>,
}

impl Client {
    pub(crate) async fn connect(server: &Running) -> Self {
        Self::connect_as(server, &Identity::generate()).await
    }

    pub(crate) async fn connect_as(server: &Running, identity: &Identity) -> Self {
        let dialled = Self::dial(server.addr, server.id, identity).await;
        let (endpoint, connection) = dialled.expect("the server answers");
        Self::over(endpoint, connection, identity).await
    }

    /// A client that takes this many bytes before it reads.
    pub(crate) async fn connect_with_window(server: &Running, window: u32) -> Self {
        let identity = Identity::generate();
        let mut transport = TransportConfig::default();
        transport.stream_receive_window(window.into());
        let dialled = Self::dial_with(server.addr, server.id, &identity, transport).await;
        let (endpoint, connection) = dialled.expect("the server answers");
        Self::over(endpoint, connection, &identity).await
    }

    async fn over(endpoint: Endpoint, connection: quinn::Connection, identity: &Identity) -> Self {
        let (sender, receiver) = connection.open_bi().await.unwrap();
        Self {
            id: identity.peer_id(),
            endpoint,
            connection,
            sender,
            receiver,
            reader: Reader::default(),
            inbox: VecDeque::new(),
        }
    }

    pub(crate) async fn dial(
        server: SocketAddr,
        key: PeerId,
        identity: &Identity,
    ) -> Result<(Endpoint, quinn::Connection), ConnectionError> {
        Self::dial_with(server, key, identity, TransportConfig::default()).await
    }

    async fn dial_with(
        server: SocketAddr,
        key: PeerId,
        identity: &Identity,
        transport: TransportConfig,
    ) -> Result<(Endpoint, quinn::Connection), ConnectionError> {
        let credential = Credential::new(identity).unwrap();
        let tls = credential.control_client(Some(key)).unwrap();
        let crypto = QuicClientConfig::try_from(Arc::new(tls)).unwrap();
        let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let runtime = Arc::new(quinn::TokioRuntime);
        let mut endpoint = Endpoint::new(endpoint_config(&[7; 32]), None, socket, runtime).unwrap();
        let mut config = quinn::ClientConfig::new(Arc::new(crypto));
        config.transport_config(Arc::new(transport));
        endpoint.set_default_client_config(config);
        let connecting = endpoint.connect(server, &pinned_server_name(key)).unwrap();
        let connection = soon(connecting).await?;
        Ok((endpoint, connection))
    }

    /// A client that has signed in, with a name if one is given.
    pub(crate) async fn signed_in(server: &Running, name: Option<&str>) -> Self {
        let mut client = Self::connect(server).await;
        let name = name.map(|name| name.parse().unwrap());
        client.say(SignIn { name, ..sign_in() }).await;
        let answer = client.hear().await;
        assert!(
            matches!(answer, ToPeer::SignedIn(SignedIn { .. })),
            "{answer:?}"
        );
        client
    }

    /// A client that has signed in, with settings of its own.
    pub(crate) async fn signed_in_with(
        server: SocketAddr,
        key: PeerId,
        transport: TransportConfig,
    ) -> Self {
        let identity = Identity::generate();
        let dialled = Self::dial_with(server, key, &identity, transport).await;
        let (endpoint, connection) = dialled.expect("the server answers");
        let mut client = Self::over(endpoint, connection, &identity).await;
        let answer = client.ask(sign_in()).await;
        assert!(matches!(answer, ToPeer::SignedIn(_)), "{answer:?}");
        client
    }

    pub(crate) async fn say(&mut self, message: impl Into<ToServer>) {
        self.say_bytes(&wire::encode(&message.into())).await;
    }

    pub(crate) async fn say_bytes(&mut self, bytes: &[u8]) {
        soon(self.sender.write_all(bytes)).await.unwrap();
    }

    /// The next message.
    pub(crate) async fn hear(&mut self) -> ToPeer {
        soon(async {
            loop {
                if let Some(message) = self.inbox.pop_front() {
                    return message;
                }
                let chunk = self.receiver.read_chunk(65_536, true).await;
                let chunk = chunk
                    .expect("the session stands")
                    .expect("the stream is open");
                self.reader.extend(&chunk.bytes);
                while let Some(message) = self.reader.poll().unwrap() {
                    self.inbox.push_back(message);
                }
            }
        })
        .await
    }

    pub(crate) async fn ask(&mut self, message: impl Into<ToServer>) -> ToPeer {
        self.say(message).await;
        self.hear().await
    }

    /// Why the server closed the session.
    pub(crate) async fn closed(&self) -> Option<CloseReason> {
        match soon(self.connection.closed()).await {
            ConnectionError::ApplicationClosed(close) => {
                CloseReason::from_code(close.error_code.into_inner())
            }
            _ => None,
        }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.endpoint.local_addr().unwrap()
    }
}

pub(crate) fn sign_in() -> SignIn {
    SignIn {
        id: 1,
        token: None,
        name: None,
        lease_s: 30,
        reachable: true,
        software: "gimlet-test/1".to_owned(),
    }
}

pub(crate) fn dial_only() -> SignIn {
    SignIn {
        reachable: false,
        ..sign_in()
    }
}
