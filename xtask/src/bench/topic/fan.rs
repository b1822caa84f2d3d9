//! One side of the comparison: a publisher's thread, and one with all its subscribers.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::tally::Tally;
use super::{SUBSCRIBERS, gimlet, plain};

/// Longest that anything here may take: a thousand handshakes, or a flood on a busy machine.
const LIMIT: Duration = Duration::from_secs(90);

/// Which side.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// quinn's streams.
    Plain,
    /// A topic, with this server.
    Gimlet { server: String },
}

/// A publisher, of either side.
pub(super) enum Publisher {
    Plain(plain::Publisher),
    Gimlet(Box<gimlet::Publisher>),
}

/// What a thread is asked.
enum Ask {
    /// Publishes, with a pause after each.
    Publish(usize, Duration),
    /// Tells its processor time, seconds.
    Cpu(oneshot::Sender<f64>),
}

/// Both threads.
pub(super) struct Fan {
    tally: Arc<Tally>,
    threads: [mpsc::Sender<Ask>; 2],
}

/// A run of messages.
pub(super) struct Run {
    /// From the first's publishing until all had arrived everywhere.
    pub(super) seconds: f64,
    /// Milliseconds of each delivery, shortest first.
    times: Vec<f64>,
}

impl Run {
    /// By nearest rank, milliseconds.
    pub(super) fn percentile(&self, share: f64) -> f64 {
        let rank = (share * self.times.len() as f64).ceil() as usize;
        let time = self.times.get(rank.saturating_sub(1));
        time.copied().unwrap_or(f64::NAN)
    }
}

impl Fan {
    /// Starts the publisher and connects everybody to it.
    pub(super) async fn start(kind: Kind) -> anyhow::Result<Self> {
        let tally = Arc::new(Tally::new());
        let (asks_publisher, asked) = mpsc::channel(1);
        let (publishing, place) = oneshot::channel();
        let (of, messages) = (kind.clone(), tally.clone());
        on_a_thread(move || publish(of, messages, asked, publishing));
        let place = timeout(LIMIT, place)
            .await
            .context("no publisher in time")?;
        let place = place.context("the publisher's thread has ended")??;
        let (asks_subscribers, asked) = mpsc::channel(1);
        let (subscribing, connected) = oneshot::channel();
        let arrivals = tally.clone();
        on_a_thread(move || subscribe(kind, place, arrivals, asked, subscribing));
        let connected = timeout(LIMIT, connected).await;
        let connected = connected.context("not all are connected in time")?;
        connected.context("the subscribers' thread has ended")??;
        Ok(Self {
            tally,
            threads: [asks_publisher, asks_subscribers],
        })
    }

    /// Publishes, and waits until all has arrived.
    pub(super) async fn publish(&self, messages: usize, pause: Duration) -> anyhow::Result<Run> {
        self.tally.expect(messages * SUBSCRIBERS);
        let began_at = Instant::now();
        let asked = self.threads[0].send(Ask::Publish(messages, pause)).await;
        asked.ok().context("the publisher's thread has ended")?;
        let times = timeout(LIMIT, self.tally.all()).await;
        Ok(Run {
            times: times.context("not all has arrived")?,
            seconds: began_at.elapsed().as_secs_f64(),
        })
    }

    /// Processor seconds of publisher and subscribers so far.
    pub(super) async fn cpu(&self) -> anyhow::Result<[f64; 2]> {
        let mut spent = [0.0; 2];
        for (thread, spent) in self.threads.iter().zip(&mut spent) {
            let (reply, told) = oneshot::channel();
            let asked = thread.send(Ask::Cpu(reply)).await;
            asked.ok().context("a thread has ended")?;
            *spent = told.await.context("a thread has ended")?;
        }
        Ok(spent)
    }
}

/// Runs a task in a runtime of its own until it is done.
fn on_a_thread<T: Future<Output = ()>>(task: impl FnOnce() -> T + Send + 'static) {
    thread::spawn(move || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        // Without a runtime the other side hears that this one is gone.
        if let Ok(runtime) = builder.enable_all().build() {
            runtime.block_on(task());
            runtime.shutdown_background();
        }
    });
}

async fn publish(
    kind: Kind,
    tally: Arc<Tally>,
    mut asked: mpsc::Receiver<Ask>,
    started: oneshot::Sender<anyhow::Result<plain::Place>>,
) {
    let publisher = match kind {
        Kind::Plain => plain::Publisher::start().map(|(publisher, place)| {
            let publisher = Publisher::Plain(publisher);
            (publisher, Some(place))
        }),
        Kind::Gimlet { server } => gimlet::Publisher::start(&server).await.map(|publisher| {
            let publisher = Publisher::Gimlet(Box::new(publisher));
            (publisher, None)
        }),
    };
    // Who asked waits as long as this takes; nobody minds if not.
    let publisher = match publisher {
        Ok((publisher, place)) => {
            let _ = started.send(Ok(place));
            publisher
        }
        Err(error) => return drop(started.send(Err(error))),
    };
    while let Some(ask) = asked.recv().await {
        match ask {
            Ask::Cpu(reply) => drop(reply.send(cpu_s())),
            Ask::Publish(messages, pause) => {
                let mut ticks = (!pause.is_zero()).then(|| interval(pause));
                for _ in 0..messages {
                    if let Some(ticks) = &mut ticks {
                        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                        ticks.tick().await;
                    }
                    let message = tally.message();
                    match &publisher {
                        Publisher::Plain(publisher) => publisher.publish(&message),
                        Publisher::Gimlet(publisher) => publisher.publish(message).await,
                    }
                }
            }
        }
    }
}

async fn subscribe(
    kind: Kind,
    place: plain::Place,
    tally: Arc<Tally>,
    mut asked: mpsc::Receiver<Ask>,
    connected: oneshot::Sender<anyhow::Result<()>>,
) {
    let subscribed = match kind {
        Kind::Plain => plain::subscribe(place, &tally).await.map(|held| {
            let held: Box<dyn Send> = Box::new(held);
            held
        }),
        Kind::Gimlet { server } => gimlet::subscribe(&server, &tally).await.map(|held| {
            let held: Box<dyn Send> = Box::new(held);
            held
        }),
    };
    let _held = match subscribed {
        Ok(held) => {
            let _ = connected.send(Ok(()));
            held
        }
        Err(error) => return drop(connected.send(Err(error))),
    };
    while let Some(ask) = asked.recv().await {
        if let Ask::Cpu(reply) = ask {
            let _ = reply.send(cpu_s());
        }
    }
}

/// Processor time of this thread.
fn cpu_s() -> f64 {
    let cpu = clock_gettime(ClockId::ThreadCPUTime);
    cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9
}
