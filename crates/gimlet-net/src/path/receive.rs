//! From real addresses to virtual ones: sorts what came in, batch by batch.

use std::io::IoSliceMut;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use gimlet_proto::demux::{self, Kind};
use gimlet_proto::frame::{Frame, FrameKind, HEADER_LEN};
use gimlet_proto::traversal::{Route, SocketId};
use quinn::udp::RecvMeta;

use super::table::Table;
use super::{Link, PathSocket, Report, Target, Via};
use crate::virtual_addr::VirtualAddr;

impl PathSocket {
    /// When QUIC last came over the selected direct path of `link`, or, for a server's, from where its
    /// target is, if ever.
    pub fn heard_at(&self, link: &Link) -> Option<std::time::Instant> {
        self.clock.instant(link.heard_at())
    }

    /// When more than a few bytes of QUIC last came for `link`, over any path, if ever.
    pub fn flowed_at(&self, link: &Link) -> Option<std::time::Instant> {
        self.clock.instant(link.flowed_at())
    }

    /// When much QUIC last left for a peer.
    pub fn sent_at(&self, link: &Link) -> Option<std::time::Instant> {
        self.clock.instant(link.sent_at())
    }

    /// When anything of QUIC last came from a peer.
    pub fn came_at(&self, link: &Link) -> Option<std::time::Instant> {
        self.clock.instant(link.came_at())
    }

    /// Whether what was sent to a peer is unanswered for longer than it may be; told once a patience.
    pub fn is_overdue(&self, link: &Link) -> bool {
        link.is_overdue(self.clock.now())
    }

    /// When QUIC last came for `link` over the relay session that its packets take, if ever.
    pub fn relayed_at(&self, link: &Link) -> Option<std::time::Instant> {
        self.clock.instant(link.relayed_at())
    }

    /// How long something that was sent to a peer has been without any echo.
    pub fn unanswered_for(&self, link: &Link) -> Option<std::time::Duration> {
        link.unanswered_for(self.clock.now())
    }

    fn note_flow(&self, link: &Arc<Link>, bytes: usize) {
        if link.note_came(self.clock.now(), bytes) {
            self.report(Report::Flowing { link: link.clone() });
        }
    }

    /// Leaves in `bufs` what is quinn's, under virtual addresses. Buffers with nothing for quinn
    /// get the length 0, which quinn skips. Returns whether there is anything.
    pub(super) fn sort(
        &self,
        socket: SocketId,
        table: &Table,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> bool {
        let mut any = false;
        for (buf, meta) in bufs.iter_mut().zip(meta) {
            if meta.len == 0 {
                self.counters.unknown_protocol.add(1);
            }
            meta.stride = meta.stride.clamp(1, meta.len.max(1));
            meta.dst_ip = None;
            let data = &mut buf[..meta.len];
            match is_all_quic(data, meta.stride) {
                true => self.sort_quic(socket, table, meta),
                false => self.sort_mixed(socket, table, data, meta),
            }
            any |= meta.len > 0;
        }
        any
    }

    /// The usual batch: QUIC and nothing else, from one address.
    fn sort_quic(&self, socket: SocketId, table: &Table, meta: &mut RecvMeta) {
        match table.of_remote(socket, meta.addr) {
            Some(link) => {
                self.note_direct(socket, meta.addr, meta.len, link);
                meta.addr = link.addr().to_socket_addr();
            }
            None => {
                self.counters
                    .stranger_quic
                    .add(meta.len.div_ceil(meta.stride) as u64);
                meta.len = 0;
            }
        }
    }

    /// A batch with anything else in it, datagram by datagram.
    fn sort_mixed(&self, socket: SocketId, table: &Table, data: &mut [u8], meta: &mut RecvMeta) {
        let (from, stride, len) = (meta.addr, meta.stride, meta.len);
        let mut kept = Kept::default();
        let mut start = 0;
        while start < len {
            let end = (start + stride).min(len);
            let datagram = start..end;
            start = end;
            match demux::classify(&data[datagram.clone()]) {
                Some(Kind::Quic) => match table.of_remote(socket, from) {
                    Some(link) => {
                        self.note_direct(socket, from, datagram.len(), link);
                        self.keep(&mut kept, link, data, datagram);
                    }
                    None => self.counters.stranger_quic.add(1),
                },
                Some(Kind::Stun) => self.report(Report::Stun {
                    via: Via::Direct {
                        socket,
                        remote: from,
                    },
                    datagram: data[datagram].to_vec(),
                }),
                Some(Kind::Frame) if table.is_server(socket, from) => {
                    self.sort_frame(table, &mut kept, data, datagram);
                }
                Some(Kind::Frame) => self.counters.bad_frame.add(1),
                None => self.counters.unknown_protocol.add(1),
            }
        }
        meta.len = kept.len;
        meta.stride = kept.stride.max(1);
        if let Some(addr) = kept.addr {
            meta.addr = addr.to_socket_addr();
        }
    }

    fn sort_frame(&self, table: &Table, kept: &mut Kept, data: &mut [u8], whole: Range<usize>) {
        let Some(frame) = Frame::decode(&data[whole.clone()]) else {
            self.counters.bad_frame.add(1);
            return;
        };
        let session = frame.session;
        match (frame.kind, demux::classify(frame.payload)) {
            (FrameKind::Data, Some(Kind::Quic)) => match table.of_session(session) {
                Some(link) => {
                    if link.note_relayed(session, self.clock.now()) {
                        let link = link.clone();
                        self.report(Report::Relayed { link, session });
                    }
                    self.note_flow(link, frame.payload.len());
                    self.counters
                        .relay_bytes_received
                        .add(frame.payload.len() as u64);
                    self.keep(kept, link, data, whole.start + HEADER_LEN..whole.end);
                }
                None => {
                    let datagram = frame.payload.to_vec();
                    self.report(Report::Unclaimed { session, datagram });
                }
            },
            (FrameKind::Data, Some(Kind::Stun)) => self.report(Report::Stun {
                via: Via::Relay(session),
                datagram: frame.payload.to_vec(),
            }),
            (FrameKind::Data, Some(Kind::Frame) | None) | (FrameKind::Bind, _) => {
                self.counters.bad_frame.add(1);
            }
            (kind @ (FrameKind::Bound | FrameKind::Unknown), _) => {
                let payload = frame.payload.to_vec();
                self.report(Report::Frame {
                    kind,
                    session,
                    payload,
                });
            }
        }
    }

    /// Moves a datagram to the front of its buffer for quinn, or around it where the buffer
    /// already holds another link's or a shape that one batch cannot have.
    fn keep(&self, kept: &mut Kept, link: &Link, data: &mut [u8], datagram: Range<usize>) {
        if kept.takes(link.addr(), datagram.len()) {
            data.copy_within(datagram.clone(), kept.len);
            kept.len += datagram.len();
        } else {
            self.inject(link, data[datagram].to_vec());
        }
    }

    fn note_direct(&self, socket: SocketId, from: SocketAddr, bytes: usize, link: &Arc<Link>) {
        self.counters.direct_bytes_received.add(bytes as u64);
        self.note_flow(link, bytes);
        if link.target().and_then(Target::place) == Some((socket, from))
            && link.note_heard(self.clock.now())
        {
            let route = Route::Direct {
                socket,
                remote: from,
            };
            self.report(Report::Heard {
                link: link.clone(),
                route,
            });
        }
    }
}

fn is_all_quic(data: &[u8], stride: usize) -> bool {
    !data.is_empty()
        && data
            .chunks(stride)
            .all(|datagram| demux::classify(datagram) == Some(Kind::Quic))
}

/// What of one buffer is left for quinn: datagrams of one link, all of one length but the last.
#[derive(Debug, Default)]
struct Kept {
    addr: Option<VirtualAddr>,
    stride: usize,
    len: usize,
    /// A shorter datagram ends a batch.
    ended: bool,
}

impl Kept {
    fn takes(&mut self, addr: VirtualAddr, len: usize) -> bool {
        match self.addr {
            None => {
                self.addr = Some(addr);
                self.stride = len;
                true
            }
            Some(held) if held == addr && !self.ended && len <= self.stride => {
                self.ended = len < self.stride;
                true
            }
            Some(_) => false,
        }
    }
}
