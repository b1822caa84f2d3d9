//! Scenarios in virtual time: the races of an introduction, and what strangers can do.

mod lanes;
mod limits;

use super::limits::{Limits, ThrottleReason};
use super::*;
use crate::frame::{HEADER_LEN, encode_bind, header};
use crate::id::{ConnId, PeerId};
use crate::secret::RelaySecret;
use proptest::prelude::*;

const SESSION: SessionId = SessionId([7; 8]);
const SECRET_A: RelaySecret = RelaySecret([0xa; 32]);
const SECRET_B: RelaySecret = RelaySecret([0xb; 32]);
const A: Control = control(1, 1);
const B: Control = control(2, 2);

#[test]
fn data_between_bound_sides_goes_on_as_it_came() {
    let mut t = Bench::open();
    assert_eq!(t.data(addr(1), 5), Action::Forward { to: addr(2) });
    assert_eq!(t.data(addr(2), 3), Action::Forward { to: addr(1) });
    t.command(Command::Close { session: SESSION });
    assert_eq!(
        t.ended(),
        (EndReason::Closed, [traffic(5, 500), traffic(3, 300)])
    );
    assert_eq!(t.data(addr(1), 1), Action::Held, "it may be opened anew");
}

#[test]
fn a_bind_frame_is_answered_and_its_repetition_too() {
    let mut t = Bench::asked();
    let bound = Action::Answer(Answer::Bound(frame::encode_bound(SESSION, 1)));
    assert_eq!(t.bind(addr(1), 1, &SECRET_A), bound);
    assert_eq!(t.bind(addr(1), 1, &SECRET_A), bound);
}

#[test]
fn what_a_dialer_sends_before_its_introduction_waits_for_it() {
    let mut t = Bench::signed_in();
    assert_eq!(t.data(addr(1), 2), Action::Held);
    assert_eq!(t.bind(addr(1), 1, &SECRET_A), Action::Held);
    assert_eq!(t.transmits(), []);

    t.command(open());
    let to: Vec<_> = t.transmits().into_iter().map(|(to, _)| to).collect();
    assert_eq!(
        to,
        [addr(1), addr(2), addr(2)],
        "the bind's answer, then the data to where the accepting side signed in from"
    );
}

#[test]
fn what_the_accepting_side_sends_before_its_acceptance_waits_for_it() {
    let mut t = Bench::asked();
    t.bind(addr(1), 1, &SECRET_A);
    assert_eq!(t.data(addr(2), 1), Action::Held);
    assert_eq!(t.bind(addr(2), 1, &SECRET_B), Action::Held);
    t.command(accept());
    let to: Vec<_> = t.transmits().into_iter().map(|(to, _)| to).collect();
    assert_eq!(to, [addr(2), addr(1)]);
}

#[test]
fn what_waits_in_vain_is_answered_unknown_once() {
    let mut t = Bench::signed_in();
    t.data(addr(1), 3);
    t.advance(held::HOLD_TIME);
    let answer = header(FrameKind::Unknown, SESSION).to_vec();
    assert_eq!(t.transmits(), [(addr(1), answer)]);
    assert_eq!(t.sut.held.len(), 0);
    assert_eq!(t.sut.poll_timeout(), None);
}

#[test]
fn a_rebinding_heals_itself_and_the_old_address_is_let_go() {
    let mut t = Bench::open();
    assert_eq!(t.data(addr(9), 1), unknown(SESSION));
    assert!(matches!(t.bind(addr(9), 2, &SECRET_A), Action::Answer(_)));
    assert_eq!(t.data(addr(9), 1), Action::Forward { to: addr(2) });
    assert_eq!(t.data(addr(2), 1), Action::Forward { to: addr(9) });
    assert_eq!(t.data(addr(1), 1), unknown(SESSION));
}

#[test]
fn a_replayed_bind_frame_moves_nothing() {
    let mut t = Bench::open();
    t.bind(addr(1), 5, &SECRET_A);
    for counter in [1, 4, 5] {
        let replayed = t.bind(addr(66), counter, &SECRET_A);
        assert_eq!(replayed, Action::Dropped(Dropped::StaleBind));
    }
    assert_eq!(t.data(addr(2), 1), Action::Forward { to: addr(1) });
}

#[test]
fn a_bind_frame_without_the_secret_moves_nothing() {
    let mut t = Bench::open();
    let spoofed = t.bind(addr(66), 100, &RelaySecret([0; 32]));
    assert_eq!(spoofed, unknown(SESSION));
    assert_eq!(t.data(addr(2), 1), Action::Forward { to: addr(1) });
}

#[test]
fn one_side_can_not_bind_the_other() {
    let mut t = Bench::open();
    t.bind(addr(66), 9, &SECRET_A);
    assert_eq!(t.data(addr(1), 1), unknown(SESSION));
    assert_eq!(t.data(addr(66), 1), Action::Forward { to: addr(2) });
}

#[test]
fn a_third_signed_in_peer_gets_nothing_through() {
    let mut t = Bench::open();
    t.command(Command::ControlAt {
        control: control(3, 3),
        address: addr(3),
    });
    assert_eq!(t.data(addr(3), 1), unknown(SESSION));
    assert_eq!(t.bind(addr(3), 9, &RelaySecret([3; 32])), unknown(SESSION));
}

#[test]
fn guessing_session_ids_draws_few_answers_no_longer_than_the_question() {
    let mut t = Bench::open();
    let mut answered = 0;
    for guess in 0..10_000u64 {
        let session = SessionId(guess.to_be_bytes());
        match t.frame(addr(66), &header(FrameKind::Data, session)) {
            Action::Answer(answer) => {
                assert!(answer.as_bytes().len() <= HEADER_LEN);
                answered += 1;
            }
            Action::Dropped(Dropped::Unknown) => (),
            other => panic!("a guess must lead nowhere: {other:?}"),
        }
    }
    assert!(answered <= 40, "{answered}");
}

#[test]
fn holding_is_bounded_by_session_by_source_and_in_all() {
    let mut t = Bench::signed_in();
    assert_eq!(t.data(addr(1), held::MAX_PER_SESSION), Action::Held);
    assert_eq!(t.data(addr(1), 1), unknown(SESSION));
    for n in 0..5000u64 {
        let session = SessionId(n.to_be_bytes());
        t.frame(addr(1), &header(FrameKind::Data, session));
    }
    assert_eq!(t.sut.held.len(), held::MAX_PER_SOURCE);
    for n in 0..2000u16 {
        let address = addr(1000 + n);
        let control = control(9, 1000 + u64::from(n));
        t.command(Command::ControlAt { control, address });
        let session = SessionId(u64::from(n).to_le_bytes());
        t.frame(address, &header(FrameKind::Data, session));
    }
    assert!(t.sut.held.len() <= held::MAX_TOTAL);
    t.advance(held::HOLD_TIME);
    assert_eq!(t.sut.held.len(), 0);
}

#[test]
fn a_session_lives_on_without_control_sessions_until_it_is_idle() {
    let mut t = Bench::open();
    t.command(Command::ControlGone { control: A });
    t.command(Command::ControlGone { control: B });
    for _ in 0..10 {
        t.advance(Duration::from_secs(15));
        assert_eq!(t.data(addr(1), 1), Action::Forward { to: addr(2) });
    }
    t.advance(Duration::from_secs(59));
    assert_eq!(t.sut.len(), 1);
    t.advance(Duration::from_secs(6));
    assert_eq!(t.ended().0, EndReason::Idle);
    assert_eq!(t.sut.poll_timeout(), None);
}

#[test]
fn an_unbound_side_is_reached_where_it_signed_in_or_not_at_all() {
    let mut t = Bench::asked();
    t.bind(addr(1), 1, &SECRET_A);
    assert_eq!(t.data(addr(1), 1), Action::Forward { to: addr(2) });
    t.command(Command::ControlAt {
        control: B,
        address: addr(22),
    });
    assert_eq!(t.data(addr(1), 1), Action::Forward { to: addr(22) });
    t.command(Command::ControlGone { control: B });
    assert_eq!(t.data(addr(1), 1), Action::Dropped(Dropped::NoRoute));
}

#[test]
fn each_control_session_of_a_peer_is_reached_where_it_is() {
    let mut t = Bench::signed_in();
    let (first, second) = (control(1, 11), control(1, 12));
    for (control, n) in [(first, 11), (second, 12)] {
        let address = addr(n);
        t.command(Command::ControlAt { control, address });
    }
    // Both dial B, which answers each before it has bound.
    for (dialer, n) in [(first, 11), (second, 12)] {
        let session = SessionId([n; 8]);
        t.command(Command::Open {
            session,
            dialer,
            secret: SECRET_A,
            acceptor: B,
        });
        t.command(Command::Accept {
            session,
            secret: SECRET_B,
        });
        t.frame(addr(2), &encode_bind(session, 1, &SECRET_B));
        let to = addr(n.into());
        let data = header(FrameKind::Data, session);
        assert_eq!(t.frame(addr(2), &data), Action::Forward { to });
    }
}

#[test]
fn a_side_whose_control_session_is_gone_is_reached_at_its_newest_one() {
    let mut t = Bench::asked();
    t.bind(addr(1), 1, &SECRET_A);
    let again = control(2, 30);
    t.command(Command::ControlAt {
        control: again,
        address: addr(30),
    });
    assert_eq!(t.data(addr(1), 1), Action::Forward { to: addr(2) });
    t.command(Command::ControlGone { control: B });
    assert_eq!(t.data(addr(1), 1), Action::Forward { to: addr(30) });
    // It may also be early from there, and binds by its secret alone.
    assert_eq!(t.bind(addr(30), 1, &SECRET_B), Action::Held);
    t.command(accept());
    assert_eq!(t.data(addr(1), 1), Action::Forward { to: addr(30) });
    t.command(Command::ControlGone { control: again });
    assert_eq!(t.data(addr(1), 1), Action::Forward { to: addr(30) });
}

#[test]
fn a_reconnect_through_the_same_socket_outlives_the_connection_before() {
    let mut t = Bench::asked();
    t.bind(addr(1), 1, &SECRET_A);
    t.command(Command::ControlAt {
        control: control(2, 30),
        address: addr(2),
    });
    t.command(Command::ControlGone { control: B });
    assert_eq!(t.data(addr(1), 1), Action::Forward { to: addr(2) });
}

#[test]
fn frames_that_only_servers_send_are_dropped() {
    let mut t = Bench::open();
    for kind in [FrameKind::Bound, FrameKind::Unknown] {
        // Of a session that is known as of one that is not, from whomever: an answer to another server
        // would be answered in turn.
        for (from, session) in [
            (1, SESSION),
            (1, SessionId([9; 8])),
            (99, SessionId([9; 8])),
        ] {
            let dropped = t.frame(addr(from), &header(kind, session));
            assert_eq!(dropped, Action::Dropped(Dropped::NotForServers));
        }
    }
}

#[test]
fn a_full_table_says_so() {
    let config = Config {
        max_sessions: 0,
        ..Config::default()
    };
    let mut t = Bench::new(config);
    t.command(open());
    assert_eq!(t.ended().0, EndReason::Full);
    assert_eq!(t.sut.len(), 0);
}

#[derive(Debug, Clone)]
enum Step {
    Frame {
        from: u16,
        session: u8,
        kind: u8,
        secret: u8,
        counter: u64,
    },
    Open(u8),
    Accept(u8),
    Close(u8),
    Place(u8, u16),
    Gone(u8),
    Wait(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1u16..6, 0u8..3, 0u8..4, 0u8..3, 0u64..6).prop_map(
            |(from, session, kind, secret, counter)| Step::Frame { from, session, kind, secret, counter }),
        1 => (0u8..3).prop_map(Step::Open),
        1 => (0u8..3).prop_map(Step::Accept),
        1 => (0u8..3).prop_map(Step::Close),
        1 => (0u8..6, 1u16..6).prop_map(|(which, at)| Step::Place(which, at)),
        1 => (0u8..6).prop_map(Step::Gone),
        1 => (0u16..2000).prop_map(Step::Wait),
    ]
}

proptest! {
    /// Whatever happens in whatever order: data only ever reaches an address that some control
    /// session or some valid bind frame of a side stood for, and nothing piles up.
    #[test]
    fn data_reaches_only_addresses_that_a_side_proved(steps in proptest::collection::vec(step(), 0..120)) {
        let mut t = Bench::new(Config::default());
        // Addresses 1..=3 prove themselves: by sign-in, or by a bind frame with a side's secret.
        let mut proved = std::collections::BTreeSet::new();
        for step in steps {
            match step {
                Step::Frame { from, session, kind, secret, counter } => {
                    let id = SessionId([session; 8]);
                    let secret_of = RelaySecret([secret + 10; 32]);
                    let datagram = match kind {
                        1 => {
                            if secret < 2 { proved.insert(addr(from)); }
                            encode_bind(id, counter, &secret_of).to_vec()
                        }
                        kind => [&[8, kind][..], &id.0, b"payload"].concat(),
                    };
                    if let Action::Forward { to } = t.frame(addr(from), &datagram) {
                        prop_assert!(proved.contains(&to));
                    }
                }
                Step::Open(n) => t.command(Command::Open {
                    session: SessionId([n; 8]),
                    dialer: A,
                    secret: RelaySecret([10; 32]),
                    acceptor: B,
                }),
                Step::Accept(n) => t.command(Command::Accept {
                    session: SessionId([n; 8]),
                    secret: RelaySecret([11; 32]),
                }),
                Step::Close(n) => t.command(Command::Close { session: SessionId([n; 8]) }),
                Step::Place(which, at) => {
                    proved.insert(addr(at));
                    t.command(Command::ControlAt { control: any_control(which), address: addr(at) });
                }
                Step::Gone(which) => t.command(Command::ControlGone { control: any_control(which) }),
                Step::Wait(ms) => t.advance(Duration::from_millis(ms.into())),
            }
            for (to, datagram) in t.transmits() {
                let frame = Frame::decode(&datagram).unwrap();
                prop_assert!(frame.kind != FrameKind::Data || proved.contains(&to));
            }
        }
        let (controls, addresses) = t.sut.controls.len();
        prop_assert_eq!(controls, addresses);
        prop_assert!(controls <= 6 && t.sut.len() <= 3);
        t.advance(Duration::from_secs(70));
        t.advance(Duration::from_secs(70));
        prop_assert_eq!((t.sut.len(), t.sut.held.len()), (0, 0));
    }
}

// --- bench: a virtual clock around one machine ---

struct Bench {
    sut: Relay,
    now: Instant,
}

impl Bench {
    fn new(config: Config) -> Self {
        let now = Instant::now();
        let sut = Relay::new(config, 7, now);
        Self { sut, now }
    }

    /// A at address 1 and B at address 2 are signed in.
    fn signed_in() -> Self {
        let mut bench = Self::new(Config::default());
        for (control, n) in [(A, 1), (B, 2)] {
            let address = addr(n);
            bench.command(Command::ControlAt { control, address });
        }
        bench
    }

    /// A asked for B, and B was told.
    fn asked() -> Self {
        let mut bench = Self::signed_in();
        bench.command(open());
        bench
    }

    /// Accepted, and both sides bound.
    fn open() -> Self {
        let mut bench = Self::asked();
        bench.command(accept());
        bench.bind(addr(1), 1, &SECRET_A);
        bench.bind(addr(2), 1, &SECRET_B);
        bench
    }

    fn command(&mut self, command: Command) {
        self.sut.handle_command(command, self.now);
    }

    fn frame(&mut self, from: SocketAddr, datagram: &[u8]) -> Action {
        let frame = Frame::decode(datagram).expect("a frame");
        let run = Run::single(datagram);
        self.sut.handle(from, &frame, &run, self.now)
    }

    fn bind(&mut self, from: SocketAddr, counter: u64, secret: &RelaySecret) -> Action {
        self.frame(from, &encode_bind(SESSION, counter, secret))
    }

    /// A batch of `count` data frames of 100 bytes.
    fn data(&mut self, from: SocketAddr, count: usize) -> Action {
        let mut datagram = header(FrameKind::Data, SESSION).to_vec();
        datagram.resize(100, 0);
        let batch = datagram.repeat(count);
        let mut runs = runs::runs(&batch, 100);
        let run = runs.next().expect("a run");
        assert_eq!(runs.next(), None);
        let frame = Frame::decode(run.bytes).expect("a frame");
        self.sut.handle(from, &frame, &run, self.now)
    }

    fn advance(&mut self, by: Duration) {
        self.now += by;
        self.sut.handle_timeout(self.now);
    }

    fn transmits(&mut self) -> Vec<(SocketAddr, Vec<u8>)> {
        let next = || self.sut.poll_transmit();
        std::iter::from_fn(next)
            .map(|transmit| (transmit.to, transmit.datagram))
            .collect()
    }

    fn ended(&mut self) -> (EndReason, [Traffic; 2]) {
        let Some(Event::Ended {
            reason, relayed, ..
        }) = self.sut.poll_event()
        else {
            panic!("a session ended");
        };
        (reason, relayed)
    }
}

fn open() -> Command {
    Command::Open {
        session: SESSION,
        dialer: A,
        secret: SECRET_A,
        acceptor: B,
    }
}

fn accept() -> Command {
    Command::Accept {
        session: SESSION,
        secret: SECRET_B,
    }
}

const fn control(peer: u8, conn: u64) -> Control {
    Control {
        peer: PeerId::from_bytes([peer; 32]),
        conn: ConnId(conn),
    }
}

/// One of two control sessions of each of three peers.
fn any_control(which: u8) -> Control {
    control(1 + which % 3, 1 + u64::from(which))
}

fn addr(n: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], n))
}

fn unknown(session: SessionId) -> Action {
    Action::Answer(Answer::unknown(session))
}

fn traffic(packets: u64, bytes: u64) -> Traffic {
    Traffic { packets, bytes }
}
