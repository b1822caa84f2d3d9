//! Sending, with batches kept as batches.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use gimlet_proto::relay::runs::Run;
use quinn::udp::{EcnCodepoint, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};

use super::inlet::Inlet;
use super::plan::{MAX_BATCH, Plan};
use crate::counters::Counters;

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

    /// Sends what is planned on from where it lies, in as few calls as the system allows.
    pub(super) async fn send_planned(&mut self, plan: &mut Plan, inlet: &mut Inlet) {
        let segments = self.socket.max_transmit_segments();
        for index in 0..plan.len() {
            if let Some(send) = plan.batch(index, segments, inlet.memory()) {
                let bytes = &inlet.memory()[send.bytes()];
                self.send_batch(send.to, bytes, send.stride, send.ecn).await;
            }
        }
        plan.clear();
    }

    /// Sends a run on.
    pub(super) async fn forward(
        &mut self,
        to: SocketAddr,
        run: &Run<'_>,
        ecn: Option<EcnCodepoint>,
    ) {
        self.send_batch(to, run.bytes, run.stride, ecn).await;
    }

    async fn send_batch(
        &mut self,
        to: SocketAddr,
        bytes: &[u8],
        stride: usize,
        ecn: Option<EcnCodepoint>,
    ) {
        let segments = (self.socket.max_transmit_segments()).min(MAX_BATCH / stride);
        for batch in bytes.chunks(stride * segments.max(1)) {
            self.counters.relayed_batches.one();
            self.transmit(&Transmit {
                destination: to,
                ecn,
                contents: batch,
                segment_size: (batch.len() > stride).then_some(stride),
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
