//! The receiving end of a bulk.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use gimlet_net::window::ReceiveWindow;
use quinn::{ReadError, RecvStream};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Instant;

use super::Turn;

/// Reads bulk data in order. Dropped early, it stops the sender.
#[derive(Debug)]
pub struct Receiver {
    id: u64,
    stripes: Vec<Stripe>,
    window: Arc<ReceiveWindow>,
    state: State,
}

#[derive(Debug)]
struct Stripe {
    stream: RecvStream,
    /// What was read of it before its turn, with the end of its turn before: as many pieces at most as
    /// a caller of [`Receiver::read_chunks`] takes at once.
    ahead: VecDeque<Bytes>,
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

/// Why no more of a bulk can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadBulkError {
    /// The sender gave up, or the connection is over.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The sender's stripes do not fit together: one ended, and another went on.
    #[error("the stripes of the bulk do not end together")]
    Ragged,
}

impl From<ReadBulkError> for io::Error {
    fn from(error: ReadBulkError) -> Self {
        match error {
            ReadBulkError::Read(error) => error.into(),
            ReadBulkError::Ragged => Self::new(io::ErrorKind::InvalidData, error),
        }
    }
}

impl Receiver {
    /// Of stripes in their order, of which there is at least one, after their headers.
    pub(super) fn new(id: u64, streams: Vec<RecvStream>, window: Arc<ReceiveWindow>) -> Self {
        let stripe = |stream| Stripe {
            stream,
            ahead: VecDeque::new(),
        };
        Self {
            id,
            stripes: streams.into_iter().map(stripe).collect(),
            window,
            state: State::Reading(Turn::first()),
        }
    }

    /// What the sender calls it.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// How many streams it comes over.
    pub fn stripes(&self) -> usize {
        self.stripes.len()
    }

    /// Tells the sender to stop, with a `code`.
    pub fn stop(&mut self, code: u32) {
        for stripe in &mut self.stripes {
            // Fails where it is over already, which is what is wanted.
            let _ = stripe.stream.stop(code.into());
        }
    }

    /// Reads what comes next as the packets brought it, without copying it: how many of `chunks` were
    /// filled, or `None` at the end.
    ///
    /// # Errors
    ///
    /// [`ReadBulkError`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn read_chunks(
        &mut self,
        chunks: &mut [Bytes],
    ) -> Result<Option<usize>, ReadBulkError> {
        if chunks.is_empty() {
            return Ok(Some(0));
        }
        if let State::Reading(turn) = self.state {
            let Stripe { stream, ahead } = &mut self.stripes[turn.stripe];
            if ahead.is_empty() {
                match stream.read_chunks(chunks).await? {
                    Some(count) => ahead.extend(chunks[..count].iter_mut().map(mem::take)),
                    None => self.begin_ending(turn),
                }
            }
        }
        match self.state {
            State::Reading(turn) => Ok(Some(self.take(turn, chunks))),
            State::Ending { .. } | State::Ended => {
                poll_fn(|cx| self.poll_end(cx)).await?;
                Ok(None)
            }
        }
    }

    /// Takes of what was read as much as is in turn; at least something where the stripe has any.
    fn take(&mut self, mut turn: Turn, chunks: &mut [Bytes]) -> usize {
        let (mut filled, mut bytes) = (0, 0);
        while let Some(place) = chunks.get_mut(filled) {
            let ahead = &mut self.stripes[turn.stripe].ahead;
            let Some(mut chunk) = ahead.pop_front() else {
                break;
            };
            if chunk.len() > turn.left as usize {
                ahead.push_front(chunk.split_off(turn.left as usize));
            }
            turn.advance(chunk.len(), self.stripes.len());
            bytes += chunk.len();
            *place = chunk;
            filled += 1;
        }
        self.state = State::Reading(turn);
        self.window.on_read(Instant::now().into_std(), bytes);
        filled
    }

    /// The stripe whose turn it is has ended.
    fn begin_ending(&mut self, turn: Turn) {
        self.state = State::Ending {
            first: turn.stripe,
            seen: 1,
        };
    }

    /// Sees that all other stripes have ended where the data has.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ReadBulkError>> {
        let State::Ending { first, seen } = self.state else {
            return Poll::Ready(Ok(()));
        };
        for seen in seen..self.stripes.len() {
            self.state = State::Ending { first, seen };
            let at = (first + seen) % self.stripes.len();
            let Stripe { stream, ahead } = &mut self.stripes[at];
            let more = match ahead.is_empty() {
                true => ready!(pin!(stream.read_chunk(1, true)).poll(cx))?.is_some(),
                false => true,
            };
            if more {
                return Poll::Ready(Err(ReadBulkError::Ragged));
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
        let State::Reading(mut turn) = this.state else {
            return this.poll_end(cx).map_err(Into::into);
        };
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let most = buffer.remaining().min(turn.left as usize);
        let Stripe { stream, ahead } = &mut this.stripes[turn.stripe];
        let read = match ahead.front_mut() {
            Some(chunk) => {
                let read = chunk.len().min(most);
                buffer.put_slice(&chunk[..read]);
                chunk.advance(read);
                if chunk.is_empty() {
                    ahead.pop_front();
                }
                read
            }
            None => {
                // Costs nothing where the caller's buffer is initialised, as it mostly is.
                let mut part = ReadBuf::new(buffer.initialize_unfilled_to(most));
                ready!(AsyncRead::poll_read(Pin::new(stream), cx, &mut part))?;
                let read = part.filled().len();
                buffer.advance(read);
                read
            }
        };
        if read == 0 {
            this.begin_ending(turn);
            return this.poll_end(cx).map_err(Into::into);
        }
        this.window.on_read(Instant::now().into_std(), read);
        turn.advance(read, this.stripes.len());
        this.state = State::Reading(turn);
        Poll::Ready(Ok(()))
    }
}
