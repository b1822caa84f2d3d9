//! Two agents in virtual time over a wire that delays, loses and filters.

mod bench;
mod connecting;
mod hostile;
mod life;
mod moving;
mod nominations;
mod properties;
mod searching;
mod sizes;

use std::time::Duration;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}
