//! The baseline: quinn with Gimlet's settings, TLS and sockets, a stream from the publisher to each
//! subscriber, and on it one record after the other.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use gimlet::Identity;
use gimlet_net::congestion::PathEpoch;
use gimlet_net::tls::Credential;
use gimlet_net::transport;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Connection, Endpoint, RecvStream, ServerConfig};
use tokio::sync::broadcast;
use tokio::task::JoinSet;

use super::tally::Tally;
use super::{FLOOD, MESSAGE, SUBSCRIBERS};
use crate::bench::worker::bind;

/// Hosts that share the subscribers.
const HOSTS: usize = 20;

/// Both keys.
const KEYS: [[u8; 32]; 2] = [[4; 32], [5; 32]];

const ALPN: &[u8] = b"fan/1";

/// Where a publisher is; `None` where that is a key.
pub(super) type Place = Option<SocketAddr>;

pub(super) struct Publisher {
    records: broadcast::Sender<Bytes>,
    _endpoint: Endpoint,
}

impl Publisher {
    pub(super) fn start() -> anyhow::Result<(Self, SocketAddr)> {
        let credential = Credential::new(&Identity::from_seed(&KEYS[0]))?;
        let subscriber = Identity::from_seed(&KEYS[1]).peer_id();
        let crypto = credential.peer_server(subscriber, &[ALPN.to_vec()])?;
        let crypto = QuicServerConfig::try_from(crypto)?;
        let mut config = ServerConfig::with_crypto(Arc::new(crypto));
        let settings = Arc::new(transport::peer_transport(PathEpoch::new()));
        config.transport_config(settings).migration(false);
        let endpoint = bind(Some(config))?;
        let records = broadcast::Sender::new(2 * FLOOD);
        let (accepting, to) = (endpoint.clone(), records.clone());
        tokio::spawn(async move {
            while let Some(incoming) = accepting.accept().await {
                let records = to.subscribe();
                tokio::spawn(async move {
                    if let Ok(connection) = incoming.await {
                        // Until the subscriber is gone.
                        let _ = serve(connection, records).await;
                    }
                });
            }
        });
        let place = endpoint.local_addr()?;
        let publisher = Self {
            records,
            _endpoint: endpoint,
        };
        Ok((publisher, place))
    }

    pub(super) fn publish(&self, message: &[u8]) {
        // An error says that nobody is there.
        let _ = self.records.send(Bytes::copy_from_slice(message));
    }
}

async fn serve(
    connection: Connection,
    mut records: broadcast::Receiver<Bytes>,
) -> anyhow::Result<()> {
    let mut stream = connection.open_uni().await?;
    // Shows the stream to the other side.
    stream.write_all(&[0]).await?;
    loop {
        stream.write_chunk(records.recv().await?).await?;
    }
}

/// Connects, and waits until everybody has a stream.
pub(super) async fn subscribe(
    place: Place,
    tally: &Arc<Tally>,
) -> anyhow::Result<(Vec<Endpoint>, JoinSet<()>)> {
    let place = place.context("no place")?;
    let credential = Credential::new(&Identity::from_seed(&KEYS[1]))?;
    let publisher = Identity::from_seed(&KEYS[0]).peer_id();
    let mut endpoints = Vec::new();
    let mut following = JoinSet::new();
    for _ in 0..HOSTS {
        let endpoint = bind(None)?;
        for _ in 0..SUBSCRIBERS / HOSTS {
            let crypto = credential.peer_client(publisher, ALPN)?;
            let crypto = QuicClientConfig::try_from(crypto)?;
            let mut config = ClientConfig::new(Arc::new(crypto));
            config.transport_config(Arc::new(transport::peer_transport(PathEpoch::new())));
            let connecting = endpoint.connect_with(config, place, &publisher.server_name())?;
            let connection = connecting.await?;
            let mut stream = connection.accept_uni().await?;
            stream.read_exact(&mut [0]).await?;
            following.spawn(follow(connection, stream, tally.clone()));
        }
        endpoints.push(endpoint);
    }
    Ok((endpoints, following))
}

async fn follow(_connection: Connection, mut stream: RecvStream, tally: Arc<Tally>) {
    let mut message = [0; MESSAGE];
    while stream.read_exact(&mut message).await.is_ok() {
        tally.arrived(&message);
    }
}
