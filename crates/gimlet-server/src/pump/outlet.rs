//! Sending, with batches kept as batches.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use gimlet_proto::relay::runs::Run;
use quinn::udp::{EcnCodepoint, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};

use crate::counters::Counters;

/// Most bytes of one batch: a UDP datagram's length field counts the whole of it, less 48 bytes of
/// UDP and IPv6 headers.
const MAX_BATCH: usize = 65_535 - 48;

/// Sends on one socket, waiting for room where the system has none: the receive buffer then fills
/// and drops, which is what tells senders to slow down.
pub(crate) struct Outlet {
    socket: Arc<dyn AsyncUdpSocket>,
    poller: Pin<Box<dyn UdpPoller>>,
    counters: Arc<Counters>,
}

impl Outlet {
    pub(crate) fn new(socket: Arc<dyn AsyncUdpSocket>, counters: Arc<Counters>) -> Self {
        let poller = socket.clone().create_io_poller();
        Self {
            socket,
            poller,
            counters,
        }
    }

    /// Sends one datagram. An answer leaves from the address that was asked.
    pub(crate) async fn send(&mut self, to: SocketAddr, datagram: &[u8], from: Option<IpAddr>) {
        self.transmit(&Transmit {
            destination: to,
            ecn: None,
            contents: datagram,
            segment_size: None,
            src_ip: from,
        })
        .await;
    }

    /// Sends a run on from where it lies, in as few calls as the system allows.
    pub(super) async fn forward(
        &mut self,
        to: SocketAddr,
        run: &Run<'_>,
        ecn: Option<EcnCodepoint>,
    ) {
        let segments = self
            .socket
            .max_transmit_segments()
            .min(MAX_BATCH / run.stride);
        for batch in run.bytes.chunks(run.stride * segments.max(1)) {
            self.counters.relayed_batches.one();
            self.transmit(&Transmit {
                destination: to,
                ecn,
                contents: batch,
                segment_size: (batch.len() > run.stride).then_some(run.stride),
                src_ip: None,
            })
            .await;
        }
    }

    async fn transmit(&mut self, transmit: &Transmit<'_>) {
        loop {
            match self.socket.try_send(transmit) {
                Ok(()) => return,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
                Err(error) => {
                    tracing::trace!(%error, to = %transmit.destination, "send failed");
                    return self.counters.send_failed.one();
                }
            }
            let poller = &mut self.poller;
            let writable = std::future::poll_fn(|cx| poller.as_mut().poll_writable(cx));
            if writable.await.is_err() {
                return self.counters.send_failed.one();
            }
        }
    }
}
