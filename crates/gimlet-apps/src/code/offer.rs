//! The offering side: a code, a task that answers whoever comes with one, and what came of it.

mod task;

use std::time::Duration;

use gimlet::{Connection, Endpoint, PeerId, RequestError};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::keeper::{Keeper, Refusal};
use super::{Code, Met};
use crate::BUSY;
use task::Task;

/// Exchanges at once: people try one after the other, and each holds a connection.
const MAX_EXCHANGES: usize = 8;

/// Events an offer's owner may fall behind by.
const MAX_EVENTS: usize = 16;

/// How a code is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Words, 1 to 8. Default 2: 22 bits, of which an attacker guesses once.
    pub words: usize,
    /// How long it can be used, an hour at most. Default 10 minutes: a call, and typing it in.
    pub ttl: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            words: 2,
            ttl: Duration::from_secs(600),
        }
    }
}

/// Why no code can be offered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    /// The server gives no number.
    #[error("the server gives no number for a code: {0}")]
    Request(#[from] RequestError),
}

/// What comes of a code. The first [`Met`](OfferEvent::Met), [`Guessed`](OfferEvent::Guessed) or
/// [`Expired`](OfferEvent::Expired) ends it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum OfferEvent {
    /// Somebody knows the code: the one that was meant.
    Met(Met),
    /// Somebody tried a wrong one, so that the code is spent: a slip, or an attack.
    Guessed {
        /// Who.
        by: PeerId,
    },
    /// Nobody came in time.
    Expired,
    /// Somebody came when it was too late: to a code used, guessed or expired.
    Late {
        /// Who.
        by: PeerId,
        /// What it was told.
        told: Refusal,
    },
}

/// A code on offer. Dropping it withdraws it.
#[derive(Debug)]
pub struct Offer {
    code: Code,
    expires_at: Instant,
    door: Door,
    events: mpsc::Receiver<OfferEvent>,
}

/// Where connections of this protocol are handed in; give one to the handler of a
/// [`Router`](crate::Router).
#[derive(Debug, Clone)]
pub struct Door {
    connections: mpsc::Sender<Connection>,
}

/// Makes a code and answers for it, until the [`Offer`] is dropped. The endpoint has to be bound with
/// [`ALPN`](super::ALPN), to let strangers in, and its connections for it have to be handed to
/// [`Offer::door`].
///
/// # Examples
///
/// ```no_run
/// use gimlet_apps::{Router, code};
///
/// # async fn example(endpoint: gimlet::Endpoint) -> anyhow::Result<()> {
/// let mut offer = code::offer(&endpoint, code::Options::default()).await?;
/// println!("on the other machine: gimlet recv {}", offer.code());
/// let door = offer.door();
/// let router = Router::new().on(code::ALPN, move |connection| {
///     let door = door.clone();
///     async move { door.answer(connection).await }
/// });
/// tokio::select! {
///     () = router.serve(&endpoint) => (),
///     event = offer.event() => println!("{event:?}"),
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`OfferError`]: the server gives no number.
pub async fn offer(endpoint: &Endpoint, options: Options) -> Result<Offer, OfferError> {
    let held = endpoint.hold_number(options.ttl).await?;
    let code = Code::draw(held.number(), options.words, rand::random);
    let expires_at = Instant::now() + held.ttl().min(options.ttl);
    let (connections, incoming) = mpsc::channel(MAX_EXCHANGES);
    let (events, heard) = mpsc::channel(MAX_EVENTS);
    let task = Task {
        endpoint: endpoint.clone(),
        held,
        keeper: Keeper::new(code.clone(), expires_at.into_std()),
        steps: JoinSet::new(),
        events,
    };
    tokio::spawn(task.run(incoming));
    Ok(Offer {
        code,
        expires_at,
        door: Door { connections },
        events: heard,
    })
}

impl Offer {
    /// The code, for the person on the other side alone.
    pub fn code(&self) -> &Code {
        &self.code
    }

    /// When it ends by itself.
    pub fn expires_at(&self) -> Instant {
        self.expires_at
    }

    /// Where connections are handed in.
    pub fn door(&self) -> Door {
        self.door.clone()
    }

    /// What happens next; `None` when nothing more can.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn event(&mut self) -> Option<OfferEvent> {
        self.events.recv().await
    }
}

impl Door {
    /// Answers a claimant; returns at once.
    pub async fn answer(&self, connection: Connection) {
        if let Err(error) = self.connections.try_send(connection) {
            let (mpsc::error::TrySendError::Full(connection)
            | mpsc::error::TrySendError::Closed(connection)) = error;
            connection.close(BUSY, b"busy");
        }
    }
}
