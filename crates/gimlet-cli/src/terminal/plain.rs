//! Input and output without a line editor: a script, a pipe, or a terminal that can't do it.

use std::io::{self, BufRead, Read, Write};
use std::sync::mpsc::Receiver;

use tokio::sync::{mpsc, oneshot};

use super::{Order, Typed};

/// Longest line read, in bytes: a script without line ends must not fill memory.
const MAX_LINE: u64 = 1 << 20;

/// Reads a line each time one is asked for.
pub(super) fn read(asked: &Receiver<String>, typed_by: &mpsc::UnboundedSender<Typed>) {
    let mut input = io::stdin().lock();
    while asked.recv().is_ok() {
        let mut line = Vec::new();
        let typed = match (&mut input).take(MAX_LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => Typed::End,
            Ok(_) => {
                let line = String::from_utf8_lossy(&line);
                Typed::Line(line.trim_end_matches(['\n', '\r']).to_owned())
            }
        };
        let end = typed == Typed::End;
        if typed_by.send(typed).is_err() || end {
            return;
        }
    }
}

/// Prints what is ordered until standard output is gone.
pub(super) fn print(mut ordered: mpsc::Receiver<Order>) {
    let mut out = anstream::stdout();
    while let Some(order) = ordered.blocking_recv() {
        if let Order::Print(text) = &order
            && out
                .write_all(text.as_bytes())
                .and_then(|()| out.flush())
                .is_err()
        {
            return;
        }
        tell(order);
    }
}

/// Answers who waits for this place in the output.
pub(super) fn tell(order: Order) {
    if let Order::Tell(done) = order {
        let done: oneshot::Sender<()> = done;
        // Who asked may have stopped waiting.
        let _ = done.send(());
    }
}
