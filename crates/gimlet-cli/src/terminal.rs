//! The person at the terminal: lines typed, and output that never breaks a half-typed one.
//!
//! At a terminal, rustyline edits the line on a thread of its own and redraws it around whatever is
//! printed meanwhile. Without one, lines are read plainly and output goes to standard output, so
//! that scripts can drive the same commands. Lines are read one at a time, when asked for: a
//! script's second command waits until its first is done.

mod editor;
mod last;
mod plain;
mod restore;

use std::fmt;
use std::io::{self, IsTerminal};
use std::thread;

use tokio::sync::{mpsc, oneshot};

/// Lines printed that may wait for the terminal. When a terminal is slower than a peer talks, the
/// peer waits, not memory.
const PRINT_QUEUE: usize = 64;

/// What came from the terminal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    /// A line, without its end.
    Line(String),
    /// Ctrl-C in the line editor: the line is given up.
    Interrupted,
    /// Ctrl-D, or the end of a script.
    End,
}

/// Where lines come from.
pub(crate) struct Input {
    asks: std::sync::mpsc::Sender<String>,
    typed: mpsc::UnboundedReceiver<Typed>,
    asked: bool,
    /// How many lines were typed.
    number: u64,
    _restore: restore::Restore,
}

/// Where output goes. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Printer {
    orders: mpsc::Sender<Order>,
    edited: bool,
}

/// What the printing thread is told.
enum Order {
    Print(String),
    /// What was typed up to the line of that number has arrived.
    Mark(u64),
    Tell(oneshot::Sender<()>),
}

/// Opens the terminal. Both ends work until the process ends.
pub(crate) fn open() -> io::Result<(Input, Printer)> {
    let restore = restore::Restore::now();
    let (asks, asked) = std::sync::mpsc::channel();
    // At most one line is on the way, since one is read only when asked for.
    let (typed_by, typed) = mpsc::unbounded_channel();
    let (orders, ordered) = mpsc::channel(PRINT_QUEUE);
    let editor = match io::stdin().is_terminal() && io::stdout().is_terminal() {
        // A terminal that can't move its cursor gets plain lines too.
        true => editor::Editor::new().ok(),
        false => None,
    };
    let edited = editor.is_some();
    let (read, print): (Task, Task) = match editor {
        Some(editor) => {
            let (reader, printer) = editor.split();
            (
                Box::new(move || reader.read(&asked, &typed_by)),
                Box::new(move || printer.print(ordered)),
            )
        }
        None => (
            Box::new(move || plain::read(&asked, &typed_by)),
            Box::new(move || plain::print(ordered)),
        ),
    };
    thread::Builder::new().name("input".into()).spawn(read)?;
    thread::Builder::new().name("output".into()).spawn(print)?;
    let input = Input {
        asks,
        typed,
        asked: false,
        number: 0,
        _restore: restore,
    };
    Ok((input, Printer { orders, edited }))
}

type Task = Box<dyn FnOnce() + Send>;

impl Input {
    /// The next line. Cancel safe: a line being typed is kept for the next call, with the prompt it
    /// was begun under.
    pub(crate) async fn next(&mut self, prompt: &str) -> Typed {
        if !self.asked {
            // The thread is gone only after the end.
            if self.asks.send(prompt.to_owned()).is_err() {
                return Typed::End;
            }
            self.asked = true;
        }
        let typed = self.typed.recv().await.unwrap_or(Typed::End);
        self.asked = false;
        self.number += u64::from(matches!(typed, Typed::Line(_)));
        typed
    }

    /// The number of the last line typed, from 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}

impl Printer {
    /// Prints text as lines of their own.
    pub(crate) async fn print(&self, text: impl fmt::Display) {
        // The thread is gone only when standard output is: nobody is left to tell.
        let _ = self.orders.send(Order::Print(format!("{text}\n"))).await;
    }

    /// Shows that what was typed up to the line of that number has arrived: at its end, where it still is
    /// the last on the screen. Without a line editor there is nobody to be shown.
    pub(crate) async fn mark(&self, number: u64) {
        if self.edited && number > 0 {
            // The thread is gone only when standard output is.
            let _ = self.orders.send(Order::Mark(number)).await;
        }
    }

    /// Whether somebody types here: then everything shown has to go through this printer.
    pub(crate) fn is_edited(&self) -> bool {
        self.edited
    }

    /// Waits until everything printed so far is out.
    pub(crate) async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        let _ = self.orders.send(Order::Tell(done)).await;
        let _ = wait.await;
    }
}
