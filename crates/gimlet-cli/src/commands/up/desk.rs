//! Where `up` talks to its person: events out, and questions about requests where it asks.

use std::future::pending;
use std::io;

use tokio::sync::mpsc;

use crate::event::Event;
use crate::output::Output;
use crate::policy::Question;
use crate::terminal::{self, Input, Printer, Typed};

/// Output, and the questions asked one after the other.
pub(super) struct Desk {
    output: Output,
    /// Only where questions are asked: otherwise standard input is left alone.
    asking: Option<Asking>,
}

struct Asking {
    input: Input,
    printer: Printer,
    questions: mpsc::Receiver<Question>,
    current: Option<Question>,
    /// The line being typed was begun for a request that has expired: it answers nothing.
    stale: bool,
}

impl Desk {
    pub(super) fn open(
        output: Output,
        questions: Option<mpsc::Receiver<Question>>,
    ) -> io::Result<Self> {
        let asking = match questions {
            None => None,
            Some(questions) => {
                let (input, printer) = terminal::open()?;
                Some(Asking {
                    input,
                    printer,
                    questions,
                    current: None,
                    stale: false,
                })
            }
        };
        Ok(Self { output, asking })
    }

    pub(super) async fn print(&self, event: &Event) -> io::Result<()> {
        match &self.asking {
            Some(asking) => {
                asking.printer.print(self.output.render(event)).await;
                Ok(())
            }
            None => self.output.print(event),
        }
    }

    /// Gets one request answered. Cancel safe. Never ends where nothing is asked.
    pub(super) async fn ask(&mut self) {
        match &mut self.asking {
            Some(asking) => asking.ask().await,
            None => pending().await,
        }
    }
}

impl Asking {
    async fn ask(&mut self) {
        if self.stale {
            self.input.next("").await;
            self.stale = false;
        }
        if self.current.is_none() {
            match self.questions.recv().await {
                Some(question) => self.current = Some(question),
                None => return pending().await,
            }
        }
        let Some(question) = &self.current else {
            return;
        };
        let label = question.who.label.clone();
        let prompt = format!("{label} wants to connect. Accept? [y/N] ");
        let typed = tokio::select! {
            typed = self.input.next(&prompt) => Some(typed),
            () = tokio::time::sleep_until(question.expires_at) => None,
        };
        let Some(typed) = typed else {
            // The line on the screen belongs to this request: whatever is typed into it goes nowhere.
            self.printer
                .print(format_args!("{label} no longer waits: press Enter."))
                .await;
            self.current = None;
            self.stale = true;
            return;
        };
        let yes = matches!(&typed, Typed::Line(line) if is_yes(line));
        if let Some(question) = self.current.take() {
            question.answer(yes);
        }
    }
}

fn is_yes(line: &str) -> bool {
    matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_but_yes_is_no() {
        for (line, yes) in [
            ("y", true),
            (" YES ", true),
            ("", false),
            ("n", false),
            ("yep", false),
        ] {
            assert_eq!(is_yes(line), yes, "{line:?}");
        }
    }
}
