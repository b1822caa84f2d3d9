//! File transfers as people and programs see them, and what both commands do: going on after an
//! interruption.

mod board;
mod missed;
mod news;

use std::time::Duration;

use gimlet::{Connection, Endpoint, Presence};
use gimlet_apps::files::{self, ReceiveError, SendError, Summary};
use tokio::time::Instant;

use crate::exit::{Failure, Outcome, Status};
use crate::session::{Context, Found};

use missed::Tidings;

pub(crate) use board::{Board, Side};
pub(crate) use news::News;

/// Transfers at a time. Each holds a few MiB and two threads; more are sent away.
pub(crate) const MAX_TRANSFERS: usize = 32;

/// How long a peer that was lost is dialled again without a byte of progress: long enough to start a
/// machine anew.
const PATIENCE: Duration = Duration::from_secs(300);

/// Pause before a peer that was lost is dialled again.
const PAUSE: Duration = Duration::from_secs(1);

/// How a transfer ended.
pub(crate) enum Ended {
    /// Everything has arrived, but for some files that could not be read.
    Done(Summary),
    /// The other side is gone; the same again goes on where this ended.
    Interrupted(String),
    /// It makes no sense to go on. `theirs`: another peer may do better.
    Failed { failure: Failure, theirs: bool },
}

impl Ended {
    pub(crate) fn sent(done: Result<Summary, SendError>, label: &str) -> Self {
        let error = match done {
            Ok(summary) => return Self::Done(summary),
            Err(error) if error.is_interruption() => return Self::Interrupted(error.to_string()),
            Err(error) => error,
        };
        let theirs = !matches!(error, SendError::Scan(_));
        let hint = match &error {
            SendError::Refused { code, .. } if *code == u64::from(files::EXISTS) => {
                Some("it can receive into another folder (--dir), or with --overwrite")
            }
            SendError::Refused { code, .. } if *code == u64::from(files::NO_SPACE) => {
                Some("once there is space, the same command goes on where this ended")
            }
            _ => None,
        };
        Self::failed(error, hint, label, theirs)
    }

    pub(crate) fn received(done: Result<Summary, ReceiveError>, label: &str) -> Self {
        let error = match done {
            Ok(summary) => return Self::Done(summary),
            Err(error) if error.is_interruption() => return Self::Interrupted(error.to_string()),
            Err(error) => error,
        };
        let theirs = match &error {
            ReceiveError::Exists { .. } | ReceiveError::Disk { .. } | ReceiveError::Twice => false,
            ReceiveError::Lost(_)
            | ReceiveError::Silent
            | ReceiveError::Refused { .. }
            | ReceiveError::BothReceive
            | ReceiveError::Manifest(_)
            | ReceiveError::Corrupt
            | ReceiveError::Misbehaved => true,
        };
        let hint = match &error {
            ReceiveError::Exists { .. } => {
                Some("--overwrite replaces it, --dir puts what comes elsewhere")
            }
            error if error.is_disk_full() => {
                Some("what came is kept: free some space, and the same command goes on")
            }
            ReceiveError::Disk { .. } => {
                Some("what came is kept: the same command goes on with it")
            }
            _ => None,
        };
        Self::failed(error, hint, label, theirs)
    }

    /// Nobody can be told what happens.
    pub(crate) fn unprintable(error: std::io::Error) -> Self {
        Self::Failed {
            failure: error.into(),
            theirs: false,
        }
    }

    fn failed(
        error: impl Into<anyhow::Error>,
        hint: Option<&str>,
        label: &str,
        theirs: bool,
    ) -> Self {
        let mut failure = Failure::new(Status::Failed, error.into().context(label.to_owned()));
        if let Some(hint) = hint {
            failure = failure.hint(hint);
        }
        Self::Failed { failure, theirs }
    }
}

/// The exit status of a transfer that came to its end.
pub(crate) fn status(summary: &Summary) -> Outcome {
    match summary.failed {
        0 => Ok(Status::Done),
        1 => Err(Failure::new(
            Status::Failed,
            anyhow::anyhow!("a file was not sent"),
        )),
        some => Err(Failure::new(
            Status::Failed,
            anyhow::anyhow!("{some} files were not sent"),
        )),
    }
}

/// Dials a peer and transfers, again and again while that may help.
pub(crate) async fn persist(
    context: &Context,
    endpoint: &Endpoint,
    peer: &str,
    board: &Board,
    transfer: impl AsyncFn(&Found, &Connection) -> Ended,
) -> Outcome {
    let found = context.find(endpoint, peer).await?;
    let mut tidings = Tidings::of(endpoint, found.peer).await;
    let mut lost: Option<(Instant, u64)> = None;
    loop {
        let dialled = tokio::select! {
            dialled = endpoint.connect(found.peer, files::ALPN) => dialled,
            // It has come meanwhile, where this dial may not lead to it.
            _ = tidings.next(), if lost.is_some() => continue,
        };
        let mut missed = None;
        let why = match dialled {
            Ok(connection) => {
                let connection = enlarged(endpoint, connection).await;
                context.remember(peer, found.peer);
                let ended;
                let transfer = transfer(&found, &connection);
                (ended, missed) = attempt(&connection, &mut tidings, transfer).await;
                match ended {
                    Ended::Done(summary) => return status(&summary),
                    Ended::Failed { failure, .. } => return Err(failure),
                    Ended::Interrupted(why) => why,
                }
            }
            // A peer that was never there is not waited for.
            Err(error) if lost.is_none() => return Err(Failure::connect(error, &found.label)),
            Err(error) => error.to_string(),
        };
        let bytes = board.arrived();
        let now = Instant::now();
        let since = match lost {
            Some((since, then)) if then == bytes => since,
            Some(_) | None => {
                board.news(&News::interrupted(&found, &why, true))?;
                now
            }
        };
        lost = Some((since, bytes));
        if now.duration_since(since) > PATIENCE {
            let error = anyhow::anyhow!("{why}").context(format!("gave up on {}", found.label));
            let hint = "the same command goes on where this ended";
            return Err(Failure::new(Status::Unreachable, error).hint(hint));
        }
        if missed != Some(Presence::Online) {
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => (),
                _ = tidings.next() => (),
            }
        }
    }
}

/// The connection, or one made anew that has longer datagrams.
pub(crate) async fn enlarged(endpoint: &Endpoint, connection: Connection) -> Connection {
    match endpoint.enlarged(&connection).await {
        Some(large) => {
            connection.close(files::GONE, b"superseded");
            large
        }
        None => connection,
    }
}

/// Transfers over one connection. Where that ended it although the peer is there or was missed, also what is
/// known of that peer.
async fn attempt(
    connection: &Connection,
    tidings: &mut Tidings,
    transfer: impl Future<Output = Ended>,
) -> (Ended, Option<Presence>) {
    tokio::pin!(transfer);
    let presence = tokio::select! {
        ended = &mut transfer => {
            if matches!(ended, Ended::Interrupted(_)) {
                connection.close(files::GONE, b"interrupted");
            }
            return (ended, None);
        }
        presence = tidings.missed(connection) => presence,
        () = connection.outgrown() => {
            connection.close(files::GONE, b"outgrown");
            let ended = match transfer.await {
                Ended::Interrupted(_) => Ended::Interrupted("its path has changed".to_owned()),
                ended @ (Ended::Done(_) | Ended::Failed { .. }) => ended,
            };
            return (ended, Some(Presence::Online));
        }
    };
    // It ends at that as with any other loss.
    connection.close(files::GONE, b"missed");
    let ended = match (transfer.await, presence) {
        (Ended::Interrupted(_), Presence::Online) => {
            Ended::Interrupted("it was started anew".to_owned())
        }
        (Ended::Interrupted(_), Presence::Offline | Presence::Unknown) => {
            Ended::Interrupted("it is gone".to_owned())
        }
        (ended @ (Ended::Done(_) | Ended::Failed { .. }), _) => ended,
    };
    (ended, Some(presence))
}
