//! The relay of a small server: commands in any order, and frames from anybody.
//!
//! What must hold after every call: sessions keep to their limit, a stranger's address never
//! becomes the destination of anything, and an answer is no longer than what it answers.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use gimlet_proto::frame::{Frame, FrameKind, encode_bind, header, verify_bind};
use gimlet_proto::id::{ConnId, PeerId};
use gimlet_proto::relay::runs::{Content, runs};
use gimlet_proto::relay::{Action, Command, Config, Control, Lane, Relay};
use gimlet_proto::secret::{RelaySecret, SessionId};

use crate::input::Input;

/// Calls of one run.
const MAX_CALLS: usize = 300;

const MAX_SESSIONS: usize = 4;
const SECRETS: u8 = 4;

pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mut bench = Bench::new();
    for _ in 0..MAX_CALLS {
        if input.is_empty() {
            break;
        }
        bench.call(&mut input);
        bench.drain();
    }
    bench.let_run(Duration::from_secs(120));
    assert!(bench.sut.is_empty(), "idle sessions end");
    assert_eq!(bench.sut.poll_timeout(), None, "nothing is left to do");
}

struct Bench {
    sut: Relay,
    /// Of a shard that is always told at once.
    lane: Lane,
    now: Instant,
    /// Addresses of control sessions, and those that a valid bind frame came from.
    trusted: BTreeSet<SocketAddr>,
    /// Addresses that anything came from.
    spoken: BTreeSet<SocketAddr>,
}

impl Bench {
    fn new() -> Self {
        let now = Instant::now();
        let mut config = Config::default();
        config.max_sessions = MAX_SESSIONS;
        let sut = Relay::new(config, 7, now);
        Self {
            lane: sut.lane(now),
            sut,
            now,
            trusted: BTreeSet::new(),
            spoken: BTreeSet::new(),
        }
    }

    fn call(&mut self, input: &mut Input) {
        match input.byte() % 14 {
            0 => {
                let (control, address) = (control(input), input.addr());
                self.trusted.insert(address);
                self.command(Command::ControlAt { control, address });
            }
            1 => {
                let control = control(input);
                self.command(Command::ControlGone { control });
            }
            2 | 3 => {
                let open = Command::Open {
                    session: session(input),
                    dialer: control(input),
                    secret: secret(input),
                    acceptor: control(input),
                };
                self.command(open);
            }
            4 | 5 => {
                let accept = Command::Accept {
                    session: session(input),
                    secret: secret(input),
                };
                self.command(accept);
            }
            6 => {
                let session = session(input);
                self.command(Command::Close { session });
            }
            7 => self.let_run(input.span()),
            8 => {
                let (stride, bytes) = (usize::from(input.byte()), input.bytes());
                self.receive(input.addr(), bytes, stride);
            }
            9 | 10 => {
                let counter = u64::from(input.byte());
                let frame = encode_bind(session(input), counter, &secret(input));
                self.receive(input.addr(), &frame, 0);
            }
            _ => {
                let mut frame = header(FrameKind::Data, session(input)).to_vec();
                frame.resize(10 + input.pick(20), 0xaa);
                let batch = frame.repeat(1 + input.pick(12));
                self.receive(input.addr(), &batch, frame.len());
            }
        }
    }

    fn command(&mut self, command: Command) {
        self.sut.handle_command(command, self.now);
        self.tell();
    }

    fn tell(&mut self) {
        while let Some(update) = self.sut.poll_update() {
            self.lane.apply(update);
        }
        assert!(
            self.lane.len() <= self.sut.len(),
            "lanes forget what is over"
        );
    }

    fn receive(&mut self, source: SocketAddr, batch: &[u8], stride: usize) {
        self.spoken.insert(source);
        for run in runs(batch, stride) {
            let Content::Frames(frame) = run.content else {
                continue;
            };
            if is_valid_bind(&frame) {
                self.trusted.insert(source);
            }
            // What the lane sends on, the relay would send to the same address.
            let lane = self.lane.handle(source, &frame, &run, self.now);
            let action = self.sut.handle(source, &frame, &run, self.now);
            assert!(
                lane.is_none_or(|lane| lane == action),
                "{lane:?}, {action:?}"
            );
            match action {
                Action::Forward { to } => assert!(self.trusted.contains(&to), "{to} is nobody's"),
                Action::Answer(answer) => assert!(answer.as_bytes().len() <= run.bytes.len()),
                Action::Held | Action::Dropped(_) => (),
            }
            self.tell();
        }
    }

    fn let_run(&mut self, span: Duration) {
        self.drain();
        let until = self.now + span;
        while let Some(at) = self.sut.poll_timeout().filter(|&at| at <= until) {
            self.now = self.now.max(at);
            self.sut.handle_timeout(self.now);
            let next = self.sut.poll_timeout();
            assert!(next.is_none_or(|next| next > self.now), "a timer moves on");
            self.drain();
        }
        self.now = until;
    }

    fn drain(&mut self) {
        while let Some(transmit) = self.sut.poll_transmit() {
            let frame = Frame::decode(&transmit.datagram).expect("a relay sends frames");
            match frame.kind {
                FrameKind::Data => assert!(self.trusted.contains(&transmit.to)),
                FrameKind::Bound | FrameKind::Unknown => {
                    assert!(self.spoken.contains(&transmit.to));
                }
                FrameKind::Bind => panic!("a relay binds nothing"),
            }
        }
        while self.sut.poll_event().is_some() {}
        self.tell();
        assert!(self.sut.len() <= MAX_SESSIONS);
    }
}

fn is_valid_bind(frame: &Frame) -> bool {
    frame.kind == FrameKind::Bind
        && (0..SECRETS).any(|n| {
            let secret = RelaySecret([n; 32]);
            verify_bind(frame.session, frame.payload, &secret).is_some()
        })
}

/// One of two control sessions of each of four peers.
fn control(input: &mut Input) -> Control {
    let byte = input.byte();
    Control {
        peer: PeerId::from_bytes([byte & 3; 32]),
        conn: ConnId((byte & 7).into()),
    }
}

fn session(input: &mut Input) -> SessionId {
    SessionId([input.byte() % 6; 8])
}

fn secret(input: &mut Input) -> RelaySecret {
    RelaySecret([input.byte() % SECRETS; 32])
}
