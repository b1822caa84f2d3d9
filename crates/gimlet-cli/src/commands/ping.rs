//! `gimlet ping PEER`: round trips over the session, as datagrams, so that loss shows as loss.

mod summary;

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, MissedTickBehavior};

use crate::args::PingArgs;
use crate::describe;
use crate::exit::{Failure, Outcome, Status};
use crate::output::ms;
use crate::session::{self, Context, Found};
use gimlet::{AcceptPolicy, Connection, Endpoint};
use gimlet_apps::echo;
use summary::{Answer, Summary};

/// How long the last pings have to come back. Longer than any round trip people would put up with.
const PATIENCE: Duration = Duration::from_secs(3);

/// Shortest interval: more is a flood, and `bench` is there for that.
const MIN_INTERVAL: Duration = Duration::from_millis(1);

pub(super) async fn run(context: &Context, args: &PingArgs) -> Outcome {
    let work = async |endpoint: &Endpoint| ping(context, args, endpoint).await;
    context.with(&[], AcceptPolicy::Nobody, work).await
}

async fn ping(context: &Context, args: &PingArgs, endpoint: &Endpoint) -> Outcome {
    let begin = session::unless_interrupted(begin(context, endpoint, &args.peer));
    let (found, connection) = begin.await?;
    let mut pings = Pings::default();
    let ended = tokio::select! {
        ended = pings.run(context, &connection, args) => ended,
        () = session::interrupted() => Ok(()),
    };
    let summary = Summary::new(pings.sent, &pings.round_trips);
    connection.close(0, b"");
    context.output.print(&summary)?;
    ended?;
    match summary.received {
        0 => Err(Failure::new(
            Status::Failed,
            anyhow::anyhow!("no answer from {}", found.label),
        )),
        _ => Ok(Status::Done),
    }
}

/// Connects. A stream tells at once whether the peer serves echo; lost datagrams could mean
/// anything.
async fn begin(
    context: &Context,
    endpoint: &Endpoint,
    peer: &str,
) -> Result<(Found, Connection), Failure> {
    let (found, connection) = context.dial(endpoint, peer, echo::ALPN).await?;
    let (mut send, mut recv) = connection.open_bi().await?;
    (echo::round_trip(&mut recv, &mut send, 0).await)
        .map_err(|error| Failure::service(error, &found.label))?;
    Ok((found, connection))
}

/// Pings under way and answered.
#[derive(Default)]
struct Pings {
    sent: u64,
    /// Sent and not answered; those older than [`PATIENCE`] are forgotten.
    waiting: HashMap<u64, Instant>,
    round_trips: Vec<Duration>,
}

impl Pings {
    async fn run(
        &mut self,
        context: &Context,
        connection: &Connection,
        args: &PingArgs,
    ) -> Result<(), Failure> {
        let mut ticks = tokio::time::interval(args.interval.max(MIN_INTERVAL));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last_sent_at = Instant::now();
        loop {
            let all_sent = args.count != 0 && self.sent >= u64::from(args.count);
            if all_sent && self.waiting.is_empty() {
                return Ok(());
            }
            tokio::select! {
                _ = ticks.tick(), if !all_sent => {
                    last_sent_at = Instant::now();
                    self.waiting.retain(|_, sent_at| sent_at.elapsed() < PATIENCE);
                    self.waiting.insert(self.sent, last_sent_at);
                    connection.send_datagram(Bytes::copy_from_slice(&echo::ping(self.sent)))?;
                    self.sent += 1;
                }
                datagram = connection.read_datagram() => {
                    let arrived_at = Instant::now();
                    let seq = echo::ping_number(&datagram?);
                    if let Some((seq, sent_at)) = seq.and_then(|seq| self.waiting.remove_entry(&seq)) {
                        let round_trip = arrived_at - sent_at;
                        self.round_trips.push(round_trip);
                        context.output.print(&Answer {
                            seq,
                            rtt_ms: ms(round_trip),
                            path: describe::path_kind(connection.path().kind),
                        })?;
                    }
                }
                () = tokio::time::sleep_until(last_sent_at + PATIENCE), if all_sent => return Ok(()),
            }
        }
    }
}
