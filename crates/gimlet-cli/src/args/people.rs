//! Arguments about whom one knows.

use std::time::Duration;

use clap::{Args, Subcommand};
use gimlet::{Name, PeerId};

use super::AcceptArgs;

#[derive(Debug, Args)]
pub(crate) struct ContactsArgs {
    #[command(subcommand)]
    pub(crate) action: Option<ContactsAction>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ContactsAction {
    /// Keep a peer under a name of your own; other commands then know it by that
    Add {
        /// What to call it
        name: Name,
        /// Its whole id, as `gimlet id` prints it there
        id: PeerId,
    },
    /// Forget a name, also one that was only seen
    Remove {
        /// Which one
        name: Name,
    },
    /// Print the contacts, also without `list`
    List {
        /// Names of servers too, with the keys that answered to them
        #[arg(long)]
        all: bool,
    },
}

/// A short code in place of a peer's name.
#[derive(Debug, Args)]
pub(crate) struct CodeArgs {
    /// Print a short code: whoever types it on the other machine, within its time, gets in
    #[arg(long, conflicts_with_all = ["to", "count", "accept", "known"])]
    pub(crate) code: bool,
    /// Words of the code
    #[arg(long, value_name = "N", default_value_t = 2, requires = "code", value_parser = clap::value_parser!(u8).range(1..=8))]
    pub(crate) words: u8,
    /// How long the code can be used, an hour at most: 90s, 10m
    #[arg(long, value_name = "TIME", default_value = "10m", requires = "code", value_parser = super::talk::span)]
    pub(crate) expires: Duration,
    /// Show the code as a QR code too
    #[arg(long, requires = "code")]
    pub(crate) qr: bool,
    /// Keep who has the code as a contact of that name
    #[arg(long, value_name = "NAME", requires = "code")]
    pub(crate) keep: Option<Name>,
}

#[derive(Debug, Args)]
pub(crate) struct LanArgs {
    #[command(subcommand)]
    pub(crate) action: Option<LanAction>,
    /// How long to look for peers, in seconds; `listen` looks all the time
    #[arg(long, global = true, value_name = "SECS", default_value = "2", value_parser = super::seconds)]
    pub(crate) wait: Duration,
    /// Look no longer once so many are found
    #[arg(long, global = true, value_name = "N")]
    pub(crate) peers: Option<usize>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LanAction {
    /// Tell all peers found something; says who has it, who not, and how long each took
    Broadcast {
        /// What to tell
        text: String,
    },
    /// Be found, and print what peers tell all
    Listen {
        /// Leave after so many
        #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        count: Option<u64>,
        #[command(flatten)]
        accept: AcceptArgs,
    },
}
