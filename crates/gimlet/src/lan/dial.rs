//! Dialling a peer at addresses where it was found.

use std::net::SocketAddr;
use std::sync::Arc;

use gimlet_net::path::Link;
use gimlet_proto::id::PeerId;
use tokio::time::{Instant, timeout};

use super::{HANDSHAKE_TIMEOUT, Lan, MAX_ADDRESSES, connected, is_local};
use crate::connection::Connection;
use crate::endpoint::Shared;
use crate::error::ConnectError;
use crate::incoming;

/// Why [`Endpoint::connect_at`](crate::Endpoint::connect_at) failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectAtError {
    /// The endpoint was not bound with [`Builder::lan`](crate::Builder::lan).
    #[error("this endpoint does not use the local network")]
    Off,
    /// None of the addresses is on a local network.
    #[error("the peer has no address on this network")]
    NoAddress,
    /// At none of them the peer answers.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

/// Connects to a peer at one of these addresses, whichever answers first.
pub(crate) async fn connect(
    shared: &Arc<Shared>,
    peer: PeerId,
    addrs: &[SocketAddr],
    alpn: &[u8],
) -> Result<Connection, ConnectAtError> {
    let lan = shared.lan.as_ref().ok_or(ConnectAtError::Off)?;
    if peer == shared.id {
        return Err(ConnectError::Myself.into());
    }
    let local = addrs.iter().filter(|addr| is_local(addr.ip()));
    let mut attempts = tokio::task::JoinSet::new();
    let began_at = Instant::now();
    for &addr in local.take(MAX_ADDRESSES) {
        let attempt = dial(shared, lan, peer, addr, alpn)?;
        attempts.spawn(async move {
            let done = timeout(HANDSHAKE_TIMEOUT, attempt).await;
            done.unwrap_or(Err(ConnectError::TimedOut))
        });
    }
    let mut why = ConnectAtError::NoAddress;
    while let Some(attempt) = attempts.join_next().await {
        match attempt {
            // Dropping the others gives them up.
            Ok(Ok((quic, link))) => {
                return Ok(connected(shared, peer, link, quic, began_at, true));
            }
            Ok(Err(error)) => why = worst(why, error),
            // Only a panic, which the process has reported.
            Err(_) => (),
        }
    }
    Err(why)
}

/// Of several failures the one to tell: that somebody answered and is another says more than silence.
fn worst(before: ConnectAtError, now: ConnectError) -> ConnectAtError {
    match (&before, &now) {
        (ConnectAtError::Connect(ConnectError::WrongKey | ConnectError::NoProtocol), _) => before,
        _ => now.into(),
    }
}

type Dialled = (quinn::Connection, Arc<Link>);

fn dial(
    shared: &Shared,
    lan: &Lan,
    peer: PeerId,
    addr: SocketAddr,
    alpn: &[u8],
) -> Result<impl Future<Output = Result<Dialled, ConnectError>> + use<>, ConnectError> {
    let link = Link::new(shared.next_addr());
    let config = incoming::quic_client(&shared.credential, peer, alpn, &link)?;
    let connecting = lan.quic.connect_with(config, addr, &peer.server_name());
    let connecting = connecting.map_err(|error| ConnectError::Lost {
        detail: error.to_string(),
    })?;
    Ok(async move {
        let quic = connecting.await.map_err(incoming::classify)?;
        Ok((quic, link))
    })
}
