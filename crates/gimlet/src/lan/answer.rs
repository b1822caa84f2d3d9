//! Answering whoever knocks from this network.
//!
//! Nobody has introduced whoever comes, so what a stranger can make us do is bounded by
//! [`MAX_HANDSHAKES`], by a Retry where there are several, and by TLS, which shows the key that
//! the policy judges. Addresses outside this network are not answered at all.

use std::sync::Arc;
use std::time::Duration;

use gimlet_net::path::Link;
use gimlet_net::tls;
use gimlet_proto::id::PeerId;
use quinn::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout};

use super::{HANDSHAKE_TIMEOUT, connected, is_local};
use crate::connection::Connection;
use crate::endpoint::Shared;
use crate::incoming::{self, BUSY};
use crate::policy::{AcceptPolicy, Request};

/// Handshakes of strangers at once: each costs some milliseconds of one core.
pub(super) const MAX_HANDSHAKES: usize = 64;

/// Handshakes at once above which an address has to show by a Retry that it is there.
const TRUSTING: usize = 8;

/// How long a person or a program has to decide, as with introductions.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Code of a connection that the policy does not want.
const DECLINED: u32 = 3;

/// Accepts from this network until the endpoint is closed.
pub(crate) async fn run(shared: Arc<Shared>, accepted: mpsc::Sender<Connection>) {
    let Some(quic) = shared.lan.as_ref().map(|lan| lan.quic.clone()) else {
        return;
    };
    let free = Arc::new(Semaphore::new(MAX_HANDSHAKES));
    loop {
        let incoming = tokio::select! {
            incoming = quic.accept() => incoming,
            () = accepted.closed() => return,
        };
        let Some(incoming) = incoming else { return };
        if shared.alpns.is_empty() || !is_local(incoming.remote_address().ip()) {
            incoming.ignore();
            continue;
        }
        let under_way = MAX_HANDSHAKES - free.available_permits();
        if under_way >= TRUSTING && !incoming.remote_address_validated() {
            // It fails where the token was for nothing; then the address has its chance behind it.
            let _ = incoming.retry();
            continue;
        }
        match free.clone().try_acquire_owned() {
            Ok(permit) => {
                let (shared, accepted) = (shared.clone(), accepted.clone());
                tokio::spawn(shake_hands(shared, incoming, accepted, permit));
            }
            Err(_) => incoming.refuse(),
        }
    }
}

async fn shake_hands(
    shared: Arc<Shared>,
    incoming: Incoming,
    accepted: mpsc::Sender<Connection>,
    permit: OwnedSemaphorePermit,
) {
    let began_at = Instant::now();
    let link = Link::new(shared.next_addr());
    let crypto = shared.credential.open_server(&shared.alpns);
    let config = crypto.map(|crypto| incoming::quic_server(crypto, Some(&link)));
    let Ok(Ok(config)) = config else {
        return incoming.refuse();
    };
    let handshake = async { incoming.accept_with(Arc::new(config))?.await };
    let Ok(Ok(quic)) = timeout(HANDSHAKE_TIMEOUT, handshake).await else {
        tracing::debug!("handshake on the local network failed");
        return;
    };
    // Deciding may take a person's time, and holds up nobody.
    drop(permit);
    let Some(peer) = tls::peer_id_of(&quic).filter(|peer| *peer != shared.id) else {
        return quic.close(DECLINED.into(), b"declined");
    };
    if !wanted(&shared.policy, peer).await {
        tracing::debug!(peer = %peer.short(), "declined on the local network");
        return quic.close(DECLINED.into(), b"declined");
    }
    let connection = connected(&shared, peer, link, quic, began_at, false);
    if let Err(error) = accepted.try_send(connection) {
        let (mpsc::error::TrySendError::Full(connection)
        | mpsc::error::TrySendError::Closed(connection)) = error;
        connection.close(BUSY, b"busy");
    }
}

async fn wanted(policy: &AcceptPolicy, peer: PeerId) -> bool {
    match policy {
        AcceptPolicy::All => true,
        AcceptPolicy::Nobody => false,
        AcceptPolicy::Known(known) => known.contains(&peer),
        AcceptPolicy::Ask(ask) => {
            let (request, decision) = Request::new(peer, None);
            ask(request);
            matches!(timeout(ANSWER_TIMEOUT, decision).await, Ok(Ok(true)))
        }
    }
}
