//! What the other side says, in every state.

use super::{Exchange, Link, State, Told};
use crate::chat::Ended;
use crate::chat::wire::{Hello, Record, Refusal};
use crate::records::Violation;

impl Exchange {
    /// What the other side says.
    pub(in crate::chat) fn handle(&mut self, record: Record) -> Result<(), Violation> {
        match (record, self.state) {
            (_, State::Over) => Ok(()),
            (Record::Hello(hello), _) => self.handle_hello(&hello),
            (Record::Refuse(refusal), State::Asking { .. } | State::Away { .. }) => {
                self.end(match refusal {
                    Refusal::Denied => Ended::Denied,
                    Refusal::Unanswered => Ended::Unanswered,
                    Refusal::Busy => Ended::Busy,
                });
                Ok(())
            }
            (Record::Line { seq, text }, State::Together) => self.handle_line(seq, text),
            (Record::Ack { seq }, State::Together) => self.handle_ack(seq),
            (Record::Bye, State::Together) => {
                if !self.leaving {
                    self.transmits.push_back(Record::Bye);
                }
                self.end(match self.leaving {
                    true => Ended::Left,
                    false => Ended::TheyLeft,
                });
                Ok(())
            }
            (Record::Ping, _) => {
                // One answer is enough for however many questions.
                if !self.transmits.contains(&Record::Pong) {
                    self.transmits.push_back(Record::Pong);
                }
                Ok(())
            }
            (Record::Pong, _) => Ok(()),
            (
                Record::Line { .. } | Record::Ack { .. } | Record::Bye | Record::Refuse(_),
                State::Asking { .. } | State::Away { .. } | State::Together,
            ) => Err(Violation),
        }
    }

    fn handle_hello(&mut self, hello: &Hello) -> Result<(), Violation> {
        if hello.id != self.id || self.state == State::Together {
            return Err(Violation);
        }
        if self.theirs != Some(hello.incarnation) {
            self.theirs = Some(hello.incarnation);
            self.received = hello.base;
        } else if hello.base > self.received {
            // It says to know of an arrival that has not been.
            return Err(Violation);
        }
        if hello.heard == self.incarnation {
            self.handle_ack(hello.received)?;
        }
        // The answer, where they have said hello first.
        if self.link == Link::Silent {
            self.greet();
        }
        self.state = State::Together;
        self.events.push_back(Told::Together);
        let lines = self.outbox.iter().zip(self.base + 1..);
        let lines = lines.map(|(text, seq)| Record::Line {
            seq,
            text: text.clone(),
        });
        self.transmits.extend(lines);
        if self.leaving {
            self.transmits.push_back(Record::Bye);
        }
        Ok(())
    }

    fn handle_line(&mut self, seq: u64, text: String) -> Result<(), Violation> {
        // Order is the stream's; a gap is the peer's mistake.
        if seq > self.received.saturating_add(1) {
            return Err(Violation);
        }
        if seq == self.received.saturating_add(1) {
            self.received = seq;
            self.events.push_back(Told::Line(text));
        }
        // Acknowledged also where it came twice: that it did shows that the other side does not know.
        let received = self.received;
        match self.transmits.back_mut() {
            Some(Record::Ack { seq }) => *seq = received,
            Some(_) | None => self.transmits.push_back(Record::Ack { seq: received }),
        }
        Ok(())
    }

    fn handle_ack(&mut self, seq: u64) -> Result<(), Violation> {
        if seq > self.last_said() {
            return Err(Violation);
        }
        let arrived = seq.saturating_sub(self.base) as usize;
        if arrived > 0 {
            self.outbox.drain(..arrived);
            self.base = seq;
            self.events.push_back(Told::Delivered(arrived));
        }
        Ok(())
    }
}
