//! The door: which handshakes are let in, which must prove their address first, which are refused.

use std::sync::Arc;
use std::time::Instant;

use gimlet_proto::limit::Limiter;
use gimlet_proto::rendezvous::ConnId;
use quinn::{Endpoint, Incoming};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time;

use crate::config::Config;
use crate::connection;
use crate::control::Input;
use crate::counters::Counters;

/// Prefixes remembered by each limiter: 200 KB.
const PREFIXES: usize = 4096;

/// Lets handshakes in and keeps their tasks.
pub(crate) struct Door {
    endpoint: Endpoint,
    control: mpsc::Sender<Input>,
    counters: Arc<Counters>,
    max_connections: usize,
    max_half_open: usize,
    half_open: Arc<Semaphore>,
    /// Over this, a prefix proves its addresses.
    brisk: Limiter,
    /// Over this, it is refused.
    flooding: Limiter,
    next_conn: u64,
}

impl Door {
    pub(crate) fn new(
        config: &Config,
        endpoint: Endpoint,
        control: mpsc::Sender<Input>,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            endpoint,
            control,
            counters,
            max_connections: config.max_connections,
            max_half_open: config.max_half_open,
            half_open: Arc::new(Semaphore::new(config.max_half_open)),
            brisk: Limiter::new(config.handshakes, PREFIXES, rand::random()),
            flooding: Limiter::new(config.max_handshakes, PREFIXES, rand::random()),
            next_conn: 0,
        }
    }

    /// Runs until the endpoint is closed and every connection's task has ended.
    pub(crate) async fn run(mut self) {
        let mut tasks = JoinSet::new();
        loop {
            tokio::select! {
                incoming = self.endpoint.accept() => match incoming {
                    Some(incoming) => self.knock(incoming, &mut tasks),
                    None => break,
                },
                Some(_) = tasks.join_next() => (),
            }
        }
        while tasks.join_next().await.is_some() {}
    }

    fn knock(&mut self, incoming: Incoming, tasks: &mut JoinSet<()>) {
        self.counters.handshakes.one();
        let now = time::Instant::now().into_std();
        match self.judge(&incoming, now) {
            Verdict::Enter(half_open) => {
                let Ok(connecting) = incoming.accept() else {
                    return self.counters.handshakes_failed.one();
                };
                self.next_conn += 1;
                let conn = ConnId(self.next_conn);
                let (control, counters) = (self.control.clone(), self.counters.clone());
                tasks.spawn(async move {
                    connection::serve(connecting, half_open, conn, control, &counters).await;
                });
            }
            Verdict::Prove => {
                self.counters.handshakes_retried.one();
                // Only fails for what was proved already, which is not asked to.
                let _ = incoming.retry();
            }
            Verdict::Refuse => {
                self.counters.handshakes_refused.one();
                // An address that is not proved may be somebody else's: no answer goes there.
                match incoming.remote_address_validated() {
                    true => incoming.refuse(),
                    false => incoming.ignore(),
                }
            }
        }
    }

    fn judge(&mut self, incoming: &Incoming, now: Instant) -> Verdict {
        let source = incoming.remote_address().ip();
        let proved = incoming.remote_address_validated();
        let brisk = !self.brisk.allow(source, now);
        if brisk && !self.flooding.allow(source, now) {
            return Verdict::Refuse;
        }
        let full = self.endpoint.open_connections() >= self.max_connections;
        let crowded = self.half_open.available_permits() <= self.max_half_open / 2;
        if !proved && incoming.may_retry() && (brisk || crowded || full) {
            return Verdict::Prove;
        }
        if full {
            return Verdict::Refuse;
        }
        match self.half_open.clone().try_acquire_owned() {
            Ok(permit) => Verdict::Enter(permit),
            Err(_) => Verdict::Refuse,
        }
    }
}

enum Verdict {
    Enter(OwnedSemaphorePermit),
    Prove,
    Refuse,
}
