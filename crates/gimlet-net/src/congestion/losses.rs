//! Which share of packets is lost.

use std::time::Instant;

/// Lost share from which losses count as congestion even where no queue is seen: policers and very
/// small buffers drop without one. Higher than what bad radio links lose (1 to 3 %), low enough to
/// hurt nobody for long; BBRv3 gives in at 2 % a round trip (draft-ietf-ccwg-bbr section 2.4).
const TOO_MANY: f64 = 0.05;

/// Packets below which a share says nothing: of a hundred, five lost are still chance at 2 %.
const MIN_PACKETS: u64 = 100;

/// Counts of this round trip and of the last.
#[derive(Debug, Clone, Default)]
pub(super) struct Losses {
    current: Count,
    previous: Count,
    /// A packet sent after this ends the round trip when it is acknowledged.
    round_began_at: Option<Instant>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    acked: u64,
    lost: u64,
}

impl Losses {
    /// So many bytes, sent then, have arrived.
    pub(super) fn on_acked(&mut self, now: Instant, sent: Instant, bytes: u64, mtu: u64) {
        self.current.acked += bytes;
        let began_at = *self.round_began_at.get_or_insert(now);
        let enough = (self.current.acked + self.current.lost) / mtu.max(1) >= MIN_PACKETS;
        if sent >= began_at && enough {
            self.round_began_at = Some(now);
            self.previous = std::mem::take(&mut self.current);
        }
    }

    /// So many bytes are lost.
    pub(super) fn on_lost(&mut self, bytes: u64) {
        self.current.lost += bytes;
    }

    /// Whether losses are too many to be the line's.
    pub(super) fn are_too_many(&self, mtu: u64) -> bool {
        let lost = self.current.lost + self.previous.lost;
        let sent = self.current.acked + self.previous.acked + lost;
        lost as f64 > TOO_MANY * sent.max(MIN_PACKETS * mtu) as f64
    }

    /// Forgets what led to a cut.
    pub(super) fn reset(&mut self, now: Instant) {
        *self = Self {
            round_began_at: Some(now),
            ..Self::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn with(lost_in_100: u64) -> Losses {
        let (mut losses, now) = (Losses::default(), Instant::now());
        for n in 0..1_000 {
            let at = now + Duration::from_millis(n);
            match n % 100 < lost_in_100 {
                true => losses.on_lost(1),
                false => losses.on_acked(at, at - Duration::from_millis(40), 1, 1),
            }
        }
        losses
    }

    #[test]
    fn three_in_a_hundred_are_not_too_many_and_eight_are() {
        assert!(!with(3).are_too_many(1));
        assert!(with(8).are_too_many(1));
    }

    #[test]
    fn of_a_few_packets_one_or_two_may_be_lost() {
        let mut losses = Losses::default();
        losses.on_lost(2);
        assert!(!losses.are_too_many(1));
    }

    #[test]
    fn what_led_to_a_cut_is_forgotten() {
        let mut losses = with(8);
        losses.reset(Instant::now());
        assert!(!losses.are_too_many(1));
    }
}
