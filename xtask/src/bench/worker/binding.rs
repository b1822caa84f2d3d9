//! Bind frames sent by hand.

use std::io::IoSliceMut;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use gimlet_proto::frame::{encode_bind, encode_bound};
use gimlet_proto::secret::{RelaySecret, SessionId};
use quinn::AsyncUdpSocket;
use quinn::udp::{RecvMeta, Transmit};
use tokio::time::timeout;

use super::batch;

/// Bind frames sent at most: the relay learns of a session a moment after its peers.
const BINDS: u64 = 200;

/// How long one may take to be answered.
const PATIENCE: Duration = Duration::from_millis(50);

/// Asks until the relay says yes; before the control side has told it, it does not know us.
pub(super) async fn bind(
    server: SocketAddr,
    socket: &Arc<dyn AsyncUdpSocket>,
    session: SessionId,
    secret: &RelaySecret,
) -> anyhow::Result<()> {
    let mut poller = socket.clone().create_io_poller();
    for counter in 1..=BINDS {
        let transmit = Transmit {
            destination: server,
            ecn: None,
            contents: &encode_bind(session, counter, secret),
            segment_size: None,
            src_ip: None,
        };
        batch::send(&**socket, &mut poller, &transmit).await?;
        let bound = encode_bound(session, counter);
        if timeout(PATIENCE, heard(&**socket, &bound)).await.is_ok() {
            return Ok(());
        }
    }
    bail!("the relay does not bind the session")
}

/// Waits for this datagram, whatever else comes.
async fn heard(socket: &dyn AsyncUdpSocket, expected: &[u8]) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let mut meta = [RecvMeta::default()];
        let received = std::future::poll_fn(|cx| {
            socket.poll_recv(cx, &mut [IoSliceMut::new(&mut buffer)], &mut meta)
        });
        let Ok(1..) = received.await else { continue };
        let stride = meta[0].stride.max(1);
        if buffer[..meta[0].len].chunks(stride).any(|d| d == expected) {
            return;
        }
    }
}
