//! How many stateless resets go out: by them a crowd of peers hears that the server was restarted.
//!
//! quinn only knows a least gap between two, and counts all that it reads at once as one moment: whatever
//! the gap, one of a burst of packets is answered, and most peers wait for their timeout. So there is no
//! gap, and a bucket says no in its place. It is asked where quinn asks whether a packet's connection id
//! may be one of ours, which is for packets of unknown connections only.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use gimlet_proto::limit::{Bucket, Rate};
use quinn::{ConnectionId, ConnectionIdGenerator};
use quinn_proto::InvalidCid;
use tokio::time::Instant;

/// Resets that go out: 20,000 peers hear of a restart within their timeout of 10 s, at about the pace at
/// which they can be signed in. Nothing is amplified: a reset is smaller than what it answers.
const RATE: Rate = Rate::per_second(2000, 2000);

/// Connection ids as of `G`, of which so many are reset.
pub(super) struct Rationed<G> {
    ids: G,
    /// Only quinn's endpoint driver asks.
    bucket: Mutex<Bucket>,
}

impl<G> Rationed<G> {
    /// A full bucket.
    pub(super) fn new(ids: G) -> Self {
        Self {
            ids,
            bucket: Mutex::default(),
        }
    }
}

impl<G: ConnectionIdGenerator> ConnectionIdGenerator for Rationed<G> {
    fn generate_cid(&mut self) -> ConnectionId {
        self.ids.generate_cid()
    }

    fn validate(&self, id: &ConnectionId) -> Result<(), InvalidCid> {
        self.ids.validate(id)?;
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        match bucket.take(1, &RATE, Instant::now().into_std()) {
            true => Ok(()),
            false => Err(InvalidCid),
        }
    }

    fn cid_len(&self) -> usize {
        self.ids.cid_len()
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        self.ids.cid_lifetime()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quinn_proto::HashedConnectionIdGenerator;

    #[tokio::test(start_paused = true)]
    async fn only_ids_of_ours_are_reset_and_only_so_many() {
        let mut ids = Rationed::new(HashedConnectionIdGenerator::from_key(7));
        let ours = ids.generate_cid();
        let forged = ConnectionId::new(&[9; 8]);
        assert!((0..10_000).all(|_| ids.validate(&forged).is_err()));
        let answered = || (0..10_000).filter(|_| ids.validate(&ours).is_ok()).count();
        assert_eq!(answered(), 2000);
        tokio::time::advance(Duration::from_millis(100)).await;
        assert_eq!(answered(), 200);
    }
}
