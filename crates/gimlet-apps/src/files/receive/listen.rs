//! What the sender says: the manifest, and that it is there.

use std::io;

use gimlet::{Connection, RecvStream};
use tokio::sync::oneshot;

use super::lost;
use crate::files::error::ReceiveError;
use crate::files::manifest::Manifest;
use crate::files::session::Watch;
use crate::files::wire::{self, FromSender};

/// Hears the manifest, and then signs of life. Ends only with an error.
pub(super) async fn run(
    connection: &Connection,
    mut recv: RecvStream,
    whole: oneshot::Sender<Manifest>,
    watch: &Watch,
) -> ReceiveError {
    let mut building = Some((Manifest::new(), whole));
    loop {
        let frame = match wire::read(&mut recv).await {
            Ok(Some(frame)) => frame,
            Ok(None) => return lost(connection),
            Err(error) => return or_lost(connection, &error),
        };
        watch.heard();
        match (FromSender::decode(frame), &mut building) {
            (Ok(FromSender::Entries(entries)), Some((manifest, _))) => {
                for entry in entries {
                    if let Err(error) = manifest.push(entry) {
                        return error.into();
                    }
                }
            }
            (Ok(FromSender::End), Some(_)) => {
                if let Some((manifest, whole)) = building.take() {
                    // Nobody waits only where the transfer is over.
                    let _ = whole.send(manifest);
                }
            }
            (Ok(FromSender::Alive), _) => (),
            (Ok(FromSender::Entries(_) | FromSender::End), None) | (Err(_), _) => {
                return ReceiveError::Misbehaved;
            }
        }
    }
}

/// Why a stream failed: the connection is over, or the sender has done something to it.
fn or_lost(connection: &Connection, error: &io::Error) -> ReceiveError {
    match error.kind() {
        io::ErrorKind::InvalidData => ReceiveError::Misbehaved,
        _ => lost(connection),
    }
}
