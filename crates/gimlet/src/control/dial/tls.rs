//! Where UDP gets no answer: a tunnel to the server, and the handshake through it.

use std::net::{SocketAddr, SocketAddrV6};
use std::sync::Arc;

use gimlet_net::proxy::{Proxy, ProxyError};
use gimlet_net::tunnel::{Destination, Tunnel, TunnelError};
use gimlet_proto::address::ServerAddress;
use gimlet_proto::traversal::SocketId;
use tokio::task::JoinSet;

use super::{Dialled, STAGGER, ServerLink, ServerPlace, shake_hands};
use crate::endpoint::Shared;
use crate::error::SignInError;

/// A tunnel among the endpoint's sockets, closed when dropped.
#[derive(Debug)]
pub(crate) struct OpenTunnel {
    shared: Arc<Shared>,
    id: SocketId,
    tunnel: Arc<Tunnel>,
}

impl OpenTunnel {
    /// Its number among the endpoint's sockets.
    pub(crate) fn id(&self) -> SocketId {
        self.id
    }

    /// Waits until it carries nothing any more.
    pub(crate) fn ended(&self) -> impl Future<Output = ()> + Send + 'static {
        let ended = self.tunnel.ended();
        async move {
            ended.await;
        }
    }
}

impl Drop for OpenTunnel {
    fn drop(&mut self) {
        self.shared.socket.detach(self.id);
    }
}

/// A way to a server over TCP.
pub(super) struct Way {
    shared: Arc<Shared>,
    server: ServerAddress,
    /// Its addresses; what the proxy looks up has none.
    addrs: Vec<SocketAddr>,
    proxy: Option<Proxy>,
}

impl Way {
    /// The way to a server that is at `places` over UDP. `None` where there can be none.
    pub(super) fn new(
        shared: &Arc<Shared>,
        server: &ServerAddress,
        places: &[ServerPlace],
    ) -> Result<Option<Self>, SignInError> {
        if !shared.network.is_system() {
            return Ok(None);
        }
        let env = |name: &str| std::env::var(name).ok();
        let proxy = match &shared.proxy {
            Some(proxy) => Some(proxy.clone()),
            None => Proxy::from_environment(env, &server.host)?,
        };
        let mut addrs: Vec<_> = places.iter().map(|place| place.addr).collect();
        addrs.dedup();
        if proxy.is_some() {
            addrs.truncate(1);
        }
        let found = proxy.is_some() || !addrs.is_empty();
        Ok(found.then(|| Self {
            shared: shared.clone(),
            server: server.clone(),
            addrs,
            proxy,
        }))
    }

    /// Connects over the first address that answers.
    pub(super) async fn dial(self) -> Result<Dialled, SignInError> {
        let way = Arc::new(self);
        let mut attempts = JoinSet::new();
        let addrs: Vec<_> = match way.addrs.is_empty() {
            true => vec![None],
            false => way.addrs.iter().copied().map(Some).collect(),
        };
        for (nth, addr) in addrs.into_iter().enumerate() {
            let way = way.clone();
            attempts.spawn(async move {
                tokio::time::sleep(STAGGER * nth as u32).await;
                way.attempt(addr).await
            });
        }
        super::first(attempts, &way.server).await
    }

    async fn attempt(&self, addr: Option<SocketAddr>) -> Result<Dialled, SignInError> {
        // What a proxy has looked up has no address here; this one stands for it, and for nothing else.
        let nowhere = SocketAddrV6::new(gimlet_proto::tunnel::NOWHERE, self.server.port, 0, 0);
        let named = addr.unwrap_or(nowhere.into());
        let tls = self.shared.credential.tunnel_client(self.server.key);
        let tls = tls.map_err(|error| SignInError::Protocol {
            addr: named,
            detail: error.to_string(),
        })?;
        let port = self.server.tls_port();
        let destination = Destination {
            host: &self.server.host,
            port,
            addr: addr.map(|addr| SocketAddr::new(addr.ip(), port)),
            tls: Arc::new(tls),
            proxy: self.proxy.as_ref(),
        };
        let tunnel = Tunnel::connect(&destination, named).await;
        let tunnel = tunnel.map_err(|error| classify(error, named))?;
        let id = self.shared.socket.attach(tunnel.clone());
        let id = id.ok_or(SignInError::Unreachable { addr: named })?;
        self.shared.socket.adopt(id);
        let open = OpenTunnel {
            shared: self.shared.clone(),
            id,
            tunnel,
        };
        let place = ServerPlace {
            socket: id,
            addr: named,
        };
        let link = ServerLink::new(&self.shared, place);
        let mut dialled = shake_hands(&self.shared, &self.server, place, link).await?;
        dialled.tunnel = Some(open);
        Ok(dialled)
    }
}

fn classify(error: TunnelError, addr: SocketAddr) -> SignInError {
    match error {
        TunnelError::Tcp(_) | TunnelError::TimedOut => SignInError::Unreachable { addr },
        TunnelError::Proxy(error) => error.into(),
        TunnelError::Tls(error) => match error.get_ref().and_then(|e| e.downcast_ref()) {
            Some(rustls::Error::InvalidCertificate(
                rustls::CertificateError::Expired
                | rustls::CertificateError::ExpiredContext { .. }
                | rustls::CertificateError::NotValidYet
                | rustls::CertificateError::NotValidYetContext { .. },
            )) => SignInError::CertificateDate { addr },
            Some(rustls::Error::InvalidCertificate(_)) => SignInError::WrongKey { addr },
            Some(_) => foreign(addr, &error),
            // It broke off; firewalls do that to what they don't like.
            None => SignInError::Unreachable { addr },
        },
        error @ (TunnelError::Name | TunnelError::WebSocket(_)) => foreign(addr, &error),
    }
}

fn foreign(addr: SocketAddr, error: &dyn std::error::Error) -> SignInError {
    SignInError::Protocol {
        addr,
        detail: error.to_string(),
    }
}

impl From<ProxyError> for SignInError {
    fn from(error: ProxyError) -> Self {
        Self::Proxy(error)
    }
}
