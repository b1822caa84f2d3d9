//! The receiving end.

use std::collections::VecDeque;
use std::mem;

use bytes::{Buf, Bytes};
use gimlet::bulk::{self, AcceptError, Acceptor, ReadBulkError};
use gimlet::{Connection, RecvStream};

use super::{Claim, Mark, STRETCH};

/// Reads one direction. Dropped early, it stops the sender.
#[derive(Debug)]
pub(crate) struct Receiver {
    stream: RecvStream,
    source: Source,
    state: State,
    /// What was read together with the end of a stretch: as many pieces at most as a caller takes at once.
    rest: VecDeque<Bytes>,
}

/// Where the bulk comes from.
#[derive(Debug)]
pub(crate) enum Source {
    /// There are several on the connection.
    Claim(Claim),
    /// It is the only one.
    Lone(Connection),
}

#[derive(Debug)]
enum State {
    /// Over the one stream; so many bytes more come before the next mark.
    Narrow {
        left: u32,
    },
    /// A bulk is announced.
    Widening,
    Wide(bulk::Receiver),
    /// The bulk has ended; the stream has to as well.
    Ending,
    Ended,
}

/// Why no more can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReadError {
    /// The sender gave up, or the connection is over.
    #[error(transparent)]
    Read(#[from] gimlet::ReadError),
    /// The sender does what the protocol does not have.
    #[error("the stream and what it goes on over do not fit together")]
    Malformed,
}

impl From<ReadBulkError> for ReadError {
    fn from(error: ReadBulkError) -> Self {
        match error {
            ReadBulkError::Read(error) => error.into(),
            ReadBulkError::Ragged => Self::Malformed,
        }
    }
}

impl From<AcceptError> for ReadError {
    fn from(error: AcceptError) -> Self {
        match error {
            AcceptError::Connection(error) => gimlet::ReadError::from(error).into(),
            AcceptError::NoStripe => Self::Malformed,
        }
    }
}

impl Receiver {
    /// The rest of a stream, all of it data.
    pub(crate) fn new(stream: RecvStream, source: Source) -> Self {
        Self {
            stream,
            source,
            state: State::Narrow { left: STRETCH },
            rest: VecDeque::new(),
        }
    }

    /// What comes before the data.
    pub(crate) fn stream(&mut self) -> &mut RecvStream {
        &mut self.stream
    }

    /// Tells the sender to stop, with a `code`.
    pub(crate) fn stop(&mut self, code: u32) {
        // Fails only where the stream has ended already.
        let _ = self.stream.stop(code.into());
        if let State::Wide(bulk) = &mut self.state {
            bulk.stop(code);
        }
    }

    /// Reads what comes next, as the packets brought it: how many of `chunks` were filled, or `None` at
    /// the end.
    ///
    /// Cancel safe, but for a [lone](Source::Lone) bulk that is just beginning.
    pub(crate) async fn read_chunks(
        &mut self,
        chunks: &mut [Bytes],
    ) -> Result<Option<usize>, ReadError> {
        loop {
            match &mut self.state {
                State::Narrow { left } => {
                    if self.rest.is_empty() {
                        let Some(count) = self.stream.read_chunks(chunks).await? else {
                            self.state = State::Ended;
                            continue;
                        };
                        let bytes: usize = chunks[..count].iter().map(Bytes::len).sum();
                        if bytes <= *left as usize {
                            *left -= bytes as u32;
                            return Ok(Some(count));
                        }
                        self.rest.extend(chunks[..count].iter_mut().map(mem::take));
                    }
                    if let Some(filled) = self.take(chunks)? {
                        return Ok(Some(filled));
                    }
                }
                State::Widening => {
                    let number = self.stream.id().into();
                    let bulk = tokio::select! {
                        bulk = self.source.bulk(number) => bulk?,
                        // Stripes that were reset before they came are not heard of.
                        Ok(Some(code)) = self.stream.received_reset() => {
                            return Err(gimlet::ReadError::Reset(code).into());
                        }
                    };
                    self.state = State::Wide(bulk);
                }
                State::Wide(bulk) => match bulk.read_chunks(chunks).await? {
                    Some(count) => return Ok(Some(count)),
                    None => self.state = State::Ending,
                },
                State::Ending => match self.stream.read_chunk(1, true).await? {
                    Some(_) => return Err(ReadError::Malformed),
                    None => self.state = State::Ended,
                },
                State::Ended => return Ok(None),
            }
        }
    }

    /// Takes of the rest as much as belongs to this stretch; or the mark, and nothing.
    fn take(&mut self, chunks: &mut [Bytes]) -> Result<Option<usize>, ReadError> {
        let State::Narrow { left } = &mut self.state else {
            return Ok(None);
        };
        if *left == 0 {
            let mark = self.rest.front_mut().map(Buf::get_u8);
            if self.rest.front().is_some_and(Bytes::is_empty) {
                self.rest.pop_front();
            }
            match mark.and_then(Mark::decode) {
                Some(Mark::Stays) => *left = STRETCH,
                Some(Mark::Widens) if self.rest.is_empty() => self.state = State::Widening,
                Some(Mark::Widens) | None => return Err(ReadError::Malformed),
            }
            return Ok(None);
        }
        let mut filled = 0;
        while let Some(place) = chunks.get_mut(filled).filter(|_| *left > 0) {
            let Some(mut chunk) = self.rest.pop_front() else {
                break;
            };
            if chunk.len() > *left as usize {
                self.rest.push_front(chunk.split_off(*left as usize));
            }
            *left -= chunk.len() as u32;
            *place = chunk;
            filled += 1;
        }
        Ok(Some(filled))
    }
}

impl Source {
    /// The bulk with this number.
    async fn bulk(&mut self, number: u64) -> Result<bulk::Receiver, ReadError> {
        match self {
            Self::Claim(claim) => claim.bulk().await,
            Self::Lone(connection) => {
                let bulk = Acceptor::new(connection.clone()).accept().await?;
                match bulk.id() == number {
                    true => Ok(bulk),
                    false => Err(ReadError::Malformed),
                }
            }
        }
    }
}
