//! Puts the stripes of a peer's bulks together.

use std::collections::VecDeque;

use quinn::{ConnectionError, ReadError, RecvStream};

use super::header::{self, Header};
use super::receiver::Receiver;
use crate::connection::Connection;

/// Bulks of which some stripes have come and others have not. They come in the order in which they
/// were opened, so two mix only where two were opened at once; the others were given up half-way. They
/// leave a peer that opens sixteen stripes at a time half of the hundred streams that it may have open.
const MAX_PARTIAL: usize = 4;

/// Takes the bulks that a peer opens. All unidirectional streams of the connection must be theirs.
#[derive(Debug)]
pub struct Acceptor {
    connection: Connection,
    partial: VecDeque<Partial>,
    /// A stripe whose header has not come whole.
    nameless: Option<Nameless>,
}

#[derive(Debug)]
struct Nameless {
    stream: RecvStream,
    header: [u8; header::LEN],
    read: usize,
}

#[derive(Debug)]
struct Partial {
    id: u64,
    stripes: Vec<Option<RecvStream>>,
}

/// Why no further bulk comes.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AcceptError {
    /// The connection is over.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The peer sent what is no stripe, or stripes that do not fit together.
    #[error("the peer sent a stream that is no stripe of a bulk")]
    NoStripe,
}

impl Acceptor {
    /// Of bulks that the peer opens on this connection.
    pub fn new(connection: Connection) -> Self {
        Self {
            connection,
            partial: VecDeque::new(),
            nameless: None,
        }
    }

    /// The next bulk all of whose stripes are there. One that the peer has given up before never is: a fifth
    /// of which only some stripes have come takes the place of the first.
    ///
    /// # Errors
    ///
    /// [`AcceptError`]. After any but a lost connection the peer is not to be trusted: close it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn accept(&mut self) -> Result<Receiver, AcceptError> {
        loop {
            let Some((header, stream)) = self.stripe().await? else {
                continue;
            };
            if let Some(receiver) = self.insert(header, stream)? {
                return Ok(receiver);
            }
        }
    }

    /// The next stripe; `None` for one that was given up. What was read of its header outlives a
    /// cancelled call.
    async fn stripe(&mut self) -> Result<Option<(Header, RecvStream)>, AcceptError> {
        if self.nameless.is_none() {
            let stream = self.connection.accept_uni().await?;
            self.nameless = Some(Nameless {
                stream,
                header: [0; header::LEN],
                read: 0,
            });
        }
        if let Some(nameless) = &mut self.nameless {
            while nameless.read < header::LEN {
                let rest = &mut nameless.header[nameless.read..];
                match nameless.stream.read(rest).await {
                    Ok(Some(read)) => nameless.read += read,
                    Err(ReadError::Reset(_)) => {
                        self.nameless = None;
                        return Ok(None);
                    }
                    Err(ReadError::ConnectionLost(error)) => return Err(error.into()),
                    Ok(None)
                    | Err(
                        ReadError::ClosedStream
                        | ReadError::IllegalOrderedRead
                        | ReadError::ZeroRttRejected,
                    ) => return Err(AcceptError::NoStripe),
                }
            }
        }
        let nameless = self.nameless.take().ok_or(AcceptError::NoStripe)?;
        let header = Header::decode(nameless.header).ok_or(AcceptError::NoStripe)?;
        Ok(Some((header, nameless.stream)))
    }

    fn insert(
        &mut self,
        header: Header,
        stream: RecvStream,
    ) -> Result<Option<Receiver>, AcceptError> {
        let known = self.partial.iter().position(|p| p.id == header.bulk);
        let at = match known {
            Some(at) => at,
            None => {
                if self.partial.len() == MAX_PARTIAL {
                    self.partial.pop_front();
                }
                let stripes = (0..header.stripes).map(|_| None).collect();
                let id = header.bulk;
                self.partial.push_back(Partial { id, stripes });
                self.partial.len() - 1
            }
        };
        let stripes = &mut self.partial[at].stripes;
        if stripes.len() != usize::from(header.stripes) {
            return Err(AcceptError::NoStripe);
        }
        let place = &mut stripes[usize::from(header.stripe)];
        if place.replace(stream).is_some() {
            return Err(AcceptError::NoStripe);
        }
        if stripes.iter().any(Option::is_none) {
            return Ok(None);
        }
        let window = self.connection.receive_window().clone();
        let whole = self.partial.remove(at).map(|partial| {
            let streams = partial.stripes.into_iter().flatten().collect();
            Receiver::new(partial.id, streams, window)
        });
        Ok(whole)
    }
}
