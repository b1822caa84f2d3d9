//! What the receiver says: what it wants, what it has, and that it is there.

use gimlet::{Connection, SendStream};
use tokio::sync::mpsc;
use tokio::time::interval;

use super::lost_with;
use crate::files::error::ReceiveError;
use crate::files::session::{self, ALIVE_INTERVAL};
use crate::files::wire::{self, FromReceiver};

/// Says what there is to say, and now and then that we are there. After the last word it waits for
/// the connection's end.
pub(super) async fn run(
    connection: &Connection,
    mut send: SendStream,
    mut out: mpsc::UnboundedReceiver<FromReceiver>,
) -> ReceiveError {
    let mut ticks = interval(ALIVE_INTERVAL);
    let mut frames = Vec::new();
    loop {
        frames.clear();
        let mut complete = false;
        tokio::select! {
            message = out.recv() => {
                let mut next = message;
                while let Some(message) = next {
                    message.encode(&mut frames);
                    complete |= matches!(message, FromReceiver::Complete { .. });
                    next = match frames.len() < wire::MAX_BODY {
                        true => out.try_recv().ok(),
                        false => None,
                    };
                }
                if frames.is_empty() {
                    // The writer has gone; why, others tell.
                    std::future::pending::<()>().await;
                }
            }
            _ = ticks.tick() => FromReceiver::Alive.encode(&mut frames),
        }
        if session::write(&mut send, &frames).await.is_err() {
            return lost_with(connection.closed().await);
        }
        if complete {
            // Fails only where the connection is over.
            let _ = send.finish();
            return lost_with(connection.closed().await);
        }
    }
}
