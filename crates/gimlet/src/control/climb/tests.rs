//! The way from TLS to UDP and back.

use super::*;
use gimlet_proto::traversal::SocketId;

#[test]
fn a_server_that_answers_for_seconds_is_moved_to_and_the_tunnel_is_left_later() {
    let mut t = Bench::new();
    t.wait(INTERVAL);
    assert_eq!(t.asked(), [place(1), place(2)]);
    t.answer(place(2));
    for _ in 1..ANSWERS {
        assert_eq!(t.action(), None);
        t.wait(GAP);
        assert_eq!(t.asked(), [place(2)]);
        t.answer(place(2));
    }
    assert_eq!(t.action(), Some(Action::Move(place(2))));
    t.wait(Duration::from_millis(200));
    assert_eq!(t.action(), None);
    t.heard_at = Some(t.now);
    t.wait(Duration::from_millis(200));
    let (place, observed) = (place(2), seen());
    assert_eq!(t.action(), Some(Action::Moved { place, observed }));
    t.wait(GRACE);
    assert_eq!(t.action(), Some(Action::Close));
    assert_eq!(t.climb.poll_timeout(t.now), None);
}

#[test]
fn one_answer_that_stays_away_begins_it_anew() {
    let mut t = Bench::new();
    t.wait(INTERVAL);
    t.asked();
    t.answer(place(1));
    t.wait(GAP);
    t.asked();
    t.wait(PATIENCE + INTERVAL);
    assert_eq!(t.asked(), [place(1), place(2)]);
}

#[test]
fn what_is_not_heard_over_udp_goes_back_and_rests() {
    let mut t = Bench::new();
    // Heard before the move, which says nothing.
    t.heard_at = Some(t.now);
    t.wait(INTERVAL);
    for _ in 0..ANSWERS {
        t.asked();
        t.answer(place(1));
        t.wait(GAP);
    }
    assert_eq!(t.action(), Some(Action::Move(place(1))));
    t.wait(TRIAL);
    assert_eq!(t.action(), Some(Action::Return));
    // The trial began with the last answer, a gap ago.
    t.wait(REST - GAP - Duration::from_secs(1));
    assert_eq!(t.action(), None);
    t.wait(Duration::from_secs(1));
    assert_eq!(t.asked(), [place(1), place(2)]);
}

#[test]
fn answers_of_others_and_to_other_questions_are_ignored() {
    let mut t = Bench::new();
    t.wait(INTERVAL);
    t.asked();
    t.answer(place(3));
    let transaction = TransactionId([0xff; 12]);
    t.climb.handle_answer(place(1), transaction, seen(), t.now);
    t.wait(PATIENCE);
    assert_eq!(t.action(), None);
    t.wait(INTERVAL);
    assert_eq!(t.asked(), [place(1), place(2)]);
}

#[test]
fn after_a_move_of_the_host_it_asks_at_once() {
    let mut t = Bench::new();
    t.climb.restart(t.now);
    t.wait(Duration::ZERO);
    assert_eq!(t.asked(), [place(1), place(2)]);
}

#[test]
fn without_places_there_is_nothing_to_do() {
    let climb = Climb::new(Vec::new(), Instant::now());
    assert_eq!(climb.poll_timeout(Instant::now()), None);
}

struct Bench {
    climb: Climb,
    now: Instant,
    heard_at: Option<Instant>,
    last: TransactionId,
    drawn: u8,
}

impl Bench {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            climb: Climb::new(vec![place(1), place(2)], now),
            now,
            heard_at: None,
            last: TransactionId([0; 12]),
            drawn: 0,
        }
    }

    /// Lets time pass, from deadline to deadline.
    fn wait(&mut self, span: Duration) {
        let until = self.now + span;
        while let Some(at) = self.climb.poll_timeout(self.now).filter(|at| *at <= until) {
            self.now = at.max(self.now);
            let before = self.climb.state;
            self.timeout();
            if self.climb.state == before && at >= until {
                break;
            }
        }
        self.now = until;
    }

    fn timeout(&mut self) {
        let drawn = &mut self.drawn;
        let mut random = || {
            *drawn += 1;
            [*drawn; 12]
        };
        self.climb
            .handle_timeout(self.heard_at, &mut random, self.now);
    }

    fn asked(&mut self) -> Vec<ServerPlace> {
        let mut asked = Vec::new();
        while let Some(action) = self.action() {
            let Action::Ask { place, transaction } = action else {
                panic!("{action:?}");
            };
            self.last = transaction;
            asked.push(place);
        }
        asked
    }

    fn answer(&mut self, from: ServerPlace) {
        self.climb.handle_answer(from, self.last, seen(), self.now);
    }

    fn action(&mut self) -> Option<Action> {
        self.climb.poll_action()
    }
}

fn place(n: u16) -> ServerPlace {
    ServerPlace {
        socket: SocketId(n),
        addr: SocketAddr::from(([192, 0, 2, n as u8], 443)),
    }
}

fn seen() -> SocketAddr {
    SocketAddr::from(([198, 51, 100, 7], 7000))
}
