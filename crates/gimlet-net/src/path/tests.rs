//! The path socket over scripted sockets: what goes where, in which shape.

use super::*;
use gimlet_proto::frame::{self, FrameKind};
use std::collections::VecDeque;

const SERVER: &str = "203.0.113.1:3478";
const PEER: &str = "198.51.100.2:7000";
const STRANGER: &str = "192.0.2.66:1";
const SESSION: SessionId = SessionId([1, 2, 3, 4, 5, 6, 7, 8]);
const SOCKET: SocketId = SocketId(0);

#[test]
fn a_relayed_batch_leaves_as_one_batch_with_a_header_per_packet() {
    let t = Bench::new();
    t.link.set_target(Target::Relay {
        socket: SOCKET,
        server: addr(SERVER),
        session: SESSION,
    });
    t.send(&[[0x40; 100], [0x41; 100], [0x42; 100]].concat(), Some(100));

    let sent = t.wire.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!((sent[0].to, sent[0].segment), (addr(SERVER), Some(110)));
    let expected: Vec<u8> = [0x40, 0x41, 0x42]
        .into_iter()
        .flat_map(|byte| {
            [
                frame::header(FrameKind::Data, SESSION).to_vec(),
                vec![byte; 100],
            ]
        })
        .flatten()
        .collect();
    assert_eq!(sent[0].bytes, expected);
}

#[test]
fn a_direct_batch_leaves_untouched() {
    let t = Bench::new();
    t.link.set_target(Target::Direct {
        socket: SOCKET,
        remote: addr(PEER),
    });
    t.send(&[0x40; 300], Some(100));
    let sent = t.wire.sent();
    assert_eq!(
        (sent[0].to, sent[0].segment, sent[0].bytes.len()),
        (addr(PEER), Some(100), 300)
    );
}

#[test]
fn long_datagrams_leave_only_where_the_target_takes_them() {
    let t = Bench::new();
    let remote = addr(PEER);
    let socket = SOCKET;
    let direct = Target::Direct { socket, remote };
    t.link.set_target(direct);
    t.send(&[0x40; 1453], None);
    t.send(&[0x40; 2 * 1453], Some(1453));
    assert!(t.wire.sent().is_empty());
    assert_eq!(t.socket.counters().too_long, 2);
    t.send(&[0x40; 1452], None);
    assert_eq!(t.wire.sent().len(), 1);

    assert!(!t.link.set_target_for(direct, 65_488), "it is the same");
    t.send(&[0x40; 65_488], None);
    assert_eq!(t.wire.sent()[0].bytes.len(), 65_488);

    t.link.set_target(Target::Relay {
        socket: SOCKET,
        server: addr(SERVER),
        session: SESSION,
    });
    t.send(&[0x40; 65_488], None);
    assert!(t.wire.sent().is_empty());
    assert_eq!(t.socket.counters().too_long, 3);
}

#[test]
fn a_batch_of_long_datagrams_leaves_in_pieces_that_a_system_takes() {
    let t = Bench::new();
    let target = Target::Direct {
        socket: SOCKET,
        remote: addr(PEER),
    };
    for (size, whole, pieces) in [
        (8952, 10 * 8952, vec![7 * 8952, 3 * 8952]),
        (8952, 7 * 8952 + 5, vec![7 * 8952 + 5]),
        (8952, 8 * 8952 + 5, vec![7 * 8952, 8952 + 5]),
        (40_000, 90_000, vec![40_000, 40_000, 10_000]),
        (65_488, 2 * 65_488, vec![65_488, 65_488]),
    ] {
        t.link.set_target_for(target, 65_488);
        t.send(&vec![0x40; whole], Some(size));
        let sent = t.wire.sent();
        let lengths: Vec<_> = sent.iter().map(|sent| sent.bytes.len()).collect();
        assert_eq!(lengths, pieces);
        for sent in sent {
            let expected = (sent.bytes.len() > size).then_some(size);
            assert_eq!(sent.segment, expected);
        }
    }
}

#[test]
fn without_a_target_packets_are_dropped_and_counted() {
    let t = Bench::new();
    t.send(&[0x40; 100], None);
    assert!(t.wire.sent().is_empty());
    assert_eq!(t.socket.counters().no_route, 1);
}

#[test]
fn relayed_packets_come_up_under_the_links_address_as_one_batch() {
    let mut t = Bench::new();
    let batch = [
        frame_of(SESSION, &[0x40; 50]),
        frame_of(SESSION, &[0x41; 50]),
        frame_of(SESSION, &[0x42; 20]),
    ];
    t.wire.arrive(SERVER, &batch.concat(), 60);
    assert_eq!(
        t.receive(),
        [(
            t.link.addr(),
            [vec![0x40; 50], vec![0x41; 50], vec![0x42; 20]].concat(),
            50
        )]
    );
}

#[test]
fn two_links_in_one_batch_are_both_handed_up() {
    let mut t = Bench::new();
    let other = Link::new(VirtualAddr::new(9));
    let session = SessionId([9; 8]);
    t.socket.add_link(&other);
    t.socket.add_session(session, &other);
    t.wire.arrive(
        SERVER,
        &[
            frame_of(SESSION, &[0x40; 50]),
            frame_of(session, &[0x50; 50]),
        ]
        .concat(),
        60,
    );
    assert_eq!(t.receive(), [(t.link.addr(), vec![0x40; 50], 50)]);
    assert_eq!(t.receive(), [(other.addr(), vec![0x50; 50], 50)]);
}

#[test]
fn stun_in_the_middle_of_a_batch_goes_to_the_owner() {
    let mut t = Bench::new();
    t.socket.allow(SOCKET, addr(PEER), &t.link);
    t.wire
        .arrive(PEER, &[[0x40; 20], [0x00; 20], [0x41; 20]].concat(), 20);
    assert_eq!(
        t.receive(),
        [(t.link.addr(), [[0x40; 20], [0x41; 20]].concat(), 20)]
    );
    let report = t.reports.try_recv().unwrap();
    assert!(
        matches!(report, Report::Stun { via: Via::Direct { remote, .. }, .. } if remote == addr(PEER))
    );
}

#[test]
fn strangers_reach_quinn_with_nothing() {
    let mut t = Bench::new();
    t.wire.arrive(STRANGER, &[0x40; 30], 30);
    t.wire.arrive(STRANGER, &frame_of(SESSION, &[0x40; 30]), 40);
    t.wire.arrive(STRANGER, &[0x20; 30], 30);
    t.wire.arrive(SERVER, &[8, 77, 0, 0], 4);
    t.wire.arrive(STRANGER, &[], 0);
    assert_eq!(t.receive(), []);
    let counters = t.socket.counters();
    assert_eq!(
        (
            counters.stranger_quic,
            counters.bad_frame,
            counters.unknown_protocol
        ),
        (1, 2, 2),
        "an empty datagram counts too"
    );
    assert!(t.reports.try_recv().is_err());
}

#[test]
fn an_address_proven_for_one_link_is_not_given_to_another() {
    let t = Bench::new();
    let other = Link::new(VirtualAddr::new(9));
    assert!(t.socket.allow(SOCKET, addr(PEER), &t.link));
    assert!(!t.socket.allow(SOCKET, addr(PEER), &other));
    t.socket.disallow(SOCKET, addr(PEER), &other);
    assert!(!t.socket.allow(SOCKET, addr(PEER), &other));
    t.socket.disallow(SOCKET, addr(PEER), &t.link);
    assert!(t.socket.allow(SOCKET, addr(PEER), &other));
}

#[test]
fn data_of_an_unknown_session_is_offered_to_the_owner_and_later_injected() {
    let mut t = Bench::new();
    t.wire
        .arrive(SERVER, &frame_of(SessionId([7; 8]), &[0xc0; 40]), 50);
    assert_eq!(t.receive(), []);
    let Ok(Report::Unclaimed { session, datagram }) = t.reports.try_recv() else {
        panic!("no report")
    };
    assert_eq!(session, SessionId([7; 8]));
    t.socket.inject(&t.link, datagram);
    assert_eq!(t.receive(), [(t.link.addr(), vec![0xc0; 40], 40)]);
}

#[test]
fn a_refused_send_is_reported_and_not_quinns_business() {
    let mut t = Bench::new();
    t.link.set_target(Target::Direct {
        socket: SOCKET,
        remote: addr(PEER),
    });
    t.wire.fail_with(io::ErrorKind::NetworkUnreachable);
    t.send(&[0x40; 100], None);
    assert!(matches!(
        t.reports.try_recv(),
        Ok(Report::SendFailed { .. })
    ));

    t.wire.fail_with(io::ErrorKind::WouldBlock);
    let full = t.socket.try_send(&transmit(&t.link, &[0x40; 100], None));
    assert_eq!(full.unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn queues_are_bounded() {
    let mut t = Bench::new();
    for _ in 0..2 * MAX_REPORTS {
        t.wire.arrive(STRANGER, &[0; 20], 20);
        t.receive();
    }
    for _ in 0..2 * MAX_INJECTED {
        t.socket.inject(&t.link, vec![0x40; 10]);
    }
    assert_eq!(
        t.socket.counters().overflow as usize,
        MAX_REPORTS + MAX_INJECTED
    );
}

// --- bench: one link behind one scripted socket ---

struct Bench {
    socket: Arc<PathSocket>,
    reports: mpsc::Receiver<Report>,
    wire: Arc<Wire>,
    link: Arc<Link>,
}

impl Bench {
    fn new() -> Self {
        let wire = Arc::new(Wire::default());
        let (socket, reports) = PathSocket::new(vec![wire.clone()]);
        let server = Link::new(VirtualAddr::new(1));
        let link = Link::new(VirtualAddr::new(2));
        socket.add_link(&server);
        socket.add_server(SOCKET, addr(SERVER), &server);
        socket.add_link(&link);
        socket.add_session(SESSION, &link);
        Self {
            socket,
            reports,
            wire,
            link,
        }
    }

    fn send(&self, bytes: &[u8], segment: Option<usize>) {
        self.socket
            .try_send(&transmit(&self.link, bytes, segment))
            .unwrap();
    }

    /// What one call hands to quinn: address, bytes, stride.
    fn receive(&mut self) -> Vec<(VirtualAddr, Vec<u8>, usize)> {
        let mut storage = vec![vec![0; 4096]; 4];
        let mut bufs: Vec<_> = storage.iter_mut().map(|buf| IoSliceMut::new(buf)).collect();
        let mut meta = [RecvMeta::default(); 4];
        let mut cx = Context::from_waker(std::task::Waker::noop());
        match self.socket.poll_recv(&mut cx, &mut bufs, &mut meta) {
            Poll::Ready(count) => (0..count.unwrap())
                .filter(|&n| meta[n].len > 0)
                .map(|n| {
                    let addr =
                        VirtualAddr::from_socket_addr(meta[n].addr).expect("a virtual address");
                    (addr, bufs[n][..meta[n].len].to_vec(), meta[n].stride)
                })
                .collect(),
            Poll::Pending => Vec::new(),
        }
    }
}

fn transmit<'a>(link: &Link, contents: &'a [u8], segment_size: Option<usize>) -> Transmit<'a> {
    Transmit {
        destination: link.addr().to_socket_addr(),
        ecn: None,
        contents,
        segment_size,
        src_ip: None,
    }
}

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn frame_of(session: SessionId, payload: &[u8]) -> Vec<u8> {
    [&frame::header(FrameKind::Data, session)[..], payload].concat()
}

struct Sent {
    to: SocketAddr,
    bytes: Vec<u8>,
    segment: Option<usize>,
}

#[derive(Default)]
struct Wire {
    sent: Mutex<Vec<Sent>>,
    arriving: Mutex<VecDeque<(SocketAddr, Vec<u8>, usize)>>,
    failure: Mutex<Option<io::ErrorKind>>,
}

impl Wire {
    fn sent(&self) -> Vec<Sent> {
        std::mem::take(&mut self.sent.lock().unwrap())
    }

    fn arrive(&self, from: &str, bytes: &[u8], stride: usize) {
        self.arriving
            .lock()
            .unwrap()
            .push_back((addr(from), bytes.to_vec(), stride));
    }

    fn fail_with(&self, kind: io::ErrorKind) {
        *self.failure.lock().unwrap() = Some(kind);
    }
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wire")
    }
}

impl AsyncUdpSocket for Wire {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        if let Some(kind) = *self.failure.lock().unwrap() {
            return Err(kind.into());
        }
        self.sent.lock().unwrap().push(Sent {
            to: transmit.destination,
            bytes: transmit.contents.to_vec(),
            segment: transmit.segment_size,
        });
        Ok(())
    }

    fn poll_recv(
        &self,
        _cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let Some((addr, bytes, stride)) = self.arriving.lock().unwrap().pop_front() else {
            return Poll::Pending;
        };
        bufs[0][..bytes.len()].copy_from_slice(&bytes);
        meta[0] = RecvMeta {
            addr,
            len: bytes.len(),
            stride,
            ecn: None,
            dst_ip: None,
        };
        Poll::Ready(Ok(1))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(addr("0.0.0.0:7000"))
    }
}

/// A poller of a socket that is never full.
#[derive(Debug)]
struct AlwaysWritable;

impl UdpPoller for AlwaysWritable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
