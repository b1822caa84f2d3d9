//! A pseudo-terminal with a program on it, and the screen as its user sees it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use super::DEADLINE;

/// Columns of the terminal: no line of the tests is longer.
const COLUMNS: u16 = 200;

/// Killed when dropped.
pub(crate) struct Terminal {
    child: Child,
    keys: File,
    output: Receiver<Vec<u8>>,
    screen: Screen,
    /// The modes before the program began.
    pub(crate) modes_before: LocalModes,
}

impl Terminal {
    /// As wide as no line of the test is long.
    pub(crate) fn run(command: Command) -> Self {
        Self::run_wide(command, COLUMNS)
    }

    /// With so many columns.
    pub(crate) fn run_wide(mut command: Command, columns: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let path = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let size = Winsize {
            ws_row: 50,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&master, size).unwrap();
        let end = || {
            let flags = OpenptFlags::NOCTTY.bits() as i32;
            let mut options = File::options();
            options.read(true).write(true).custom_flags(flags);
            options.open(&path).unwrap()
        };
        let modes_before = tcgetattr(&master).unwrap().local_modes;
        let child = (command.env("TERM", "xterm"))
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        let keys = File::from(master);
        let mut reader = keys.try_clone().unwrap();
        let (send, output) = channel();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            // Reading fails once the program has closed the terminal.
            while let Ok(read @ 1..) = reader.read(&mut bytes) {
                if send.send(bytes[..read].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            keys,
            output,
            screen: Screen {
                columns: columns.into(),
                ..Screen::default()
            },
            modes_before,
        }
    }

    /// Presses keys.
    pub(crate) fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// The terminal's modes: line by line with echo, or raw.
    pub(crate) fn modes(&self) -> LocalModes {
        tcgetattr(&self.keys).unwrap().local_modes
    }

    /// Waits until the screen shows what is wanted; panics with the screen when it doesn't.
    #[track_caller]
    pub(crate) fn wait(&mut self, what: &str, wanted: impl Fn(&[String]) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !wanted(&self.screen.lines) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.screen.show(&String::from_utf8_lossy(&bytes)),
                Err(why) => panic!(
                    "waiting for {what}: {why}\n{}",
                    self.screen.lines.join("\n")
                ),
            }
        }
    }

    /// Waits until the last line is this one.
    #[track_caller]
    pub(crate) fn wait_last(&mut self, line: &str) {
        self.wait(line, |lines| {
            lines.last().is_some_and(|last| last.trim_end() == line)
        });
    }

    /// Waits until some line is this one.
    #[track_caller]
    pub(crate) fn wait_line(&mut self, line: &str) {
        self.wait(line, |lines| {
            lines.iter().any(|shown| shown.trim_end() == line)
        });
    }

    /// Waits for the program's end.
    #[track_caller]
    pub(crate) fn wait_exit(&mut self) -> ExitStatus {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "still running");
            // Output must be taken, or the program would wait for us.
            if let Ok(bytes) = self.output.recv_timeout(Duration::from_millis(10)) {
                self.screen.show(&String::from_utf8_lossy(&bytes));
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Enough of a terminal for a line editor: cursor movements and erasing.
#[derive(Debug)]
struct Screen {
    lines: Vec<String>,
    row: usize,
    column: usize,
    columns: usize,
    /// An escape sequence that is not complete yet.
    pending: String,
}

impl Default for Screen {
    fn default() -> Self {
        Self {
            lines: vec![String::new()],
            row: 0,
            column: 0,
            columns: COLUMNS.into(),
            pending: String::new(),
        }
    }
}

impl Screen {
    fn show(&mut self, output: &str) {
        for c in output.chars() {
            if !self.pending.is_empty() {
                self.pending.push(c);
                if c.is_ascii_alphabetic() {
                    let sequence = std::mem::take(&mut self.pending);
                    self.control(&sequence[1..]);
                }
                continue;
            }
            match c {
                '\u{1b}' => self.pending.push(c),
                '\r' => self.column = 0,
                '\n' => self.down(1),
                '\u{7}' => (),
                c => self.put(c),
            }
        }
    }

    fn put(&mut self, c: char) {
        if self.column >= self.columns {
            self.column = 0;
            self.down(1);
        }
        let mut line: Vec<char> = self.lines[self.row].chars().collect();
        line.resize(line.len().max(self.column + 1), ' ');
        line[self.column] = c;
        self.lines[self.row] = line.into_iter().collect();
        self.column += 1;
    }

    fn control(&mut self, sequence: &str) {
        let Some(sequence) = sequence.strip_prefix('[') else {
            return;
        };
        let (number, kind) = sequence.split_at(sequence.len() - 1);
        let count = number.parse().unwrap_or(1);
        match kind {
            "A" => self.row = self.row.saturating_sub(count),
            "B" => self.down(count),
            "C" => self.column += count,
            "D" => self.column = self.column.saturating_sub(count),
            "G" => self.column = count - 1,
            "K" => self.erase_line(),
            "J" => {
                self.erase_line();
                self.lines.truncate(self.row + 1);
            }
            // Modes and colours don't show in text.
            _ => (),
        }
    }

    fn erase_line(&mut self) {
        let kept: String = self.lines[self.row].chars().take(self.column).collect();
        self.lines[self.row] = kept;
    }

    fn down(&mut self, count: usize) {
        self.row += count;
        while self.lines.len() <= self.row {
            self.lines.push(String::new());
        }
    }
}
