//! How far the servers are, as [`Nearness`](crate::engine::nearness::Nearness) measures it.

use std::net::SocketAddr;
use std::time::Instant;

use gimlet_proto::traversal::SocketId;

use crate::control::{ServerId, ServerPlace};
use crate::engine::Engine;
use crate::engine::nearness::Measured;

impl Engine {
    /// Where a server is, as far as its name says.
    pub(in crate::engine) fn located(
        &mut self,
        server: ServerId,
        places: &[ServerPlace],
        now: Instant,
    ) {
        if places.is_empty() {
            self.servers.unmeasured.remove(&server);
            self.servers.publish();
        }
        let posts: Vec<_> = places.iter().map(|at| (at.socket, at.addr)).collect();
        match self.servers.asked_for {
            true => self.servers.nearness.add(server, &posts, now),
            false => self.servers.only = Some(posts),
        }
        self.drive_nearness(now);
    }

    /// Somebody wants to know how far the servers are.
    pub(in crate::engine) fn measure_servers(&mut self, now: Instant) {
        self.servers.asked_for = true;
        if let Some(posts) = self.servers.only.take() {
            self.servers.nearness.add(ServerId(0), &posts, now);
            self.drive_nearness(now);
        }
    }

    /// An answer to a measurement; `false` when it is none.
    pub(in crate::engine) fn handle_nearness(
        &mut self,
        socket: SocketId,
        remote: SocketAddr,
        datagram: &[u8],
        now: Instant,
    ) -> bool {
        let nearness = &mut self.servers.nearness;
        let ours = nearness.handle_datagram((socket, remote), datagram, now);
        if ours {
            self.drive_nearness(now);
        }
        ours
    }

    pub(super) fn drive_nearness(&mut self, now: Instant) {
        let nearness = &mut self.servers.nearness;
        nearness.handle_timeout(&mut rand::random, now);
        while let Some(((socket, remote), request)) = nearness.poll_transmit() {
            self.shared.socket.send_plain(socket, remote, &request);
        }
        while let Some(Measured { server, rtt }) = self.servers.nearness.poll_event() {
            self.servers.unmeasured.remove(&server);
            self.servers.roles.handle_measured(server, rtt, now);
            self.servers.stirred = true;
        }
    }
}
