//! A flood through a relay: one end sends batches as fast as it can, the other drains.
//!
//! Through a Gimlet server it takes a session between two peers, which sign in here by hand: the
//! client library would look at every packet, and cost more than the relay that is measured.

mod session;

use std::io::IoSliceMut;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use gimlet_net::socket;
use gimlet_net::transport::MAX_PEER_MTU;
use gimlet_proto::frame::{FrameKind, HEADER_LEN, header};
use quinn::AsyncUdpSocket;
use quinn::udp::{RecvMeta, Transmit};

use super::batch;
use session::{SESSION, Session};
pub(super) use session::{acceptance, bind_both, introduce, introduction};

/// Datagrams of one batch: as many full ones as a UDP length field has room for.
const SEGMENTS: usize = 44;

/// Batches sent before other tasks of this thread get their turn.
const TURN: usize = 16;

/// The two ends.
pub(super) struct Flood {
    source: Arc<dyn AsyncUdpSocket>,
    sink: Arc<dyn AsyncUdpSocket>,
    /// Keeps the session open; without a server there is none.
    _session: Option<Box<Session>>,
}

impl Flood {
    /// Binds both ends, and opens a session between them where there is a server.
    pub(super) async fn prepare(server: Option<&str>) -> anyhow::Result<Self> {
        let bind = || socket::bind((Ipv4Addr::LOCALHOST, 0).into(), false);
        let (source, sink) = (bind()?, bind()?);
        let session = match server {
            Some(server) => Some(Box::new(
                Session::open(&server.parse()?, &source, &sink).await?,
            )),
            None => None,
        };
        tokio::spawn(drain(sink.clone()));
        Ok(Self {
            source,
            sink,
            _session: session,
        })
    }

    /// Where the sink is, for a forwarder.
    pub(super) fn sink_addr(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.sink.local_addr()?)
    }

    /// Floods the relay at `to`.
    pub(super) async fn run(&self, to: SocketAddr, seconds: f64) -> anyhow::Result<()> {
        let source = self.source.clone();
        let until = Instant::now() + Duration::from_secs_f64(seconds);
        let flood = tokio::spawn(async move {
            let frame = HEADER_LEN + usize::from(MAX_PEER_MTU);
            let mut datagram = header(FrameKind::Data, SESSION).to_vec();
            // The first byte of a QUIC packet with a short header.
            datagram.resize(frame, 0x40);
            let batch = datagram.repeat(SEGMENTS);
            let transmit = Transmit {
                destination: to,
                ecn: None,
                contents: &batch,
                segment_size: Some(frame),
                src_ip: None,
            };
            let mut poller = source.clone().create_io_poller();
            while Instant::now() < until {
                for _ in 0..TURN {
                    batch::send(&*source, &mut poller, &transmit).await?;
                }
                tokio::task::yield_now().await;
            }
            anyhow::Ok(())
        });
        flood.await?.context("the flood")
    }
}

/// Takes what comes and looks at none of it.
async fn drain(sink: Arc<dyn AsyncUdpSocket>) -> std::io::Result<()> {
    const BUFFERS: usize = 4;
    let mut memory = vec![0; BUFFERS << 16];
    let mut metas = [RecvMeta::default(); BUFFERS];
    loop {
        std::future::poll_fn(|cx| {
            let mut chunks = memory.chunks_mut(1 << 16);
            let mut buffers: [IoSliceMut<'_>; BUFFERS] =
                std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
            sink.poll_recv(cx, &mut buffers, &mut metas)
        })
        .await?;
    }
}
