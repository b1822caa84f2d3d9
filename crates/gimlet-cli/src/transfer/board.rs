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
        let mut shown = Shown {
            board: self,
            id: self.enter(side, found),
            found,
            connection,
            has_begun: false,
        };
        let done = tokio::select! {
            done = transfer => done,
            error = shown.follow(&mut reports) => return Err(error),
        };
        let far = reports.progress();
        while let Some(event) = reports.try_next() {
            shown.event(far.total_files, event)?;
        }
        self.state().arrived = far.bytes;
        if let Ok(summary) = &done {
            shown.begin()?;
            let seconds = began_at.elapsed().as_secs_f64();
            let path = shown.path();
            drop(shown);
            self.news(&News::done(found, summary, seconds, path))?;
        }
        Ok(done)
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

/// A transfer and its row, which is gone with it also where it is given up.
struct Shown<'a> {
    board: &'a Board,
    id: u64,
    found: &'a Found,
    connection: &'a Connection,
    /// Whether it was told that it begins.
    has_begun: bool,
}

impl Shown<'_> {
    /// Tells what happens. Ends only when nobody can be told.
    async fn follow(&mut self, reports: &mut Reports) -> io::Error {
        let mut ticks = interval(TICK);
        loop {
            let told = tokio::select! {
                Some(event) = reports.next() => self.event(reports.progress().total_files, event),
                _ = ticks.tick() => self.tick(reports.progress()),
            };
            if let Err(error) = told {
                return error;
            }
        }
    }

    /// Tells, once, that it begins.
    fn begin(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.has_begun, true) {
            return Ok(());
        }
        self.board.news(&News::Connected {
            peer: self.found.peer.to_string(),
            label: self.found.label.clone(),
            path: self.path(),
        })
    }

    fn event(&mut self, files: u32, event: Event) -> io::Result<()> {
        self.begin()?;
        let is_one_of_many = matches!(event, Event::Finished(_)) && files > MANY;
        match News::of(&self.found.peer.to_string(), event) {
            Some(news) if self.board.output.is_json() || !is_one_of_many => self.board.news(&news),
            Some(_) | None => Ok(()),
        }
    }

    fn tick(&self, far: Far) -> io::Result<()> {
        let path = self.path();
        let rate = self.board.tick(self.id, far, path);
        match far.total > 0 && self.has_begun && self.board.output.is_json() {
            true => (self.board).news(&News::progress(
                &self.found.peer.to_string(),
                far,
                rate,
                path,
            )),
            false => Ok(()),
        }
    }

    fn path(&self) -> &'static str {
        describe::path_kind(self.connection.path().kind)
    }
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
