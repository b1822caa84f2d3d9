//! UDP over TLS over TCP, for where UDP is blocked: one more socket of quinn's kind.
//!
//! [`Tunnel`] is the client's end. Attached to a [`PathSocket`](crate::path::PathSocket), it carries
//! what UDP would have carried to the server: its control session, STUN and relay frames. The layout is
//! that of [`gimlet_proto::tunnel`]; [`Outbox`], [`Inbox`] and [`carry`] are the server's end as well.
//!
//! ```text
//!  quinn ─try_send─▶ Outbox ──╮                    ╭─▶ proxy ─▶╮
//!                             carry ── WebSocket ──┴── TLS ────┴─▶ server
//!  quinn ◀poll_recv─ Inbox ◀──╯
//! ```
//!
//! # Invariants
//!
//! - Nothing waits for the tunnel but the tunnel: a send that has no room drops the oldest packets, as
//!   a full wire would, and what quinn does not fetch stays in TCP, with the other side.
//! - What is not messages of packets ends the tunnel.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use gimlet_proto::tunnel::Role;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use tokio::sync::watch;
use tokio::task::AbortHandle;

mod carry;
mod connect;
mod framed;
mod inbox;
mod listen;
mod outbox;
mod pool;
mod tcp;
#[cfg(test)]
mod tests;

pub use carry::{Carrying, End, carry};
pub use connect::{Destination, TunnelError};
pub use inbox::{Inbox, Received, inbox};
pub use listen::listen;
pub use outbox::{Budget, Outbox};
pub use pool::Pool;
pub use tcp::{MAX_UNSENT, prepare};

/// Bytes that may wait to be sent, and grow old: at 100 Mbit/s what leaves in 80 ms. More would only make
/// packets older; less would lose bursts of one congestion window. On faster lines
/// [more](Outbox::new) leave in that time.
const MAX_WAITING: usize = 1 << 20;

/// How long the server may be silent: more than twice the time in which a control session without an
/// answer ends by itself, so this only ends tunnels that nobody uses.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// The client's end of a tunnel. See the [module docs](self).
#[derive(Debug)]
pub struct Tunnel {
    outbox: Arc<Outbox>,
    /// Only one task reads at a time.
    inbox: Mutex<Inbox>,
    local: SocketAddr,
    ended: watch::Receiver<Option<End>>,
    task: AbortHandle,
}

impl Tunnel {
    /// Connects to a server. What comes out of the tunnel is said to come from `server`, and all
    /// that is sent goes there.
    ///
    /// # Errors
    ///
    /// [`TunnelError`]: how far it came.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the connection is given up.
    pub async fn connect(
        destination: &Destination<'_>,
        server: SocketAddr,
    ) -> Result<Arc<Self>, TunnelError> {
        let (stream, local) = connect::connect(destination).await?;
        let pool = Pool::default();
        let outbox = Outbox::new(MAX_WAITING, Budget::unlimited(), pool.clone());
        let outbox = Arc::new(outbox);
        let (deliver, inbox) = inbox::inbox(pool.clone());
        let (end, ended) = watch::channel(None);
        let waiting = outbox.clone();
        let carrying = async move {
            let carrying = Carrying {
                role: Role::Client,
                outbox: &waiting,
                deliver: &deliver,
                from: server,
                pool: &pool,
                patience: IDLE_TIMEOUT,
            };
            let why = carry(stream, &carrying).await;
            tracing::debug!(?why, "tunnel ended");
            end.send_replace(Some(why));
        };
        Ok(Arc::new(Self {
            outbox,
            inbox: Mutex::new(inbox),
            local,
            ended,
            task: tokio::spawn(carrying).abort_handle(),
        }))
    }

    /// Waits until the tunnel carries nothing any more.
    pub fn ended(&self) -> impl Future<Output = End> + Send + 'static {
        let mut ended = self.ended.clone();
        async move {
            match ended.wait_for(Option::is_some).await.as_deref() {
                Ok(Some(end)) => *end,
                Ok(None) | Err(_) => End::Closed,
            }
        }
    }

    /// Packets dropped because the connection did not take them in time.
    pub fn dropped(&self) -> u64 {
        self.outbox.dropped()
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl AsyncUdpSocket for Tunnel {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.outbox.push(transmit.contents, transmit.segment_size);
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        Poll::Ready(Ok(ready!(inbox.poll_fill(cx, bufs, meta))))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

/// The outbox always takes what it is given.
#[derive(Debug)]
pub struct AlwaysWritable;

impl UdpPoller for AlwaysWritable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
