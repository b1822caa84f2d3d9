//! The two directions of one WebSocket, polled together by one task: no lock between them, one wake
//! for all that has come and all that waits.
//!
//! # Invariants
//!
//! - A message is encrypted when all before it have been sent, and waits where it can be dropped while they
//!   have not.
//! - At most one Pong waits, the latest (RFC 6455 section 5.5.3).

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use gimlet_proto::tunnel::{Assembly, Batch, Control, Decoder, Opcode, Role, control};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::{self, Instant, Sleep};

use super::carry::{Carrying, End};
use super::outbox::Outbox;
use super::pool::Pool;
use crate::records::Records;

/// Close codes (RFC 6455 section 7.4.1).
const NORMAL: u16 = 1000;
const PROTOCOL_ERROR: u16 = 1002;

/// Bytes that are sent at once. With less, the other tasks get one turn to add to it: quinn hands
/// over 27 kB at a time, and each message has all three processes on its way woken.
const WELL_FILLED: usize = 48 * 1024;

/// Whether what waits was left to grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Growth {
    /// Not yet.
    Unasked,
    /// Once since the last message.
    Awaited,
    /// Never: in a pool of threads another would take the task over, and what it sends would have to come
    /// from the memory of another core.
    Elsewhere,
}

impl Growth {
    fn here() -> Self {
        match Handle::try_current().map(|handle| handle.runtime_flavor()) {
            Ok(RuntimeFlavor::CurrentThread) => Self::Unasked,
            Ok(_) | Err(_) => Self::Elsewhere,
        }
    }
}

/// What is sent next.
#[derive(Debug)]
enum Next {
    Pong(Vec<u8>),
    Message(Batch),
}

/// See the top of this file.
#[derive(Debug)]
pub(super) struct Framed<'a, S> {
    records: Records<S>,
    role: Role,
    outbox: &'a Outbox,
    pool: &'a Pool,
    decoder: Decoder,
    assembly: Assembly,
    growth: Growth,
    pong: Option<Vec<u8>>,
    /// Why nothing more will come.
    ended: Option<End>,
    patience: Duration,
    heard_at: Instant,
    /// Since when the other side takes nothing.
    stuck_since: Option<Instant>,
    /// Rings at a time at which it may have been silent for too long.
    look: Pin<Box<Sleep>>,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Framed<'a, S> {
    pub(super) fn new(records: Records<S>, carrying: &Carrying<'a>) -> Self {
        let patience = carrying.patience;
        Self {
            records,
            role: carrying.role,
            outbox: carrying.outbox,
            pool: carrying.pool,
            decoder: Decoder::new(carrying.role),
            assembly: Assembly::default(),
            growth: Growth::here(),
            pong: None,
            ended: None,
            patience,
            heard_at: Instant::now(),
            stuck_since: None,
            look: Box::pin(time::sleep(patience)),
        }
    }

    /// Sends, and is ready with all packets that have come, or with why it has ended.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Vec<u8>, End>> {
        let came = self.poll_read(cx);
        if let Poll::Ready(end) = self.poll_send(cx) {
            return Poll::Ready(Err(end));
        }
        match came {
            Poll::Ready(came) => Poll::Ready(came),
            Poll::Pending => self.poll_silence(cx, self.heard_at).map(Err),
        }
    }

    /// Sends and reads nothing. Ready with why it has ended.
    pub(super) fn poll_sending(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        match self.poll_send(cx) {
            Poll::Ready(end) => Poll::Ready(end),
            // Who is not read can't be heard.
            Poll::Pending => self.poll_silence(cx, Instant::now()),
        }
    }

    /// Time in which nothing was read does not count as silence.
    pub(super) fn reads_on(&mut self) {
        self.heard_at = Instant::now();
    }

    /// Says why it ends, if that can be said at once.
    pub(super) async fn say_goodbye(mut self, end: End) {
        let code = match end {
            End::Closed | End::Idle => NORMAL,
            End::Malformed(_) => PROTOCOL_ERROR,
            End::Broken | End::Stuck => return,
        };
        let close = control(Opcode::Close, &code.to_be_bytes(), self.mask());
        if self.records.unsent() > 0 || self.records.put_copy(&close).is_err() {
            return;
        }
        poll_fn(|cx| {
            let _ = Pin::new(&mut self.records).poll_shutdown(cx);
            Poll::Ready(())
        })
        .await;
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Vec<u8>, End>> {
        let mut heard = false;
        while self.ended.is_none() && !self.assembly.is_full() {
            let input = match Pin::new(&mut self.records).poll_fill_buf(cx) {
                Poll::Ready(Ok([])) => {
                    self.ended = Some(End::Closed);
                    break;
                }
                Poll::Ready(Ok(input)) => input,
                Poll::Ready(Err(_)) => {
                    self.ended = Some(End::Broken);
                    break;
                }
                Poll::Pending => break,
            };
            heard = true;
            if !self.assembly.has_memory() {
                self.assembly.fill_within(self.pool.get());
            }
            let (taken, control) = match self.decoder.read(input, &mut self.assembly) {
                Ok(read) => read,
                Err(error) => {
                    self.ended = Some(End::Malformed(error));
                    break;
                }
            };
            Pin::new(&mut self.records).consume(taken);
            match control {
                Some(Control::Ping(payload)) => {
                    self.pong = Some(self::control(Opcode::Pong, &payload, self.mask()));
                }
                Some(Control::Close) => self.ended = Some(End::Closed),
                Some(Control::Pong) | None => (),
            }
        }
        if heard {
            self.heard_at = Instant::now();
        }
        if self.assembly.whole() > 0 {
            let pool = self.pool;
            return Poll::Ready(Ok(self.assembly.split(|| pool.get())));
        }
        match self.ended {
            Some(end) => Poll::Ready(Err(end)),
            None => Poll::Pending,
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            let unsent = self.records.unsent();
            let sent = self.records.poll_sent(cx);
            if self.records.unsent() < unsent {
                self.stuck_since = None;
            }
            match sent {
                Poll::Ready(Ok(())) => {
                    self.stuck_since = None;
                    if let Some(memory) = self.records.spent() {
                        self.pool.put(memory);
                    }
                    let put = match ready!(self.poll_next(cx)) {
                        Next::Pong(pong) => self.records.put_copy(&pong).map(drop),
                        Next::Message(batch) => self.records.put(batch.seal(self.mask())),
                    };
                    if put.is_err() {
                        return Poll::Ready(End::Broken);
                    }
                }
                Poll::Ready(Err(_)) => return Poll::Ready(End::Broken),
                Poll::Pending => {
                    self.stuck_since.get_or_insert_with(Instant::now);
                    return Poll::Pending;
                }
            }
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        if let Some(pong) = self.pong.take() {
            return Poll::Ready(Next::Pong(pong));
        }
        let few = (1..WELL_FILLED).contains(&self.outbox.waiting());
        if few && self.growth == Growth::Unasked {
            self.growth = Growth::Awaited;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let message = ready!(self.outbox.poll_next(cx));
        if self.growth == Growth::Awaited {
            self.growth = Growth::Unasked;
        }
        Poll::Ready(Next::Message(message))
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>, heard_at: Instant) -> Poll<End> {
        loop {
            ready!(self.look.as_mut().poll(cx));
            let now = Instant::now();
            let idle_at = heard_at + self.patience;
            let stuck_at = self.stuck_since.map(|since| since + self.patience);
            if stuck_at.is_some_and(|at| at <= now) {
                return Poll::Ready(End::Stuck);
            }
            if idle_at <= now {
                return Poll::Ready(End::Idle);
            }
            let look_at = stuck_at.map_or(idle_at, |at| at.min(idle_at));
            self.look.as_mut().reset(look_at);
        }
    }

    /// A fresh key, where this end has to mask.
    fn mask(&self) -> Option<[u8; 4]> {
        (self.role == Role::Client).then(rand::random)
    }
}
