//! The offering side: a code, a task that answers whoever comes with one, and what came of it.

use std::time::Duration;

use gimlet::{Connection, Endpoint, HeldNumber, PeerId, RecvStream, RequestError, SendStream};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep_until, timeout};

use super::exchange::{Proof, Share};
use super::keeper::{Judging, Keeper, Refusal};
use super::{Code, GO_ON, Met, binding};
use crate::BUSY;

/// Exchanges at once: people try one after the other, and each holds a connection.
const MAX_EXCHANGES: usize = 8;

/// How long a step of a claimant may take: a round trip of the slowest link, and a busy machine.
const STEP: Duration = Duration::from_secs(10);

/// Events an offer's owner may fall behind by.
const MAX_EVENTS: usize = 16;

/// Events kept free for what ends a code, however many knock.
const RESERVED: usize = 2;

/// How often the endpoint is told that somebody may come: twice in the minute that it remembers.
const KEEP: Duration = Duration::from_secs(30);

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

/// Owns the keeper: judges what the exchanges read, one after the other.
struct Task {
    endpoint: Endpoint,
    held: HeldNumber,
    keeper: Keeper,
    steps: JoinSet<Option<Step>>,
    events: mpsc::Sender<OfferEvent>,
}

/// What an exchange has read, to be judged.
enum Step {
    Share(Exchange, Share),
    Proof(Exchange, Judging, Proof),
    /// The claimant has heard how it ended.
    Done,
}

struct Exchange {
    connection: Connection,
    send: SendStream,
    recv: RecvStream,
}

impl Task {
    async fn run(mut self, mut incoming: mpsc::Receiver<Connection>) {
        let mut expired = false;
        let mut keeping = interval(KEEP);
        loop {
            let timeout = self.keeper.poll_timeout().filter(|_| !expired);
            tokio::select! {
                () = self.events.closed() => break,
                Some(connection) = incoming.recv(), if self.steps.len() < MAX_EXCHANGES => {
                    self.steps.spawn(bounded(read_share(connection)));
                }
                Some(step) = self.steps.join_next() => {
                    if let Ok(Some(step)) = step {
                        self.handle(step);
                    }
                }
                _ = keeping.tick() => self.endpoint.keep_number(self.held).await,
                () = until(timeout) => {
                    expired = true;
                    self.tell(OfferEvent::Expired);
                }
            }
        }
        self.endpoint.drop_number(self.held);
    }

    fn handle(&mut self, step: Step) {
        let now = Instant::now().into_std();
        match step {
            Step::Share(exchange, share) => {
                let begun = match binding(&self.endpoint, &exchange.connection) {
                    Some(binding) => self.keeper.begin(&binding, &share, now),
                    None => Err(Refusal::Malformed),
                };
                match begun {
                    Ok((judging, share)) => {
                        self.steps
                            .spawn(bounded(read_proof(exchange, judging, share)));
                    }
                    Err(told) => self.refuse(exchange, told),
                }
            }
            Step::Proof(exchange, judging, proof) => {
                match self.keeper.judge(judging, &proof, now) {
                    Ok(proof) => {
                        // Told before the claimant can know it and come for more.
                        let connection = exchange.connection.clone();
                        let peer = connection.peer();
                        self.tell(OfferEvent::Met(Met { peer, connection }));
                        self.steps.spawn(welcome(exchange, proof));
                    }
                    Err(told) => self.refuse(exchange, told),
                }
            }
            Step::Done => (),
        }
    }

    fn refuse(&mut self, exchange: Exchange, told: Refusal) {
        let by = exchange.connection.peer();
        tracing::debug!(peer = %by.short(), %told, "claimant refused");
        match told {
            Refusal::Wrong => self.tell(OfferEvent::Guessed { by }),
            Refusal::Used | Refusal::Guessed | Refusal::Expired => {
                self.tell(OfferEvent::Late { by, told });
            }
            Refusal::Malformed | Refusal::Busy => (),
        }
        self.steps.spawn(bounded(turn_away(exchange, told)));
    }

    fn tell(&self, event: OfferEvent) {
        let ends = !matches!(event, OfferEvent::Late { .. });
        if ends || self.events.capacity() > RESERVED {
            // Dropped only where the offer is, too.
            let _ = self.events.try_send(event);
        }
    }
}

async fn bounded(step: impl Future<Output = Option<Step>>) -> Option<Step> {
    timeout(STEP, step).await.ok().flatten()
}

async fn read_share(connection: Connection) -> Option<Step> {
    let (send, mut recv) = connection.accept_bi().await.ok()?;
    let mut share = [0; 33];
    AsyncReadExt::read_exact(&mut recv, &mut share).await.ok()?;
    let exchange = Exchange {
        connection,
        send,
        recv,
    };
    Some(Step::Share(exchange, share))
}

async fn read_proof(mut exchange: Exchange, judging: Judging, share: Share) -> Option<Step> {
    exchange.send.write_all(&[GO_ON]).await.ok()?;
    exchange.send.write_all(&share).await.ok()?;
    let mut proof = [0; 32];
    AsyncReadExt::read_exact(&mut exchange.recv, &mut proof)
        .await
        .ok()?;
    Some(Step::Proof(exchange, judging, proof))
}

/// The claimant may be gone or slow by now; it is the one all the same.
async fn welcome(mut exchange: Exchange, proof: Proof) -> Option<Step> {
    let said = async {
        exchange.send.write_all(&[GO_ON]).await.ok()?;
        exchange.send.write_all(&proof).await.ok()?;
        exchange.send.finish().ok()
    };
    let _ = timeout(STEP, said).await;
    Some(Step::Done)
}

async fn turn_away(mut exchange: Exchange, told: Refusal) -> Option<Step> {
    exchange.send.write_all(&[told.byte()]).await.ok()?;
    exchange.send.finish().ok()?;
    // Closing at once would overtake what was said.
    let _ = exchange.send.stopped().await;
    exchange.connection.close(0, b"refused");
    Some(Step::Done)
}

async fn until(at: Option<std::time::Instant>) {
    match at {
        Some(at) => sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
