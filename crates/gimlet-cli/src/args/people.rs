//! Arguments about whom one knows.

use clap::{Args, Subcommand};
use gimlet::{Name, PeerId};

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
