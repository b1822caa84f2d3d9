//! What the network is like in a trial.

use std::time::Duration;

use gimlet_sim::{LinkConfig, Rng};

/// What the network is like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conditions {
    /// How long a packet travels.
    pub delay: Delay,
    /// The chance that a packet from one host to another is lost, 0 to 1.
    pub loss: f64,
    /// The most that a packet may be late on each uplink; every trial draws its own limit below it.
    pub jitter: Duration,
    /// Mappings a second, on average, that other hosts make on every router.
    pub crowd_per_s: u32,
    /// 1 or 2. With one, a NAT that maps by address looks like one that maps for everybody.
    pub server_addresses: u8,
}

/// How long a packet travels one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delay {
    /// The same between any two of dialer, acceptor and server.
    Even(Duration),
    /// Every trial draws the three uplinks, so that any two are up to this far apart.
    UpTo(Duration),
}

impl Conditions {
    /// What cells are measured in: up to 150 ms one way, up to 10 ms of jitter an uplink, and three
    /// foreign mappings a second on every router.
    pub fn varied(loss: f64) -> Self {
        Self {
            delay: Delay::UpTo(Duration::from_millis(150)),
            loss,
            jitter: Duration::from_millis(10),
            crowd_per_s: 3,
            server_addresses: 2,
        }
    }

    /// 20 ms one way between any two and nothing in the way: what times are judged in.
    pub fn even(loss: f64) -> Self {
        Self {
            delay: Delay::Even(Duration::from_millis(20)),
            loss,
            jitter: Duration::ZERO,
            crowd_per_s: 3,
            server_addresses: 2,
        }
    }

    /// The uplinks of dialer, acceptor and server in one trial.
    pub(crate) fn uplinks(&self, dice: &mut Rng) -> [LinkConfig; 3] {
        let jitter = dice.span(self.jitter);
        std::array::from_fn(|_| LinkConfig {
            delay: match self.delay {
                Delay::Even(any_two) => any_two / 2,
                Delay::UpTo(any_two) => dice.span(any_two / 2),
            },
            jitter,
            // Every packet crosses two uplinks.
            loss: 1.0 - (1.0 - self.loss).sqrt(),
            ..LinkConfig::default()
        })
    }
}
