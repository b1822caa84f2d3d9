//! What the sender says: the manifest, and that it is there.

use std::io;

use gimlet::{Connection, SendStream};
use tokio::time::interval;

use super::SendError;
use super::over;
use crate::files::session::{self, ALIVE_INTERVAL};
use crate::files::walk::Scan;
use crate::files::wire::{self, FromSender};

/// Writes the manifest, and then a sign of life now and then. Ends only with the connection.
pub(super) async fn run(connection: &Connection, mut send: SendStream, scan: &Scan) -> SendError {
    let spoken = async {
        let mut frames = Vec::new();
        // Piece by piece: a long manifest need not be in memory twice.
        for entries in scan.manifest.entries().chunks(1000) {
            frames.clear();
            wire::entries(entries, &mut frames);
            session::write(&mut send, &frames).await?;
        }
        frames.clear();
        FromSender::End.encode(&mut frames);
        session::write(&mut send, &frames).await?;
        let mut alive = Vec::new();
        FromSender::Alive.encode(&mut alive);
        let mut ticks = interval(ALIVE_INTERVAL);
        loop {
            ticks.tick().await;
            session::write(&mut send, &alive).await?;
        }
    };
    match spoken.await {
        Ok::<std::convert::Infallible, io::Error>(never) => match never {},
        Err(_) => over(connection).await,
    }
}
