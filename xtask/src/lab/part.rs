//! The parts of the lab.

use clap::ValueEnum;
use serde::Serialize;

/// One kind of network, or of test in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Part {
    /// The kernel's NATs, without delay
    Kernel,
    /// The simulator's NATs over TUN, with delay and loss
    Tun,
    /// Transfers while the interface changes, the router reboots, the host sleeps
    Move,
    /// Files whose sender and receiver are killed, and whose path is taken away
    Files,
}

impl Part {
    /// The name used on the command line and for folders.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Tun => "tun",
            Self::Move => "move",
            Self::Files => "files",
        }
    }

    /// What its network is, for headings.
    pub(crate) fn network(self, loss: f64) -> String {
        match self {
            Self::Kernel => "kernel NATs, no delay".to_owned(),
            Self::Files => "kernel NATs, 400 Mbit/s".to_owned(),
            Self::Tun | Self::Move => format!(
                "simulated NATs, 20 ms one way between any two, {:.0} % lost",
                loss * 100.0
            ),
        }
    }
}
