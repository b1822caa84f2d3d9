//! A relay session by hand: two peers sign in, one introduces itself, the other accepts, and two
//! sockets are bound to what they agreed on.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::bail;
use gimlet::{NatClass, ServerAddress};
use gimlet_proto::message::{Accept, Introduce, ToPeer};
use gimlet_proto::secret::{Credentials, RelaySecret, SessionId};
use quinn::AsyncUdpSocket;

use super::super::binding::bind;
use super::super::client::{Account, Client, addr, endpoint};

/// The session's id.
pub(super) const SESSION: SessionId = SessionId([5; 8]);

/// Of the dialing and of the accepting side.
const SECRETS: [RelaySecret; 2] = [RelaySecret([0xa; 32]), RelaySecret([0xb; 32])];

/// Open as long as both peers are signed in.
pub(super) struct Session {
    _peers: [Client; 2],
}

impl Session {
    /// Opens the session with `a` and `b` as the sockets of its two sides.
    pub(super) async fn open(
        server: &ServerAddress,
        a: &Arc<dyn AsyncUdpSocket>,
        b: &Arc<dyn AsyncUdpSocket>,
    ) -> anyhow::Result<Self> {
        let endpoint = endpoint(Ipv4Addr::LOCALHOST.into())?;
        let mut alice = Account::new(server)?.sign_in(&endpoint).await?;
        let mut bob = Account::new(server)?.sign_in(&endpoint).await?;
        introduce(&mut alice, &mut bob, SESSION).await?;
        bind_both(addr(server)?, SESSION, [a, b]).await?;
        Ok(Self {
            _peers: [alice, bob],
        })
    }
}

/// Has the server introduce one to the other.
pub(in crate::bench::worker) async fn introduce(
    alice: &mut Client,
    bob: &mut Client,
    session: SessionId,
) -> anyhow::Result<()> {
    let introduce = introduction(session, bob.id);
    match alice.ask(bob, introduce).await? {
        ToPeer::Introduction(_) => (),
        other => bail!("instead of an introduction came {other:?}"),
    }
    match bob.ask(alice, acceptance(session)).await? {
        ToPeer::Accepted(_) => Ok(()),
        other => bail!("instead of an acceptance came {other:?}"),
    }
}

/// Binds a socket for either side.
pub(in crate::bench::worker) async fn bind_both(
    server: SocketAddr,
    session: SessionId,
    sockets: [&Arc<dyn AsyncUdpSocket>; 2],
) -> anyhow::Result<()> {
    for (socket, secret) in sockets.iter().zip(&SECRETS) {
        bind(server, socket, session, secret).await?;
    }
    Ok(())
}

/// What a dialer says.
pub(in crate::bench::worker) fn introduction(
    session: SessionId,
    peer: gimlet::PeerId,
) -> Introduce {
    Introduce {
        session,
        peer,
        secret: SECRETS[0].clone(),
        credentials: credentials(),
        candidates: vec![],
        nat: NatClass::default(),
    }
}

/// What the other side says.
pub(in crate::bench::worker) fn acceptance(session: SessionId) -> Accept {
    Accept {
        session,
        secret: SECRETS[1].clone(),
        credentials: credentials(),
        candidates: vec![],
        nat: NatClass::default(),
    }
}

fn credentials() -> Credentials {
    Credentials {
        fragment: [1; 8],
        password: [1; 16],
    }
}
