//! This user's own record of attempts: a file of JSON lines, the last thousand count.
//!
//! It names nobody: kinds of NAT, stages, times. Several commands may write at once; each line is
//! written in one piece, and only when the file is cut short may a line of another be lost.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use gimlet::stats::{Attempt, Table};
use gimlet::{Endpoint, EndpointEvent, RefuseReason};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, oneshot};
use tokio::task::JoinHandle;

/// Attempts that count.
const KEPT: usize = 1000;

/// Lines at which the file is cut to the [`KEPT`] last ones: so that not every attempt rewrites it.
const MAX_LINES: usize = 2 * KEPT;

/// Longest file read. A line has some 400 bytes; a longer file is another one.
const MAX_FILE: u64 = 4 << 20;

/// One line.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    /// When it ended, seconds since 1970.
    at_s: u64,
    /// Why there was no introduction, where that is where it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refused: Option<RefuseReason>,
    #[serde(flatten)]
    attempt: Attempt,
}

/// Writes an endpoint's attempts down while it works.
pub(crate) struct Recorder {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Recorder {
    /// Starts; without a file nothing is written.
    pub(crate) fn start(endpoint: &Endpoint, file: Option<PathBuf>) -> Self {
        let (stop, stopped) = oneshot::channel();
        let events = endpoint.events();
        let task = tokio::spawn(async move {
            if let Some(file) = file {
                record(events, stopped, &file).await;
            }
        });
        Self { stop, task }
    }

    /// Writes down what there is to write. To be called once the endpoint is closed: then all
    /// attempts have ended.
    pub(crate) async fn finish(self) {
        drop(self.stop);
        // An error says that the task panicked, which the process has reported.
        let _ = self.task.await;
    }
}

async fn record(
    mut events: broadcast::Receiver<EndpointEvent>,
    mut stopped: oneshot::Receiver<()>,
    file: &Path,
) {
    loop {
        tokio::select! {
            biased;
            event = events.recv() => match event {
                Ok(event) => keep(file, event),
                Err(RecvError::Lagged(_)) => (),
                Err(RecvError::Closed) => return,
            },
            _ = &mut stopped => break,
        }
    }
    while let Ok(event) = events.try_recv() {
        keep(file, event);
    }
}

fn keep(file: &Path, event: EndpointEvent) {
    let EndpointEvent::Attempted {
        attempt, refused, ..
    } = event
    else {
        return;
    };
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let entry = Entry {
        at_s: since.map_or(0, |since| since.as_secs()),
        refused,
        attempt,
    };
    if let Err(error) = append(file, &entry) {
        // A command that did its work must not fail over its notes.
        tracing::debug!(%error, file = %file.display(), "attempt not recorded");
    }
}

fn append(file: &Path, entry: &Entry) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let line = crate::output::json(entry) + "\n";
    options.open(file)?.write_all(line.as_bytes())?;
    let text = read(file)?;
    if text.lines().count() > MAX_LINES {
        let short = file.with_extension("jsonl.new");
        let last: String = last_lines(&text)
            .map(|line| line.to_owned() + "\n")
            .collect();
        fs::write(&short, last)?;
        fs::rename(&short, file)?;
    }
    Ok(())
}

fn read(file: &Path) -> io::Result<String> {
    let mut text = Vec::new();
    fs::File::open(file)?
        .take(MAX_FILE)
        .read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn last_lines(text: &str) -> impl Iterator<Item = &str> {
    let skipped = text.lines().count().saturating_sub(KEPT);
    text.lines().skip(skipped)
}

/// What the file says, counted. Lines that another version wrote and this one can't read do not
/// count; no file is an empty table.
pub(crate) fn table(file: &Path) -> io::Result<Table> {
    let text = match read(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        text => text?,
    };
    let mut table = Table::default();
    for line in last_lines(&text) {
        let Ok(entry) = serde_json::from_str::<Entry>(line) else {
            continue;
        };
        table.asked();
        match entry.refused {
            Some(reason) => table.refused(reason),
            None => {
                table.accepted();
                table.add(&entry.attempt);
            }
        }
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(packets: u32) -> Entry {
        Entry {
            at_s: 1,
            refused: None,
            attempt: Attempt {
                packets,
                ..Attempt::default()
            },
        }
    }

    #[test]
    fn the_file_keeps_the_last_thousand_and_never_more_than_twice_that() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deep/attempts.jsonl");
        assert_eq!(table(&file).unwrap().summary().all.attempts, 0);
        for n in 0..5 {
            append(&file, &entry(n)).unwrap();
        }
        assert_eq!(table(&file).unwrap().summary().all.attempts, 5);
        let many: String = (0..MAX_LINES)
            .map(|_| crate::output::json(&entry(9)) + "\n")
            .collect();
        fs::write(&file, many).unwrap();
        append(&file, &entry(1)).unwrap();
        assert_eq!(read(&file).unwrap().lines().count(), KEPT);
        assert_eq!(table(&file).unwrap().summary().all.attempts, KEPT as u64);
    }

    #[test]
    fn refusals_are_introductions_that_were_asked_and_not_accepted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("attempts.jsonl");
        append(&file, &entry(3)).unwrap();
        let refused = Some(RefuseReason::Offline);
        append(
            &file,
            &Entry {
                refused,
                ..entry(0)
            },
        )
        .unwrap();
        let summary = table(&file).unwrap().summary();
        assert_eq!(
            (summary.introductions.asked, summary.introductions.accepted),
            (2, 1)
        );
        assert_eq!(summary.all.attempts, 1);
    }

    #[test]
    fn a_line_that_cannot_be_read_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("attempts.jsonl");
        fs::write(&file, b"\xff\xfe\n{\"at_s\":1}\nnothing\n").unwrap();
        append(&file, &entry(3)).unwrap();
        assert_eq!(table(&file).unwrap().summary().all.attempts, 1);
    }
}
