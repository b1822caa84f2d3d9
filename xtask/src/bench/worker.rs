//! The process that is measured: takes one role, then order after order until its input ends.

mod bare;
mod batch;
mod binding;
mod bulk;
mod client;
mod copier;
mod crowd;
mod flood;
mod forwarder;
mod lanes;
mod peer;
mod plain;
mod server;
mod throng;

use std::io::{BufRead, Write, stdin, stdout};
use std::process::ExitCode;

use anyhow::{Context, bail};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

use super::message::{Answer, Job, Order, Reading, Ready, Role, Spot, Threads};
use copier::Copier;
use crowd::Crowd;
use flood::Flood;
use forwarder::Forwarder;
use lanes::Lanes;
use peer::Sender;
pub(super) use plain::bind;
use throng::Throng;
pub(super) use throng::monotonic_s;

/// Seeds of the two identities: both sides know whom to expect without being told.
const RECEIVER: [u8; 32] = [1; 32];
const SENDER: [u8; 32] = [2; 32];

/// The application protocol of the streams.
const ALPN: &[u8] = b"gimlet-bench/1";

/// Runs the worker; why it failed goes to the bench.
pub(super) fn run() -> anyhow::Result<ExitCode> {
    match work() {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            say(&Answer::Failed(format!("{error:#}")))?;
            Ok(ExitCode::FAILURE)
        }
    }
}

fn work() -> anyhow::Result<()> {
    let mut line = String::new();
    stdin().lock().read_line(&mut line)?;
    let job: Job = serde_json::from_str(&line).context("no job")?;
    // One order is under way at a time.
    let (sender, mut orders) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in stdin().lock().lines() {
            let Ok(line) = line else { return };
            let order = match serde_json::from_str::<Order>(&line) {
                Ok(order) => order,
                Err(error) => {
                    let why = format!("an order can't be read: {error}: {line}");
                    // Without a reader there is nobody to tell.
                    let _ = say(&Answer::Failed(why));
                    return;
                }
            };
            if sender.blocking_send(order).is_err() {
                return;
            }
        }
    });
    let runtime = runtime(job.threads)?;
    let result = runtime.block_on(async {
        let (mut post, ready) = Post::take(job.role).await?;
        say(&Answer::Ready(ready))?;
        while let Some(order) = orders.recv().await {
            say(&post.obey(order).await?)?;
        }
        Ok(())
    });
    // Its tasks have nothing to finish.
    runtime.shutdown_background();
    result
}

fn runtime(threads: Threads) -> anyhow::Result<Runtime> {
    let mut builder = match threads {
        Threads::One => Builder::new_current_thread(),
        Threads::Two => Builder::new_multi_thread(),
    };
    if threads == Threads::Two {
        builder.worker_threads(2);
    }
    Ok(builder.enable_all().build()?)
}

/// What a worker has become.
enum Post {
    /// A sender of streams.
    Sender(Sender),
    /// Something that works by itself as long as this is held.
    Standing {
        _held: Box<dyn Send>,
    },
    /// A Gimlet server.
    Server(server::Running),
    Forwarder(Forwarder),
    Flood(Flood),
    /// Dials the receiver at this server.
    Dialer(String),
    Crowd(Crowd),
    Lanes(Lanes),
    Throng(Throng),
}

impl Post {
    async fn take(role: Role) -> anyhow::Result<(Self, Ready)> {
        let mut ready = Ready::default();
        let post = match role {
            Role::PlainReceiver => {
                let endpoint = plain::receive()?;
                ready.addr = Some(endpoint.local_addr()?);
                Self::Standing {
                    _held: Box::new(endpoint),
                }
            }
            Role::PlainSender { to } => Self::Sender(plain::connect(to).await?),
            Role::Receiver { server, way } => Self::Standing {
                _held: Box::new(peer::receive(&server, way).await?),
            },
            Role::Sender { server, way } => Self::Sender(peer::connect(&server, way).await?),
            Role::Server => Self::server(None, &mut ready)?,
            Role::ServerAt(spot) => Self::server(Some(spot), &mut ready)?,
            Role::BareServer => {
                let (endpoint, address) = bare::start()?;
                ready.line = Some(address.to_string());
                Self::Standing {
                    _held: Box::new(endpoint),
                }
            }
            Role::Copier { pairs } => {
                let copier = Copier::start(&pairs)?;
                ready.addr = Some(copier.addr);
                Self::Standing {
                    _held: Box::new(copier),
                }
            }
            Role::Lanes { count } => Self::Lanes(Lanes::bind(count).await?),
            Role::Throng { server, bare } => Self::Throng(Throng::new(&server, bare)?),
            Role::Forwarder { to } => {
                let forwarder = Forwarder::start(to)?;
                ready.addr = Some(forwarder.addr);
                Self::Forwarder(forwarder)
            }
            Role::Flood { server } => {
                let flood = Flood::prepare(server.as_deref()).await?;
                ready.addr = Some(flood.sink_addr()?);
                Self::Flood(flood)
            }
            Role::Dialer { server } => Self::Dialer(server),
            Role::Crowd { server } => Self::Crowd(Crowd::new(server)),
        };
        Ok((post, ready))
    }

    fn server(spot: Option<Spot>, ready: &mut Ready) -> anyhow::Result<Self> {
        let running = server::start(spot)?;
        (ready.addr, ready.line) = (Some(running.addr), Some(running.line.clone()));
        Ok(Self::Server(running))
    }

    async fn obey(&mut self, order: Order) -> anyhow::Result<Answer> {
        Ok(match (self, order) {
            (post, Order::Read) => Answer::Read(post.reading()?),
            (Self::Sender(sender), Order::Send { bytes, streams }) => {
                Answer::Sent(sender.send(bytes, streams).await?)
            }
            (Self::Flood(flood), Order::Flood { to, seconds }) => {
                flood.run(to, seconds).await?;
                Answer::Flooded
            }
            (Self::Dialer(server), Order::Dial) => Answer::Dialled(peer::dial_once(server).await?),
            (Self::Crowd(crowd), Order::Gather { count }) => {
                Answer::Gathered(crowd.gather(count).await?)
            }
            (Self::Crowd(crowd), Order::Pair { peers }) => {
                crowd.pair(&peers).await?;
                Answer::Paired
            }
            (Self::Server(running), Order::Stop) => Answer::Took(running.stop().await?),
            (Self::Lanes(lanes), order) => return lanes.obey(order).await,
            (Self::Throng(throng), order) => return throng.obey(order).await,
            (_, order) => bail!("{order:?} is not for this worker"),
        })
    }

    fn reading(&self) -> anyhow::Result<Reading> {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        Ok(Reading {
            cpu_s: cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
            memory: anonymous_memory()?,
            forwarded: match self {
                Self::Server(running) => running.handle.counters().relayed_bytes,
                Self::Forwarder(forwarder) => forwarder.forwarded(),
                _ => 0,
            },
        })
    }
}

/// Bytes of memory that are this process's own and in use.
fn anonymous_memory() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB"));
    let kib: u64 = kib.context("the system tells no RssAnon")?.trim().parse()?;
    Ok(kib * 1024)
}

fn say(answer: &Answer) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    serde_json::to_writer(&mut out, answer)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}
