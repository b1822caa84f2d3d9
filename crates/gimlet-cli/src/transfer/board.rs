//! Where all transfers of a command are shown: a line for each piece of news, and one that moves.

mod line;
mod rate;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gimlet::Connection;
use gimlet_apps::files::{Event, Progress as Far, Reports, Summary};
use tokio::time::{Instant, interval};

use super::news::News;
use crate::describe;
use crate::output::Output;
use crate::progress::Progress;
use crate::session::Found;
use line::{Row, line};
use rate::Rate;

/// Gap between two looks at how far a transfer is, and between two lines of progress for programs.
const TICK: Duration = Duration::from_millis(250);

/// Files above which people are told of them together, not one by one.
const MANY: u32 = 20;

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Sending,
    Receiving,
}

/// What is shown.
pub(crate) struct Board {
    output: Output,
    state: Mutex<State>,
}

struct State {
    line: Progress,
    /// Bytes that had arrived in the transfer that ended last.
    arrived: u64,
    running: BTreeMap<u64, Row>,
}

impl Board {
    pub(crate) fn new(output: Output) -> Self {
        let state = Mutex::new(State {
            line: Progress::new(&output),
            arrived: 0,
            running: BTreeMap::new(),
        });
        Self { output, state }
    }

    /// Bytes that had arrived in the transfer that ended last.
    pub(crate) fn arrived(&self) -> u64 {
        self.state().arrived
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prints a piece of news; people get only what they asked for on standard output.
    pub(crate) fn news(&self, news: &News) -> io::Result<()> {
        let mut state = self.state();
        state.line.clear();
        match news {
            News::File { .. } | News::Done { .. } => self.output.print(news)?,
            News::Began { .. } | News::Progress { .. } if !self.output.is_json() => (),
            _ if self.output.is_json() => self.output.print(news)?,
            _ => self.output.note(news),
        }
        state.show();
        Ok(())
    }

    /// Shows a transfer while it runs, from what it reports; its end, too. A connection that is given up for a
    /// better one before anything was said over it is no news.
    pub(crate) async fn watch<E>(
        &self,
        side: Side,
        found: &Found,
        connection: &Connection,
        mut reports: Reports,
        transfer: impl Future<Output = Result<Summary, E>>,
    ) -> io::Result<Result<Summary, E>> {
        let began_at = Instant::now();
        let shown = Shown {
            board: self,
            id: self.enter(side, found),
        };
        let mut begun = false;
        let done = tokio::select! {
            done = transfer => done,
            error = self.follow(shown.id, found, connection, &mut reports, &mut begun) => {
                return Err(error);
            }
        };
        let peer = found.peer.to_string();
        let far = reports.progress();
        while let Some(event) = reports.try_next() {
            self.begin(found, connection, &mut begun)?;
            self.event(&peer, far.total_files, event)?;
        }
        self.state().arrived = far.bytes;
        drop(shown);
        if let Ok(summary) = &done {
            self.begin(found, connection, &mut begun)?;
            let seconds = began_at.elapsed().as_secs_f64();
            let path = describe::path_kind(connection.path().kind);
            self.news(&News::done(found, summary, seconds, path))?;
        }
        Ok(done)
    }

    /// Tells, once, that a transfer begins.
    fn begin(&self, found: &Found, connection: &Connection, begun: &mut bool) -> io::Result<()> {
        if std::mem::replace(begun, true) {
            return Ok(());
        }
        self.news(&News::Connected {
            peer: found.peer.to_string(),
            label: found.label.clone(),
            path: describe::path_kind(connection.path().kind),
        })
    }

    fn enter(&self, side: Side, found: &Found) -> u64 {
        let mut state = self.state();
        let id = state.running.last_key_value().map_or(0, |(id, _)| id + 1);
        state.running.insert(
            id,
            Row {
                label: found.label.clone(),
                side,
                far: Far::default(),
                rate: Rate::new(Instant::now()),
                path: "",
            },
        );
        id
    }

    /// Tells what happens. Ends only when nobody can be told.
    async fn follow(
        &self,
        id: u64,
        found: &Found,
        connection: &Connection,
        reports: &mut Reports,
        begun: &mut bool,
    ) -> io::Error {
        let peer = found.peer.to_string();
        let mut ticks = interval(TICK);
        loop {
            let told = tokio::select! {
                Some(event) = reports.next() => {
                    self.begin(found, connection, begun).and_then(|()| {
                        self.event(&peer, reports.progress().total_files, event)
                    })
                }
                _ = ticks.tick() => {
                    let path = describe::path_kind(connection.path().kind);
                    let far = reports.progress();
                    let rate = self.tick(id, far, path);
                    match far.total > 0 && *begun && self.output.is_json() {
                        true => self.news(&News::progress(&peer, far, rate, path)),
                        false => Ok(()),
                    }
                }
            };
            if let Err(error) = told {
                return error;
            }
        }
    }

    fn event(&self, peer: &str, files: u32, event: Event) -> io::Result<()> {
        let is_one_of_many = matches!(event, Event::Finished(_)) && files > MANY;
        match News::of(peer, event) {
            Some(news) if self.output.is_json() || !is_one_of_many => self.news(&news),
            Some(_) | None => Ok(()),
        }
    }

    fn tick(&self, id: u64, far: Far, path: &'static str) -> f64 {
        let mut state = self.state();
        let mut rate = 0.0;
        if let Some(row) = state.running.get_mut(&id) {
            row.far = far;
            row.path = path;
            rate = row
                .rate
                .update(Instant::now(), far.bytes - far.resumed.min(far.bytes));
        }
        state.show();
        rate
    }
}

/// A row, gone with the transfer also where that is given up.
struct Shown<'a> {
    board: &'a Board,
    id: u64,
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        let mut state = self.board.state();
        state.running.remove(&self.id);
        state.line.clear();
        state.show();
    }
}

impl State {
    fn show(&mut self) {
        if let Some(line) = line(self.running.values(), Progress::columns()) {
            self.line.show(line);
        }
    }
}
