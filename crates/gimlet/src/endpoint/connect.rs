//! Dialling a peer.

use std::sync::Arc;
use std::time::Duration;

use gimlet_net::virtual_addr::VirtualAddr;
use gimlet_proto::id::PeerId;
use gimlet_proto::message::RefuseReason;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::Endpoint;
use crate::connection::Connection;
use crate::engine::Command;
use crate::error::{ConnectError, SignInError};
use crate::incoming;
use crate::peer::{Peer, Phase, Wanted};

/// How long [`Endpoint::connect`] tries. The introduction alone may wait 10 s for a person.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a handshake over a session that stood already may take before a new one is asked for: the
/// peer's process may be another one than the session was made with, which answers nothing there. A
/// handshake whose packets are lost is repeated several times in it.
const STALE_TIMEOUT: Duration = Duration::from_secs(3);

impl Endpoint {
    /// Connects to a peer for one application protocol. Resolves as soon as application data can be
    /// sent, usually over the relay; the direct path follows by itself. A peer that was
    /// [found on this network](Self::set_nearby) is dialled there first.
    ///
    /// # Errors
    ///
    /// - [`ConnectError::Offline`], [`ConnectError::Declined`], [`ConnectError::Unanswered`],
    ///   [`ConnectError::NoProtocol`]: up to the other side.
    /// - [`ConnectError::NotSignedIn`], [`ConnectError::Busy`], [`ConnectError::Rejected`]: between us
    ///   and the server.
    /// - [`ConnectError::WrongKey`]: somebody else answered; do not go on.
    /// - [`ConnectError::NotHere`]: there is no server, and the peer is not on this network.
    /// - [`ConnectError::TimedOut`], [`ConnectError::Lost`]: neither path carried the handshake.
    /// - [`ConnectError::Myself`]: the caller's mistake.
    ///
    /// The text of each says what to do. That *the peer* refuses our key shows only afterwards, when
    /// it closes the connection: in TLS 1.3 the dialling side is done first.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future gives the attempt up.
    pub async fn connect(&self, peer: PeerId, alpn: &[u8]) -> Result<Connection, ConnectError> {
        let shared = &self.inner.shared;
        if peer == shared.id {
            return Err(ConnectError::Myself);
        }
        if let Some(connection) = self.connect_nearby(peer, alpn).await? {
            return Ok(connection);
        }
        self.online().await?;
        let dialled_at = Instant::now();
        let gone = || ConnectError::NotSignedIn(SignInError::SignedOut);
        let mut stale = None;
        loop {
            let (peer, _wanted) = self.session_with(peer, stale).await?;
            let stood = *peer.phase.borrow() == Phase::Introduced;
            let connecting = incoming::dial(shared, &peer, alpn)?;
            let mut phase = peer.phase.subscribe();
            let refused = phase.wait_for(|phase| matches!(phase, Phase::Refused(_)));
            let connection = tokio::select! {
                connection = connecting => connection?,
                phase = refused => match phase.as_deref() {
                    Ok(Phase::Refused(reason)) => return Err(refusal(*reason)),
                    Ok(Phase::Introducing | Phase::Introduced) | Err(_) => return Err(gone()),
                },
                () = sleep(STALE_TIMEOUT), if stood && stale.is_none() => {
                    stale = Some(peer.link.addr());
                    continue;
                }
                () = sleep(CONNECT_TIMEOUT) => {
                    return Err(match *peer.phase.borrow() {
                        Phase::Introducing => ConnectError::Unanswered,
                        Phase::Introduced | Phase::Refused(_) => ConnectError::TimedOut,
                    });
                }
            };
            let shared = shared.clone();
            return Ok(Connection::new(shared, peer, connection, dialled_at, true));
        }
    }

    /// A session with that peer; another one than the stale one.
    async fn session_with(
        &self,
        peer: PeerId,
        stale: Option<VirtualAddr>,
    ) -> Result<(Arc<Peer>, Wanted), ConnectError> {
        let (reply, dialled) = oneshot::channel();
        let gone = |_| ConnectError::NotSignedIn(SignInError::SignedOut);
        let dial = Command::Dial { peer, stale, reply };
        self.send_command(dial).await.map_err(gone)?;
        dialled.await.map_err(|_| gone(()))
    }
}

fn refusal(reason: RefuseReason) -> ConnectError {
    match reason {
        RefuseReason::Offline => ConnectError::Offline,
        RefuseReason::Declined => ConnectError::Declined,
        RefuseReason::Unanswered => ConnectError::Unanswered,
        RefuseReason::Busy | RefuseReason::Superseded => ConnectError::Busy,
        RefuseReason::BadRequest => ConnectError::Rejected,
    }
}
