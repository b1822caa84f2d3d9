//! One message to everybody, and what became of it with each.

use std::time::Duration;

use gimlet::{CloseReason, Endpoint, PeerId};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::{ALPN, LanPeer, MAX_MESSAGE, message};

/// Peers that are told at once. Each costs a handshake.
const AT_ONCE: usize = 32;

/// How long one peer has, from the first packet to its answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long all have: those that are not begun with by then are told to be tried again.
const TOTAL: Duration = Duration::from_secs(10);

/// Code of a connection that the other side's policy did not want.
const DECLINED: u64 = 3;

/// What became of a message with one peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Whom it was for.
    pub peer: LanPeer,
    /// What became of it.
    pub outcome: Outcome,
}

/// How one peer took a message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It has it.
    Answered {
        /// How long that took, from connecting to the answer.
        after: Duration,
    },
    /// It is there and has no room: nobody reads there.
    Full,
    /// It does not want us.
    Declined,
    /// It does not answer.
    Silent,
    /// The message is longer than [`MAX_MESSAGE`]; nobody was asked.
    TooLong,
}

impl Outcome {
    /// Whether the peer has the message.
    pub fn is_answered(&self) -> bool {
        matches!(self, Self::Answered { .. })
    }
}

pub(super) async fn to_all(
    endpoint: &Endpoint,
    peers: Vec<LanPeer>,
    message: &[u8],
) -> Vec<Answer> {
    let until = Instant::now() + TOTAL;
    let mut outcomes = vec![Outcome::Silent; peers.len()];
    if message.len() > MAX_MESSAGE {
        outcomes.fill(Outcome::TooLong);
    } else {
        let mut waiting = peers.iter().enumerate();
        let mut under_way = JoinSet::new();
        loop {
            let room = under_way.len() < AT_ONCE && Instant::now() < until;
            if let Some((nth, peer)) = room.then(|| waiting.next()).flatten() {
                let (endpoint, message) = (endpoint.clone(), message.to_vec());
                let (id, addrs) = (peer.peer, peer.addrs.clone());
                let left = PATIENCE.min(until - Instant::now());
                under_way.spawn(async move {
                    let told = timeout(left, tell(&endpoint, id, &addrs, &message)).await;
                    (nth, told.unwrap_or(Outcome::Silent))
                });
                continue;
            }
            match under_way.join_next().await {
                Some(Ok((nth, outcome))) => outcomes[nth] = outcome,
                // Only a panic, which the process has reported.
                Some(Err(_)) => (),
                None => break,
            }
        }
    }
    let answers = peers.into_iter().zip(outcomes);
    let answers = answers.map(|(peer, outcome)| Answer { peer, outcome });
    answers.collect()
}

async fn tell(
    endpoint: &Endpoint,
    peer: PeerId,
    addrs: &[std::net::SocketAddr],
    message: &[u8],
) -> Outcome {
    let began_at = Instant::now();
    let Ok(connection) = endpoint.connect_at(peer, addrs, ALPN).await else {
        return Outcome::Silent;
    };
    match message::say(&connection, message).await {
        Some(true) => {
            let after = began_at.elapsed();
            connection.close(0, b"");
            Outcome::Answered { after }
        }
        Some(false) => Outcome::Full,
        None => match connection.closed().await {
            CloseReason::Peer { code: DECLINED, .. } => Outcome::Declined,
            _ => Outcome::Silent,
        },
    }
}
