//! Two sides and the connections between them, which break at any moment.

use proptest::prelude::*;

use super::*;
use crate::chat::wire::Refusal;
use crate::records::Violation;

/// One side, and what its person has seen.
struct Side {
    sut: Exchange,
    /// On the way to the other side.
    sent: VecDeque<Record>,
    heard: Vec<String>,
    delivered: usize,
    told: Vec<Told>,
}

/// Two sides and a clock.
struct Bench {
    /// The one that asks and dials, and the other.
    sides: [Side; 2],
    now: Instant,
    incarnation: u64,
}

const ID: ConversationId = ConversationId([1; 16]);

impl Side {
    fn new(sut: Exchange) -> Self {
        Self {
            sut,
            sent: VecDeque::new(),
            heard: Vec::new(),
            delivered: 0,
            told: Vec::new(),
        }
    }

    fn drain(&mut self) {
        while let Some(record) = self.sut.poll_transmit() {
            self.sent.push_back(record);
        }
        while let Some(told) = self.sut.poll_event() {
            match &told {
                Told::Line(text) => self.heard.push(text.clone()),
                Told::Delivered(count) => self.delivered += count,
                Told::Together | Told::Away | Told::Over(_) => (),
            }
            self.told.push(told);
        }
    }
}

impl Bench {
    fn new() -> Self {
        let now = Instant::now();
        let asking = Exchange::ask(ID, 1, false, String::new(), now);
        let accepting = Exchange::accept(ID, 2, String::new(), now);
        let sides = [Side::new(asking), Side::new(accepting)];
        Self {
            sides,
            now,
            incarnation: 2,
        }
    }

    /// With both together.
    fn together() -> Self {
        let mut t = Self::new();
        t.connect();
        t.run();
        t
    }

    fn connect(&mut self) {
        for (nth, side) in self.sides.iter_mut().enumerate() {
            side.sut.handle_link_up(nth == 0);
            side.drain();
        }
    }

    fn disconnect(&mut self) {
        for side in &mut self.sides {
            side.sent.clear();
            side.sut.handle_link_down(self.now);
            side.drain();
        }
    }

    /// Lets one record of that side arrive; whether there was one.
    fn pass(&mut self, from: usize) -> bool {
        let Some(record) = self.sides[from].sent.pop_front() else {
            return false;
        };
        let to = &mut self.sides[1 - from];
        to.sut.handle(record).unwrap();
        to.drain();
        true
    }

    /// Lets everything arrive.
    fn run(&mut self) {
        while self.pass(0) || self.pass(1) {}
    }

    fn say(&mut self, side: usize, text: &str) {
        assert!(self.sides[side].sut.say(text.to_owned()));
        self.sides[side].drain();
    }

    /// A side is restarted, and accepts or goes on with the same conversation as another incarnation.
    fn restart_accepting(&mut self) {
        self.incarnation += 1;
        let fresh = Exchange::accept(ID, self.incarnation, String::new(), self.now);
        self.sides[1].sut = fresh;
    }
}

#[test]
fn lines_arrive_and_are_told_to_have_arrived() {
    let mut t = Bench::together();
    t.say(0, "one");
    t.say(1, "uno");
    t.say(0, "two");
    t.run();
    assert_eq!(t.sides[1].heard, ["one", "two"]);
    assert_eq!(t.sides[0].heard, ["uno"]);
    assert_eq!((t.sides[0].delivered, t.sides[1].delivered), (2, 1));
    assert_eq!(t.sides[0].sut.undelivered(), 0);
}

#[test]
fn nothing_is_sent_before_the_request_is_accepted() {
    let mut t = Bench::new();
    t.say(0, "impatient");
    t.connect();
    assert!(matches!(
        t.sides[0].sent.make_contiguous(),
        [Record::Hello(_)]
    ));
    t.run();
    assert_eq!(t.sides[1].heard, ["impatient"]);
}

#[test]
fn what_was_said_while_away_arrives_in_order() {
    let mut t = Bench::together();
    t.say(0, "one");
    t.disconnect();
    t.say(0, "two");
    t.say(1, "uno");
    t.connect();
    t.run();
    assert_eq!(t.sides[1].heard, ["one", "two"]);
    assert_eq!(t.sides[0].heard, ["uno"]);
    let told = &t.sides[0].told;
    assert_eq!(told[..2], [Told::Together, Told::Away]);
}

#[test]
fn what_arrived_without_its_acknowledgement_is_not_shown_twice() {
    let mut t = Bench::together();
    t.say(0, "once");
    t.pass(0);
    assert_eq!(t.sides[1].heard, ["once"]);
    t.disconnect();
    t.connect();
    t.run();
    assert_eq!(t.sides[1].heard, ["once"]);
    assert_eq!(t.sides[0].delivered, 1);
}

#[test]
fn a_side_that_was_restarted_gets_what_had_not_arrived_and_counts_anew() {
    let mut t = Bench::together();
    t.say(0, "one");
    t.say(1, "uno");
    t.run();
    t.disconnect();
    t.say(0, "two");
    t.restart_accepting();
    t.connect();
    t.run();
    t.say(1, "eins");
    t.say(0, "three");
    t.run();
    assert_eq!(t.sides[1].heard, ["one", "two", "three"]);
    assert_eq!(t.sides[0].heard, ["uno", "eins"]);
}

#[test]
fn a_request_is_refused_or_expires() {
    for (refusal, ended) in [
        (Refusal::Denied, Ended::Denied),
        (Refusal::Unanswered, Ended::Unanswered),
        (Refusal::Busy, Ended::Busy),
    ] {
        let mut t = Bench::new();
        t.connect();
        let asking = &mut t.sides[0];
        asking.sut.handle(Record::Refuse(refusal)).unwrap();
        asking.drain();
        assert_eq!(asking.told, [Told::Over(ended)]);
        assert!(!asking.sut.say("too late".to_owned()));
    }
    let mut t = Bench::new();
    t.connect();
    let asking = &mut t.sides[0];
    assert_eq!(
        asking.sut.poll_timeout(),
        Some(t.now + ANSWER_TIMEOUT + GRACE)
    );
    asking.sut.handle_timeout(t.now + ANSWER_TIMEOUT);
    asking.drain();
    assert_eq!(asking.told, []);
    asking.sut.handle_timeout(t.now + ANSWER_TIMEOUT + GRACE);
    asking.drain();
    assert_eq!(asking.told, [Told::Over(Ended::Unanswered)]);
    assert_eq!(asking.sut.poll_timeout(), None);
}

#[test]
fn who_does_not_come_back_is_waited_for_so_long() {
    let mut t = Bench::together();
    t.disconnect();
    for side in &mut t.sides {
        side.sut
            .handle_timeout(t.now + AWAY_TIMEOUT - Duration::from_secs(1));
        assert!(!side.sut.is_over());
        side.sut.handle_timeout(t.now + AWAY_TIMEOUT);
        side.drain();
        assert_eq!(side.told.last(), Some(&Told::Over(Ended::Away)));
    }
}

#[test]
fn a_goodbye_comes_behind_everything_said_and_is_answered() {
    let mut t = Bench::together();
    t.say(0, "one more thing");
    t.sides[0].sut.leave();
    t.sides[0].drain();
    t.say(1, "wait");
    t.run();
    assert_eq!(t.sides[1].heard, ["one more thing"]);
    assert_eq!(t.sides[0].heard, ["wait"]);
    assert_eq!(t.sides[0].told.last(), Some(&Told::Over(Ended::Left)));
    assert_eq!(t.sides[1].told.last(), Some(&Told::Over(Ended::TheyLeft)));
}

#[test]
fn both_may_leave_at_once() {
    let mut t = Bench::together();
    for side in &mut t.sides {
        side.sut.leave();
        side.drain();
    }
    t.run();
    for side in &t.sides {
        assert_eq!(side.told.last(), Some(&Told::Over(Ended::Left)));
    }
}

#[test]
fn only_so_much_waits_for_the_other_side() {
    let mut t = Bench::together();
    t.disconnect();
    for _ in 0..MAX_UNDELIVERED {
        t.say(0, "x");
    }
    assert!(!t.sides[0].sut.say("one too many".to_owned()));
    t.connect();
    t.run();
    assert_eq!(t.sides[1].heard.len(), MAX_UNDELIVERED);
    t.say(0, "now it fits");
}

#[test]
fn a_peer_that_breaks_the_rules_is_noticed() {
    let line = |seq| Record::Line {
        seq,
        text: String::new(),
    };
    for wrong in [line(2), line(u64::MAX), Record::Ack { seq: 1 }] {
        let mut t = Bench::together();
        assert_eq!(t.sides[1].sut.handle(wrong), Err(Violation));
    }
    let mut t = Bench::together();
    assert_eq!(t.sides[1].sut.handle(line(0)), Ok(()), "old, and dropped");
    t.sides[1].drain();
    assert_eq!(t.sides[1].heard, [""; 0]);
    let mut t = Bench::new();
    t.connect();
    assert_eq!(t.sides[1].sut.handle(line(1)), Err(Violation));
    let Some(Record::Hello(hello)) = t.sides[0].sent.front().cloned() else {
        panic!("no hello");
    };
    let other = Hello {
        id: ConversationId([2; 16]),
        ..hello.clone()
    };
    assert_eq!(t.sides[1].sut.handle(Record::Hello(other)), Err(Violation));
    let boasting = Hello {
        heard: 2,
        received: 5,
        ..hello
    };
    assert_eq!(
        t.sides[1].sut.handle(Record::Hello(boasting)),
        Err(Violation)
    );
}

#[test]
fn many_pings_get_one_answer() {
    let mut t = Bench::together();
    for _ in 0..1000 {
        t.sides[1].sut.handle(Record::Ping).unwrap();
    }
    t.sides[1].drain();
    assert_eq!(t.sides[1].sent, [Record::Pong]);
}

#[derive(Debug, Clone)]
enum Step {
    Say(usize),
    /// So many records of that side arrive.
    Pass(usize, u8),
    Break,
    Connect,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..2usize).prop_map(Step::Say),
        6 => (0..2usize, 1..5u8).prop_map(|(side, count)| Step::Pass(side, count)),
        1 => Just(Step::Break),
        2 => Just(Step::Connect),
    ]
}

fn restarts() -> impl Strategy<Value = Step> {
    prop_oneof![10 => step(), 1 => Just(Step::Restart)]
}

/// Plays steps; what each side has said.
fn play(t: &mut Bench, steps: Vec<Step>) -> [Vec<String>; 2] {
    let mut said = [Vec::new(), Vec::new()];
    let mut connected = false;
    for step in steps {
        match step {
            Step::Say(side) => {
                let text = said[side].len().to_string();
                if t.sides[side].sut.say(text.clone()) {
                    said[side].push(text);
                }
                t.sides[side].drain();
            }
            Step::Pass(side, count) => {
                for _ in 0..count {
                    t.pass(side);
                }
            }
            Step::Break => {
                t.disconnect();
                connected = false;
            }
            Step::Restart => {
                t.disconnect();
                connected = false;
                t.restart_accepting();
            }
            Step::Connect if !connected => {
                t.connect();
                connected = true;
            }
            Step::Connect => (),
        }
    }
    t.disconnect();
    t.connect();
    t.run();
    said
}

proptest! {
    #[test]
    fn every_line_arrives_once_and_in_order(steps in prop::collection::vec(step(), 0..200)) {
        let mut t = Bench::new();
        let said = play(&mut t, steps);
        for (side, said) in said.iter().enumerate() {
            prop_assert_eq!(&t.sides[1 - side].heard, said);
            prop_assert_eq!(t.sides[side].delivered, said.len());
        }
    }

    /// What a restarted side had said is lost with it where it had not arrived; the other's is not, and
    /// nothing is out of order.
    #[test]
    fn a_restart_loses_nothing_of_the_side_that_stayed(
        steps in prop::collection::vec(restarts(), 0..200)
    ) {
        let mut t = Bench::new();
        let said = play(&mut t, steps);
        let mut last = None;
        for number in t.sides[1].heard.iter().map(|text| text.parse::<usize>().unwrap()) {
            // What arrived at the incarnation before, and was not acknowledged, comes to the next one.
            prop_assert!(last.is_none_or(|last| number <= last + 1));
            last = Some(number);
        }
        prop_assert_eq!(last, said[0].len().checked_sub(1));
        let heard: Vec<usize> =
            t.sides[0].heard.iter().map(|text| text.parse().unwrap()).collect();
        prop_assert!(heard.is_sorted_by(|a, b| a < b));
    }
}
