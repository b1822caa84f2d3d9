//! Hands the data to the writing thread.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use gimlet::Connection;
use gimlet::bulk::{self, Acceptor};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::mpsc;
use tokio::time::{Instant, interval};

use super::{lost, lost_with};
use crate::files::BULK;
use crate::files::buffer::Buffer;
use crate::files::error::ReceiveError;
use crate::files::packer::{Packer, Parcel};
use crate::files::session::{ALIVE_INTERVAL, Watch};

/// Buffers under way: one is filled while one is hashed and written. What they hold is what an
/// interruption costs: less than two chunks. Where writing is slower, what comes meanwhile waits in
/// the connection.
pub(super) const BUFFERS: usize = 2;

/// Moves the data. Ends only with an error.
pub(super) async fn run(
    connection: &Connection,
    parcels: mpsc::Sender<Parcel>,
    mut spare: mpsc::Receiver<Buffer>,
    watch: &Watch,
) -> ReceiveError {
    let mut acceptor = Acceptor::new(connection.clone());
    let mut bulk = match acceptor.accept().await {
        Ok(bulk) if bulk.id() == BULK => bulk,
        Ok(_) => return ReceiveError::Misbehaved,
        Err(bulk::AcceptError::Connection(error)) => return lost_with(error.into()),
        Err(bulk::AcceptError::NoStripe) => return ReceiveError::Misbehaved,
    };
    let mut packer = Packer::new();
    loop {
        if packer.wants_buffer() {
            // While this waits for the disk nothing is read, and the sender may be kept from speaking.
            let Some(buffer) = patient(watch, spare.recv()).await else {
                return std::future::pending().await;
            };
            packer.give(buffer);
        }
        let came = std::future::poll_fn(|cx| poll(cx, Pin::new(&mut bulk), &mut packer, watch));
        let parcel = match came.await {
            Ok(Some(parcel)) => parcel,
            Ok(None) => return lost(connection),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return ReceiveError::Misbehaved;
            }
            Err(_) => return lost(connection),
        };
        if patient(watch, parcels.send(parcel)).await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Waits for our own side, which is nobody's silence.
async fn patient<T>(watch: &Watch, wait: impl Future<Output = T>) -> T {
    let mut ticks = interval(ALIVE_INTERVAL);
    let mut wait = pin!(wait);
    loop {
        tokio::select! {
            biased;
            done = &mut wait => return done,
            _ = ticks.tick() => watch.heard(),
        }
    }
}

/// The next parcel; `None` at the end of the data.
fn poll(
    cx: &mut Context<'_>,
    mut bulk: Pin<&mut impl AsyncRead>,
    packer: &mut Packer,
    watch: &Watch,
) -> Poll<io::Result<Option<Parcel>>> {
    loop {
        let mut room = ReadBuf::new(packer.room());
        let read = match bulk.as_mut().poll_read(cx, &mut room) {
            Poll::Pending => {
                return match packer.idle() {
                    Some(parcel) => Poll::Ready(Ok(Some(parcel))),
                    // The stream tells when more has come.
                    None => Poll::Pending,
                };
            }
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => room.filled().len(),
        };
        if read == 0 {
            return Poll::Ready(Ok(None));
        }
        watch.heard();
        let came = packer.came(read, Instant::now().into_std());
        let came = came.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        if came.is_some() {
            return Poll::Ready(Ok(came));
        }
    }
}
