//! From virtual addresses to real ones.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;

use gimlet_proto::frame::{self, FrameKind};
use gimlet_proto::secret::SessionId;
use gimlet_proto::traversal::SocketId;
use quinn::udp::Transmit;

use super::link::FLOW;
use super::{PathSocket, Report, Target};
use crate::virtual_addr::VirtualAddr;

/// Most bytes in one GSO send: what a UDP datagram's length field can say, less headers.
const MAX_BATCH: usize = 65_000;

thread_local! {
    /// Where packets get their relay headers: one buffer per thread instead of one per packet.
    static FRAMES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl PathSocket {
    /// Sends one datagram that is not quinn's: STUN, or a whole relay frame. Lost when the socket
    /// is full, as it could be on any wire.
    pub fn send_plain(&self, socket: SocketId, remote: SocketAddr, datagram: &[u8]) {
        let transmit = Transmit {
            destination: remote,
            ecn: None,
            contents: datagram,
            segment_size: None,
            src_ip: None,
        };
        if self.hand_over(socket, &transmit).is_err() {
            self.counters.send_errors.add(1);
        }
    }

    /// Sends one datagram to a peer in a relay data frame.
    pub fn send_relayed(
        &self,
        socket: SocketId,
        server: SocketAddr,
        session: SessionId,
        datagram: &[u8],
    ) {
        let mut bytes = Vec::with_capacity(frame::HEADER_LEN + datagram.len());
        bytes.extend_from_slice(&frame::header(FrameKind::Data, session));
        bytes.extend_from_slice(datagram);
        self.send_plain(socket, server, &bytes);
    }

    pub(super) fn send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let table = self.table.load();
        let link = VirtualAddr::from_socket_addr(transmit.destination)
            .and_then(|addr| table.link(addr))
            .and_then(|link| Some((link, link.target()?)));
        let Some((link, target)) = link else {
            self.counters.no_route.add(1);
            return Ok(());
        };
        // Long ones are on their way when their path is left; QUIC finds out that it has to send shorter ones.
        if segment(transmit) > usize::from(link.longest()) {
            self.counters.too_long.add(1);
            return Ok(());
        }
        let sent = match target {
            Target::Server { socket, remote } => self.send_as_is(socket, remote, transmit),
            Target::Relay {
                socket,
                server,
                session,
            } => {
                self.counters
                    .relay_bytes_sent
                    .add(transmit.contents.len() as u64);
                self.send_framed(socket, server, session, transmit)
            }
            Target::Direct { socket, remote } => {
                self.counters
                    .direct_bytes_sent
                    .add(transmit.contents.len() as u64);
                self.send_as_is(socket, remote, transmit)
            }
        };
        let route = target.route();
        if transmit.contents.len() >= FLOW && route.is_some() && link.note_sending(self.clock.now())
        {
            self.report(Report::Flowing { link: link.clone() });
        }
        match (sent, route) {
            (Err(error), _) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
            (Err(_), route) => {
                self.counters.send_errors.add(1);
                if let Some(route) = route {
                    self.report(Report::SendFailed {
                        link: link.clone(),
                        route,
                    });
                }
            }
            (Ok(()), Some(route)) if link.note_sent(self.clock.now()) => {
                self.report(Report::Suspect {
                    link: link.clone(),
                    route,
                });
            }
            (Ok(()), _) => (),
        }
        self.send_copies(link, transmit);
        Ok(())
    }

    fn send_as_is(
        &self,
        socket: SocketId,
        remote: SocketAddr,
        transmit: &Transmit<'_>,
    ) -> io::Result<()> {
        let size = segment(transmit);
        if transmit.contents.len() <= MAX_BATCH || size == transmit.contents.len() {
            return self.hand_over(
                socket,
                &Transmit {
                    destination: remote,
                    src_ip: None,
                    ..transmit.clone()
                },
            );
        }
        let batches = transmit.contents.chunks((MAX_BATCH / size).max(1) * size);
        for (nth, contents) in batches.enumerate() {
            let batch = Transmit {
                destination: remote,
                ecn: transmit.ecn,
                contents,
                segment_size: (size < contents.len()).then_some(size),
                src_ip: None,
            };
            match self.hand_over(socket, &batch) {
                // As below.
                Err(error) if nth > 0 && error.kind() == io::ErrorKind::WouldBlock => break,
                sent => sent?,
            }
        }
        Ok(())
    }

    pub(super) fn send_framed(
        &self,
        socket: SocketId,
        server: SocketAddr,
        session: SessionId,
        transmit: &Transmit<'_>,
    ) -> io::Result<()> {
        let size = segment(transmit);
        let framed = size + frame::HEADER_LEN;
        let header = frame::header(FrameKind::Data, session);
        let per_batch = (MAX_BATCH / framed).max(1) * size;
        FRAMES.with_borrow_mut(|bytes| {
            for (nth, batch) in transmit.contents.chunks(per_batch).enumerate() {
                bytes.clear();
                for packet in batch.chunks(size) {
                    bytes.extend_from_slice(&header);
                    bytes.extend_from_slice(packet);
                }
                let sent = self.hand_over(
                    socket,
                    &Transmit {
                        destination: server,
                        ecn: transmit.ecn,
                        contents: bytes,
                        segment_size: transmit.segment_size.map(|_| framed),
                        src_ip: None,
                    },
                );
                match sent {
                    // quinn would send all of it again; the rest is lost as on any full wire.
                    Err(error) if nth > 0 && error.kind() == io::ErrorKind::WouldBlock => break,
                    sent => sent?,
                }
            }
            Ok(())
        })
    }

    fn hand_over(&self, socket: SocketId, transmit: &Transmit<'_>) -> io::Result<()> {
        match self.sockets.get(usize::from(socket.0)) {
            Some(socket) => socket.try_send(transmit),
            None => match self.extras.get(socket) {
                Some(socket) => socket.try_send(transmit),
                None => Err(io::ErrorKind::NotFound.into()),
            },
        }
    }
}

/// Bytes of each datagram of a batch but the last, which may be shorter.
fn segment(transmit: &Transmit<'_>) -> usize {
    let size = transmit.segment_size.unwrap_or(transmit.contents.len());
    size.max(1)
}
