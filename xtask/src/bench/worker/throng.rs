//! Thousands of peers in one process: they sign in, stay, come back when their server went away, and
//! let themselves be introduced to each other.

mod member;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use gimlet::ServerAddress;
use gimlet_proto::message::CloseSession;
use gimlet_proto::secret::SessionId;
use quinn::Endpoint;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::client::{Account, addr, endpoint};
use super::flood::bind_both;
use super::lanes::writable;
use crate::bench::message::{Answer, Meet, Met, Order};
use member::Member;
pub(in crate::bench) use member::monotonic_s;

/// Peers behind one address, as behind one NAT: each address has a socket and a rate limit of its own.
const BEHIND_ONE: usize = 100;

/// Peers on their way in at a time, where there is no storm.
const ABREAST: usize = 256;

/// Time for all of them to come back.
const PATIENCE: Duration = Duration::from_secs(100);

/// How often is looked whether they have.
const LOOK: Duration = Duration::from_millis(20);

/// The peers.
pub(super) struct Throng {
    server: ServerAddress,
    /// Only connect, since a bare quinn server has nothing to sign in to.
    bare: bool,
    endpoints: Vec<Endpoint>,
    members: Vec<Arc<Member>>,
    gate: Arc<Semaphore>,
    sessions: AtomicU64,
    open: Vec<(usize, SessionId)>,
}

impl Throng {
    /// None yet.
    pub(super) fn new(line: &str, bare: bool) -> anyhow::Result<Self> {
        Ok(Self {
            server: line.parse()?,
            bare,
            endpoints: Vec::new(),
            members: Vec::new(),
            gate: Arc::new(Semaphore::new(ABREAST)),
            sessions: AtomicU64::new(1),
            open: Vec::new(),
        })
    }

    /// Does what the bench says.
    pub(super) async fn obey(&mut self, order: Order) -> anyhow::Result<Answer> {
        Ok(match order {
            Order::SignIn { count } => Answer::Took(self.gather(count).await?),
            Order::Back { since } => Answer::Times(self.back(since).await),
            Order::Meet(meet) => Answer::Met(self.meet(meet).await?),
            Order::Idle { sessions } => {
                self.open(sessions).await?;
                Answer::Done
            }
            Order::Close => {
                self.close().await?;
                Answer::Done
            }
            order => bail!("{order:?} is not for a throng"),
        })
    }

    /// Signs so many more in; the seconds that took.
    async fn gather(&mut self, count: usize) -> anyhow::Result<f64> {
        let mut newcomers = Vec::new();
        for index in self.members.len()..self.members.len() + count {
            let place = index / BEHIND_ONE;
            if place == self.endpoints.len() {
                self.endpoints.push(endpoint(place_addr(place))?);
            }
            let endpoint = self.endpoints[place].clone();
            newcomers.push(Arc::new(Member::new(
                Account::new(&self.server)?,
                endpoint,
                self.bare,
            )));
        }
        let started = monotonic_s();
        for member in &newcomers {
            tokio::spawn(member.clone().run(self.gate.clone()));
        }
        self.members.append(&mut newcomers);
        let times = self.back(0.0).await;
        let (came, all) = (times.len(), self.members.len());
        let seconds = PATIENCE.as_secs();
        ensure!(came == all, "{came} of {all} signed in within {seconds} s");
        Ok(times.iter().copied().fold(0.0, f64::max) - started)
    }

    /// Waits until all have signed in after `since`; how long after it each did.
    async fn back(&self, since: f64) -> Vec<f64> {
        let until = Instant::now() + PATIENCE;
        loop {
            let signed_in = self.members.iter().map(|member| member.signed_in());
            let times: Vec<_> = signed_in
                .filter(|at| *at > since)
                .map(|at| at - since)
                .collect();
            if times.len() == self.members.len() || Instant::now() > until {
                return times;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Has neighbours introduced, again and again.
    async fn meet(&self, meet: Meet) -> anyhow::Result<Met> {
        let mut tasks = JoinSet::new();
        let (abreast, pairs) = (meet.abreast, self.members.len() / 2);
        ensure!(abreast <= pairs, "{abreast} abreast need as many pairs");
        let started = Instant::now();
        for first in 0..abreast {
            let mine: Vec<_> = (first..pairs)
                .step_by(abreast)
                .map(|pair| {
                    (
                        self.members[2 * pair].clone(),
                        self.members[2 * pair + 1].clone(),
                    )
                })
                .collect();
            let id = (first as u64 + 1) << 32;
            tasks.spawn(async move {
                let mut times = Vec::new();
                let until = started + Duration::from_secs_f64(meet.seconds);
                // Spread over the gap from the start, so that a pace is even.
                let gap = Duration::from_secs_f64(meet.gap_s);
                let mut due = started + gap * first as u32 / abreast as u32;
                for (number, (dialer, acceptor)) in mine.iter().cycle().enumerate() {
                    tokio::time::sleep_until(due.into()).await;
                    if Instant::now() >= until {
                        break;
                    }
                    let session = SessionId((id | number as u64).to_be_bytes());
                    let asked = Instant::now();
                    dialer.meet(acceptor, session).await?;
                    times.push(asked.elapsed().as_secs_f64() * 1e3);
                    dialer.say(CloseSession { session }).await?;
                    due += gap;
                }
                anyhow::Ok(times)
            });
        }
        let mut times = Vec::new();
        while let Some(done) = tasks.join_next().await {
            times.extend(done??);
        }
        Ok(Met {
            times,
            seconds: started.elapsed().as_secs_f64(),
        })
    }

    /// Opens a session for so many pairs, with both sides bound, and leaves them idle.
    async fn open(&mut self, count: usize) -> anyhow::Result<()> {
        let sockets = [writable().await?, writable().await?];
        let at = addr(&self.server)?;
        for pair in 0..count {
            let (dialer, acceptor) = (&self.members[2 * pair], &self.members[2 * pair + 1]);
            let number = self.sessions.fetch_add(1, Ordering::Relaxed);
            let session = SessionId(number.to_be_bytes());
            dialer.meet(acceptor, session).await?;
            bind_both(at, session, [&sockets[0], &sockets[1]]).await?;
            self.open.push((pair, session));
        }
        Ok(())
    }

    /// Closes them.
    async fn close(&mut self) -> anyhow::Result<()> {
        for (pair, session) in self.open.drain(..) {
            let dialer = &self.members[2 * pair];
            dialer.say(CloseSession { session }).await?;
        }
        Ok(())
    }
}

/// All of 127.0.0.0/8 is this machine.
fn place_addr(place: usize) -> IpAddr {
    let place = u16::try_from(place).unwrap_or(u16::MAX).to_be_bytes();
    Ipv4Addr::new(127, 1 + place[0], place[1], 1).into()
}
