//! The receiving end of a bulk.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use gimlet_net::window::ReceiveWindow;
use quinn::RecvStream;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Instant;

use super::Turn;

/// Reads bulk data in order. Dropped early, it stops the sender.
#[derive(Debug)]
pub struct Receiver {
    id: u64,
    streams: Vec<RecvStream>,
    window: Arc<ReceiveWindow>,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Reading(Turn),
    /// A stripe has ended in its turn; those before this one are seen to have ended, too.
    Ending {
        first: usize,
        seen: usize,
    },
    Ended,
}

/// A peer's stripes do not fit together: one ended, and another went on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stripes of the bulk do not end together")]
pub struct Ragged;

impl Receiver {
    /// Of stripes in their order, of which there is at least one, after their headers.
    pub(super) fn new(id: u64, streams: Vec<RecvStream>, window: Arc<ReceiveWindow>) -> Self {
        Self {
            id,
            streams,
            window,
            state: State::Reading(Turn::first()),
        }
    }

    /// What the sender calls it.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Tells the sender to stop, with a `code`.
    pub fn stop(&mut self, code: u32) {
        for stream in &mut self.streams {
            // Fails where it is over already, which is what is wanted.
            let _ = stream.stop(code.into());
        }
    }

    /// Sees that all other stripes have ended where the data has.
    fn poll_end(
        &mut self,
        cx: &mut Context<'_>,
        first: usize,
        seen: usize,
    ) -> Poll<io::Result<()>> {
        for seen in seen..self.streams.len() {
            self.state = State::Ending { first, seen };
            let stripe = (first + seen) % self.streams.len();
            let mut byte = [0];
            let mut buffer = ReadBuf::new(&mut byte);
            let stream = Pin::new(&mut self.streams[stripe]);
            ready!(AsyncRead::poll_read(stream, cx, &mut buffer))?;
            if !buffer.filled().is_empty() {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, Ragged)));
            }
        }
        self.state = State::Ended;
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Receiver {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let mut turn = match this.state {
            State::Reading(turn) => turn,
            State::Ending { first, seen } => return this.poll_end(cx, first, seen),
            State::Ended => return Poll::Ready(Ok(())),
        };
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let most = buffer.remaining().min(turn.left as usize);
        // Costs nothing where the caller's buffer is initialised, as it mostly is.
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(most));
        let stream = Pin::new(&mut this.streams[turn.stripe]);
        ready!(AsyncRead::poll_read(stream, cx, &mut part))?;
        let read = part.filled().len();
        if read == 0 {
            return this.poll_end(cx, turn.stripe, 1);
        }
        buffer.advance(read);
        this.window.on_read(Instant::now().into_std(), read);
        turn.advance(read, this.streams.len());
        this.state = State::Reading(turn);
        Poll::Ready(Ok(()))
    }
}
