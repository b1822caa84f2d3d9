//! What followers hand to the first pump, which has relay and responder: copies, in bounded queues.

use gimlet_proto::relay::runs::{Content, Run, runs};
use tokio::sync::mpsc;

use super::shard::Origin;

/// Runs that may wait, of frames and of STUN each: some milliseconds of a flood of them, and
/// 4 MiB at [`MAX_LEN`] each. More is dropped, as a full socket buffer would.
const QUEUE: usize = 256;

/// Longest run handed over: the few datagrams that come before both sides are bound, or from a side
/// that has just moved.
const MAX_LEN: usize = 16 * 1024;

/// A run and where it came from.
#[derive(Debug)]
pub(super) struct Aside {
    pub(super) origin: Origin,
    bytes: Box<[u8]>,
    stride: usize,
}

impl Aside {
    pub(super) fn run(&self) -> Run<'_> {
        let first = runs(&self.bytes, self.stride).next();
        first.unwrap_or_else(|| Run::single(&self.bytes))
    }
}

/// A follower's end.
#[derive(Debug, Clone)]
pub(crate) struct Hand {
    frames: mpsc::Sender<Aside>,
    /// By itself, so that a flood of one is not in the way of the other.
    stun: mpsc::Sender<Aside>,
}

/// The first pump's end.
#[derive(Debug)]
pub(crate) struct Asides {
    /// Frames and STUN. The one whose turn it is comes first.
    queues: [mpsc::Receiver<Aside>; 2],
    next: Option<Aside>,
}

/// Both ends.
pub(crate) fn asides() -> (Hand, Asides) {
    let (frames, frames_receiver) = mpsc::channel(QUEUE);
    let (stun, stun_receiver) = mpsc::channel(QUEUE);
    let asides = Asides {
        queues: [frames_receiver, stun_receiver],
        next: None,
    };
    (Hand { frames, stun }, asides)
}

impl Hand {
    /// Hands a copy over; `false` if there is no room.
    pub(super) fn over(&self, origin: &Origin, run: &Run<'_>) -> bool {
        let queue = match run.content {
            Content::Stun => &self.stun,
            Content::Frames(_) | Content::Quic | Content::Nothing => &self.frames,
        };
        if run.bytes.len() > MAX_LEN {
            return false;
        }
        let Ok(permit) = queue.try_reserve() else {
            return false;
        };
        permit.send(Aside {
            origin: *origin,
            bytes: run.bytes.into(),
            stride: run.stride,
        });
        true
    }
}

impl Asides {
    /// Waits until there is something. Cancel safe. For ever where there are no followers.
    pub(super) async fn ready(&mut self) {
        if self.next.is_none() {
            let [first, second] = &mut self.queues;
            self.next = tokio::select! {
                Some(aside) = first.recv() => Some(aside),
                Some(aside) = second.recv() => Some(aside),
                else => std::future::pending().await,
            };
        }
    }

    /// What is there now, frames and STUN in turn.
    pub(super) fn take(&mut self) -> Option<Aside> {
        self.next.take().or_else(|| {
            self.queues.reverse();
            let mut queues = self.queues.iter_mut();
            queues.find_map(|queue| queue.try_recv().ok())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Origin {
        Origin {
            source: ([192, 0, 2, 1], 1).into(),
            here: None,
            ecn: None,
            at: 0,
            room: 0,
        }
    }

    #[tokio::test]
    async fn frames_are_taken_during_a_flood_of_stun_and_both_are_bounded() {
        let (hand, mut asides) = asides();
        let stun = [0, 1, 0, 0];
        let handed = (0..1000).filter(|_| hand.over(&origin(), &Run::single(&stun)));
        assert_eq!(handed.count(), QUEUE);
        let frame = [8; 12];
        assert!(hand.over(&origin(), &Run::single(&frame)));
        assert!(!hand.over(&origin(), &Run::single(&[8; MAX_LEN + 1])));
        asides.ready().await;
        let first: Vec<u8> = (0..3).map(|_| asides.take().unwrap().bytes[0]).collect();
        assert!(first.contains(&8), "{first:?}");
        let rest = std::iter::from_fn(|| asides.take()).count();
        assert_eq!(first.len() + rest, QUEUE + 1);
    }
}
