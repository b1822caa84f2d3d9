//! The task behind an offer: talks with claimants, one step after the other, and tells what comes of it.

use std::time::Duration;

use gimlet::{Connection, Endpoint, HeldNumber, RecvStream, SendStream};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, timeout};

use super::{MAX_EXCHANGES, OfferEvent};
use crate::code::exchange::{Proof, Share};
use crate::code::keeper::{Judging, Keeper, Refusal};
use crate::code::{GO_ON, Met, binding};
use crate::waits::until;

/// How long a step of a claimant may take: a round trip of the slowest link, and a busy machine.
const STEP: Duration = Duration::from_secs(10);

/// Events kept free for what ends a code, however many knock.
const RESERVED: usize = 2;

/// How often the endpoint is told that somebody may come: twice in the minute that it remembers.
const KEEP: Duration = Duration::from_secs(30);

/// Owns the keeper: judges what the exchanges read, one after the other.
pub(super) struct Task {
    pub(super) endpoint: Endpoint,
    pub(super) held: HeldNumber,
    pub(super) keeper: Keeper,
    pub(super) steps: JoinSet<Option<Step>>,
    pub(super) events: mpsc::Sender<OfferEvent>,
}

/// What an exchange has read, to be judged.
pub(super) enum Step {
    Share(Exchange, Share),
    Proof(Exchange, Judging, Proof),
    /// The claimant has heard how it ended.
    Done,
}

pub(super) struct Exchange {
    connection: Connection,
    send: SendStream,
    recv: RecvStream,
}

impl Task {
    pub(super) async fn run(mut self, mut incoming: mpsc::Receiver<Connection>) {
        let mut expired = false;
        let mut keeping = interval(KEEP);
        loop {
            let expires_at = self.keeper.poll_timeout().filter(|_| !expired);
            let expires_at = expires_at.map(Instant::from_std);
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
                () = until(expires_at) => {
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
