//! A proxy that only copies: what two sockets more cost, without a session between them.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Bytes copied at once: as much as a socket's buffer gives.
const BUFFER: usize = 128 * 1024;

/// Copies until it is dropped.
pub(super) struct Proxy {
    pub(super) port: u16,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Leads to a port of this host.
    pub(super) async fn start(to: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let task = tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                tokio::spawn(copy(from, (Ipv4Addr::LOCALHOST, to).into()));
            }
        });
        Ok(Self { port, task })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn copy(mut from: TcpStream, to: SocketAddr) -> std::io::Result<()> {
    let mut to = TcpStream::connect(to).await?;
    from.set_nodelay(true)?;
    to.set_nodelay(true)?;
    copy_bidirectional_with_sizes(&mut from, &mut to, BUFFER, BUFFER).await?;
    Ok(())
}
