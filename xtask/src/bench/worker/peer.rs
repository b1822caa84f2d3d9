//! Gimlet endpoints that send and take streams, and one that only connects.

use anyhow::ensure;
use gimlet::{AcceptPolicy, Builder, Connection, Endpoint, Identity};

use super::{ALPN, RECEIVER, SENDER, bulk};
use crate::bench::message::{Dialled, Sent};

/// A connection to send on.
pub(super) enum Sender {
    /// quinn's own.
    Plain(quinn::Connection),
    /// Gimlet's, and whether it has to stay on the relay.
    Gimlet {
        endpoint: Endpoint,
        connection: Connection,
        relayed: bool,
    },
}

impl Sender {
    /// Sends a stream.
    pub(super) async fn send(&self, bytes: u64) -> anyhow::Result<Sent> {
        let (quic, before) = match self {
            Self::Plain(connection) => (connection, 0),
            Self::Gimlet { connection, .. } => (connection.quic(), self.strayed()),
        };
        let seconds = bulk::send(quic, bytes).await?;
        Ok(Sent {
            seconds,
            strayed: self.strayed() - before,
        })
    }

    /// Bytes sent over the path that is not measured.
    fn strayed(&self) -> u64 {
        match self {
            Self::Plain(_) => 0,
            Self::Gimlet {
                endpoint, relayed, ..
            } => match (endpoint.counters(), relayed) {
                (counters, true) => counters.direct_bytes_sent,
                (counters, false) => counters.relay_bytes_sent,
            },
        }
    }
}

/// Takes streams until the endpoint is dropped.
pub(super) async fn receive(server: &str, relay_only: bool) -> anyhow::Result<Endpoint> {
    let endpoint = builder(server, Identity::from_seed(&RECEIVER))?
        .alpns(vec![ALPN.to_vec()])
        .relay_only(relay_only)
        .bind()
        .await?;
    endpoint.online().await?;
    endpoint.net_report().await;
    let accepting = endpoint.clone();
    tokio::spawn(async move {
        while let Some(connection) = accepting.accept().await {
            tokio::spawn(async move { bulk::drain(connection.quic().clone()).await });
        }
    });
    Ok(endpoint)
}

/// Connects to the receiver and waits for the path that is to be measured.
pub(super) async fn connect(server: &str, relay_only: bool) -> anyhow::Result<Sender> {
    let endpoint = builder(server, Identity::from_seed(&SENDER))?
        .accept(AcceptPolicy::Nobody)
        .relay_only(relay_only)
        .bind()
        .await?;
    let receiver = Identity::from_seed(&RECEIVER).peer_id();
    let connection = endpoint.connect(receiver, ALPN).await?;
    if !relay_only {
        let path = connection.settled().await;
        ensure!(path.is_direct(), "no direct path over loopback: {path}");
    }
    Ok(Sender::Gimlet {
        endpoint,
        connection,
        relayed: relay_only,
    })
}

/// Signs in, connects to the receiver and goes direct, all anew.
pub(super) async fn dial_once(server: &str) -> anyhow::Result<Dialled> {
    let endpoint = builder(server, Identity::generate())?.bind().await?;
    let signed_in = endpoint.online().await?;
    // What a peer that has been online for a second knows.
    endpoint.net_report().await;
    let receiver = Identity::from_seed(&RECEIVER).peer_id();
    let connection = endpoint.connect(receiver, ALPN).await?;
    connection.settled().await;
    let dialled = Dialled::of(&signed_in, &connection);
    drop(connection);
    endpoint.close().await;
    Ok(dialled)
}

/// An endpoint of this identity at this server.
pub(super) fn builder(server: &str, identity: Identity) -> anyhow::Result<Builder> {
    Ok(Endpoint::builder()
        .identity(identity)
        .server(server.parse()?))
}
