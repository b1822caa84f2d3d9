//! Lengths, rates and bounds of a round.

use std::time::Duration;

use super::plan::Kind;

/// Taken for the round trip over the relay while it is not known.
pub(super) const USUAL_RTT: Duration = Duration::from_millis(100);

/// Lengths, rates and bounds of a round.
pub(super) struct Terms {
    pub(super) rounds: u32,
    pub(super) length: Duration,
    /// Between two packets.
    pub(super) pace: Duration,
    /// Between two passes over the same sockets or ports.
    pub(super) pause: Duration,
    pub(super) packets: u32,
}

pub(super) fn terms(kind: Kind, rtt: Duration) -> Terms {
    let ms = Duration::from_millis;
    match kind {
        Kind::Fresh => Terms {
            rounds: 2,
            length: ms(400) + 3 * rtt,
            pace: ms(50),
            pause: ms(50),
            packets: 12,
        },
        // Openings follow each other closely, so that few of others' mappings come between.
        Kind::Predict => Terms {
            rounds: 6,
            length: ms(600) + 3 * rtt,
            pace: ms(2),
            pause: ms(150),
            packets: 200,
        },
        // The whole budget; openings are repeated before a NAT forgets them.
        Kind::Birthday { wide: true } => Terms {
            rounds: 1,
            length: ms(25_000),
            pace: ms(10),
            pause: ms(8_000),
            packets: 2_500,
        },
        Kind::Birthday { wide: false } => Terms {
            rounds: 2,
            length: ms(6_000) + 2 * rtt,
            pace: ms(10),
            pause: ms(3_000),
            packets: 600,
        },
    }
}
