//! Every order in which two sides can hear of each other.

use std::collections::{HashSet, VecDeque};

use super::*;

fn id(number: u8) -> ConversationId {
    ConversationId::from([number; 16])
}

fn ours(number: u8, state: State, together_at: Option<Instant>) -> Option<Ours> {
    Some(Ours {
        id: id(number),
        has_asked: true,
        state,
        together_at,
    })
}

#[test]
fn a_request_meets_ours_only_where_both_were_made_at_once() {
    let then = Instant::now();
    let late = then + STRAGGLER_TIMEOUT;
    let together = |number| ours(number, State::Together, Some(then));
    let accepted = ours(1, State::Together, Some(then)).map(|ours| Ours {
        has_asked: false,
        ..ours
    });
    for (ours, theirs, now, meeting) in [
        (None, 2, then, Meeting::Nothing),
        (ours(1, State::Asking, None), 2, then, Meeting::Ours),
        (ours(1, State::Asking, None), 2, late, Meeting::Ours),
        (ours(3, State::Asking, None), 2, late, Meeting::Theirs),
        // Withdrawn when ours was accepted, and late.
        (together(1), 2, then, Meeting::Ours),
        (together(1), 2, late, Meeting::Nothing),
        // Would have stood. It was made since.
        (together(3), 2, then, Meeting::Nothing),
        (ours(1, State::Away, Some(then)), 2, then, Meeting::Nothing),
        // They asked before, and were accepted: they have begun anew.
        (accepted, 2, then, Meeting::Nothing),
    ] {
        assert_eq!(meet(ours, id(theirs), now), meeting, "{ours:?} {theirs}");
    }
}

/// What comes over the connection of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Said {
    Hello,
    Withdrawn,
    Welcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Person {
    /// Has not typed the request yet.
    Thinks,
    Dials,
    Done,
}

/// One side. A conversation has the number of the side that asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Side {
    person: Person,
    /// The conversation, and whether both are there.
    talks: Option<(usize, bool)>,
    held: bool,
    /// Whether the person was asked about the request of the other side.
    asked: bool,
}

/// Two sides and what is on its way, by connection and by the side it goes to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    ids: [u8; 2],
    sides: [Side; 2],
    sent: [[VecDeque<Said>; 2]; 2],
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Person(usize),
    Deliver { conversation: usize, to: usize },
}

impl World {
    fn new(ids: [u8; 2]) -> Self {
        let side = Side {
            person: Person::Thinks,
            talks: None,
            held: false,
            asked: false,
        };
        Self {
            ids,
            sides: [side.clone(), side],
            sent: Default::default(),
        }
    }

    fn steps(&self) -> Vec<Step> {
        let people = (0..2).filter(|&side| self.sides[side].person != Person::Done);
        let pairs = [(0, 0), (0, 1), (1, 0), (1, 1)];
        let sent = pairs.into_iter();
        let sent = sent.filter(|&(conversation, to)| !self.sent[conversation][to].is_empty());
        let deliver = |(conversation, to)| Step::Deliver { conversation, to };
        people.map(Step::Person).chain(sent.map(deliver)).collect()
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Person(at) => self.go_on(at),
            Step::Deliver { conversation, to } => {
                let said = self.sent[conversation][to].pop_front().unwrap();
                self.hear(conversation, to, said);
            }
        }
        for at in 0..2 {
            if self.sides[at].held && self.meet(at) != Meeting::Ours {
                self.sides[at].held = false;
                self.requested(at);
            }
        }
    }

    /// The person at that side asks the other, unless it need not.
    fn go_on(&mut self, at: usize) {
        let side = &mut self.sides[at];
        match side.person {
            Person::Thinks if side.talks.is_some() => side.person = Person::Done,
            Person::Thinks if side.asked => {
                side.person = Person::Done;
                self.accept(at);
            }
            Person::Thinks => side.person = Person::Dials,
            Person::Dials => {
                side.person = Person::Done;
                assert_eq!(side.talks, None);
                side.talks = Some((at, false));
                self.sent[at][1 - at].push_back(Said::Hello);
            }
            Person::Done => unreachable!(),
        }
    }

    fn hear(&mut self, conversation: usize, at: usize, said: Said) {
        match said {
            Said::Hello => self.requested(at),
            Said::Withdrawn => {
                let side = &mut self.sides[at];
                // Nobody may have accepted it.
                assert_ne!(side.talks.map(|(talks, _)| talks), Some(conversation));
                (side.held, side.asked) = (false, false);
            }
            Said::Welcome => {
                assert_eq!(self.sides[at].talks, Some((conversation, false)));
                self.sides[at].talks = Some((conversation, true));
            }
        }
    }

    fn meet(&self, at: usize) -> Meeting {
        let now = Instant::now();
        let ours = self.sides[at].talks.map(|(talks, together)| Ours {
            id: id(self.ids[talks]),
            has_asked: talks == at,
            state: match together {
                true => State::Together,
                false => State::Asking,
            },
            together_at: together.then_some(now),
        });
        meet(ours, id(self.ids[1 - at]), now)
    }

    /// The other side's request is heard of.
    fn requested(&mut self, at: usize) {
        if self.sides[at].person == Person::Dials {
            self.sides[at].person = Person::Done;
            return self.accept(at);
        }
        match self.meet(at) {
            Meeting::Ours => self.sides[at].held = true,
            Meeting::Theirs => self.accept(at),
            Meeting::Nothing => {
                // Who talks is not asked.
                assert_eq!(self.sides[at].talks, None);
                self.sides[at].asked = true;
            }
        }
    }

    fn accept(&mut self, at: usize) {
        let side = &mut self.sides[at];
        side.asked = false;
        match side.talks.replace((1 - at, true)) {
            Some((ours, false)) if ours == at => {
                self.sent[at][1 - at].push_back(Said::Withdrawn);
            }
            None => (),
            Some(talks) => panic!("{talks:?} was under way"),
        }
        self.sent[1 - at][1 - at].push_back(Said::Welcome);
    }

    /// One conversation, the same at both sides, and nobody is asked any more.
    fn check(&self) {
        let [a, b] = &self.sides;
        assert!(a.talks.is_some_and(|(_, together)| together), "{self:#?}");
        assert_eq!(a.talks, b.talks, "{self:#?}");
        for side in [a, b] {
            assert!(!side.held && !side.asked, "{self:#?}");
        }
    }
}

#[test]
fn requests_that_cross_become_one_conversation_in_whatever_order_they_are_heard_of() {
    let mut known = HashSet::new();
    let mut open = vec![World::new([1, 2]), World::new([2, 1])];
    let mut ends = 0;
    while let Some(world) = open.pop() {
        if !known.insert(world.clone()) {
            continue;
        }
        let steps = world.steps();
        if steps.is_empty() {
            world.check();
            ends += 1;
        }
        for step in steps {
            let mut next = world.clone();
            next.take(step);
            open.push(next);
        }
    }
    // With either order of the ids, the conversation that either side has asked for.
    assert_eq!(ends, 4);
}
