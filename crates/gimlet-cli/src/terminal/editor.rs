//! The line editor: rustyline, with a printer that redraws the line being typed.

use std::io;
use std::sync::mpsc::Receiver;

use anstream::ColorChoice;
use rustyline::error::ReadlineError;
use rustyline::{Config, DefaultEditor, ExternalPrinter};
use tokio::sync::mpsc;

use super::last::Last;
use super::plain::tell;
use super::{Order, Typed};

/// Lines kept to go back to with the arrow keys.
const HISTORY: usize = 500;

/// A terminal with a line editor on it.
pub(super) struct Editor {
    reader: Reader,
    printer: Printer,
}

/// Its reading half.
pub(super) struct Reader {
    editor: DefaultEditor,
    last: Last,
}

/// Its printing half.
pub(super) struct Printer {
    printer: Box<dyn ExternalPrinter + Send>,
    styled: bool,
    last: Last,
}

impl Editor {
    /// Takes the terminal. Fails where it can't redraw a line.
    pub(super) fn new() -> Result<Self, ReadlineError> {
        let config = Config::builder()
            .max_history_size(HISTORY)?
            // So that leaving in the middle of a line has no mode but the terminal's own to restore.
            .bracketed_paste(false)
            .build();
        let mut editor = DefaultEditor::with_config(config)?;
        let printer = Box::new(editor.create_external_printer()?);
        let styled = anstream::AutoStream::choice(&io::stdout()) != ColorChoice::Never;
        let last = Last::default();
        Ok(Self {
            reader: Reader {
                editor,
                last: last.clone(),
            },
            printer: Printer {
                printer,
                styled,
                last,
            },
        })
    }

    pub(super) fn split(self) -> (Reader, Printer) {
        (self.reader, self.printer)
    }
}

impl Reader {
    /// Reads a line each time one is asked for.
    pub(super) fn read(
        mut self,
        asked: &Receiver<String>,
        typed_by: &mpsc::UnboundedSender<Typed>,
    ) {
        while let Ok(prompt) = asked.recv() {
            let typed = match self.editor.readline(&prompt) {
                Ok(line) => {
                    self.last.typed(&prompt, &line);
                    // A line that can't be remembered is still a line.
                    let _ = self.editor.add_history_entry(&line);
                    Typed::Line(line)
                }
                Err(ReadlineError::Interrupted) => Typed::Interrupted,
                Err(_) => Typed::End,
            };
            let end = typed == Typed::End;
            if typed_by.send(typed).is_err() || end {
                return;
            }
        }
    }
}

impl Printer {
    /// Prints what is ordered until the terminal is gone. A thread of its own, because rustyline
    /// holds a message back until the line being typed can be redrawn.
    pub(super) fn print(mut self, mut ordered: mpsc::Receiver<Order>) {
        while let Some(order) = ordered.blocking_recv() {
            let printed = match &order {
                Order::Print(text) => {
                    self.last.printed();
                    self.print_text(text)
                }
                Order::Mark(number) => match self.last.mark(*number) {
                    // Moves of the cursor are no style.
                    Some(mark) => self.printer.print(mark),
                    None => {
                        let dim = anstyle::Style::new().dimmed();
                        self.print_text(&format!("{dim}  ✓ arrived{dim:#}\n"))
                    }
                },
                Order::Tell(_) => Ok(()),
            };
            if printed.is_err() {
                return;
            }
            tell(order);
        }
    }

    fn print_text(&mut self, text: &str) -> Result<(), ReadlineError> {
        self.printer.print(match self.styled {
            true => text.to_owned(),
            false => anstream::adapter::strip_str(text).to_string(),
        })
    }
}
