//! Gimlet endpoints that send and take streams, and one that only connects.

use std::net::{Ipv4Addr, UdpSocket};

use anyhow::ensure;
use gimlet::{AcceptPolicy, Builder, Connection, Endpoint, Identity, ServerAddress, Transport};

use super::{ALPN, RECEIVER, SENDER, bulk};
use crate::bench::message::{Dialled, Sent, Way};

/// A connection to send on.
pub(super) enum Sender {
    /// quinn's own.
    Plain(quinn::Connection),
    /// Gimlet's, and the way it has to go.
    Gimlet {
        endpoint: Endpoint,
        connection: Connection,
        way: Way,
        _blocked: Blocked,
    },
}

impl Sender {
    /// Sends so many bytes on so many streams.
    pub(super) async fn send(&self, bytes: u64, streams: u8) -> anyhow::Result<Sent> {
        let (quic, before) = match self {
            Self::Plain(connection) => (connection, 0),
            Self::Gimlet { connection, .. } => (connection.quic(), self.strayed()),
        };
        let seconds = bulk::send(quic, bytes, streams).await?;
        Ok(Sent {
            seconds,
            strayed: self.strayed() - before,
        })
    }

    /// Bytes sent over the path that is not measured.
    fn strayed(&self) -> u64 {
        match self {
            Self::Plain(_) => 0,
            Self::Gimlet { endpoint, way, .. } => match (endpoint.counters(), way) {
                (counters, Way::Relay | Way::RelayOverTls) => counters.direct_bytes_sent,
                (counters, Way::Direct) => counters.relay_bytes_sent,
            },
        }
    }
}

/// Where the server's UDP port would be; nothing ever comes from there.
type Blocked = Option<UdpSocket>;

/// Takes streams until what is returned is dropped.
pub(super) async fn receive(server: &str, way: Way) -> anyhow::Result<(Endpoint, Blocked)> {
    let (builder, blocked) = builder_for(server, Identity::from_seed(&RECEIVER), way)?;
    let endpoint = builder.alpns(vec![ALPN.to_vec()]).bind().await?;
    sign_in(&endpoint, way).await?;
    if way == Way::Direct {
        endpoint.net_report().await;
    }
    let accepting = endpoint.clone();
    tokio::spawn(async move {
        while let Some(connection) = accepting.accept().await {
            tokio::spawn(async move { bulk::drain(connection.quic().clone()).await });
        }
    });
    Ok((endpoint, blocked))
}

/// Connects to the receiver and waits for the path that is to be measured.
pub(super) async fn connect(server: &str, way: Way) -> anyhow::Result<Sender> {
    let (builder, _blocked) = builder_for(server, Identity::from_seed(&SENDER), way)?;
    let endpoint = builder.accept(AcceptPolicy::Nobody).bind().await?;
    sign_in(&endpoint, way).await?;
    let receiver = Identity::from_seed(&RECEIVER).peer_id();
    let connection = endpoint.connect(receiver, ALPN).await?;
    if way == Way::Direct {
        let path = connection.settled().await;
        ensure!(path.is_direct(), "no direct path over loopback: {path}");
    }
    Ok(Sender::Gimlet {
        endpoint,
        connection,
        way,
        _blocked,
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

/// Signs in, over what it has to be.
async fn sign_in(endpoint: &Endpoint, way: Way) -> anyhow::Result<()> {
    let over = match way {
        Way::Direct | Way::Relay => Transport::Udp,
        Way::RelayOverTls => Transport::Tls,
    };
    let signed_in = endpoint.online().await?;
    ensure!(signed_in.transport == over, "{:?}", signed_in.transport);
    Ok(())
}

/// An endpoint that can only go this way.
fn builder_for(server: &str, identity: Identity, way: Way) -> anyhow::Result<(Builder, Blocked)> {
    let mut server: ServerAddress = server.parse()?;
    let blocked = match way {
        Way::Direct | Way::Relay => None,
        Way::RelayOverTls => {
            let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            server.tls = Some(server.tls_port());
            server.port = silent.local_addr()?.port();
            Some(silent)
        }
    };
    let builder = Endpoint::builder().identity(identity).server(server);
    Ok((builder.relay_only(way != Way::Direct), blocked))
}

/// An endpoint of this identity at this server.
pub(super) fn builder(server: &str, identity: Identity) -> anyhow::Result<Builder> {
    Ok(Endpoint::builder()
        .identity(identity)
        .server(server.parse()?))
}
