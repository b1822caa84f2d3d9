//! Arguments of file transfers.

use std::path::PathBuf;

use clap::Args;

use gimlet::Name;
use gimlet_apps::code::Code;

use super::{AcceptArgs, CodeArgs};

#[derive(Debug, Args)]
pub(crate) struct SendArgs {
    /// Files and folders
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Whom to send to, who has to run `gimlet recv`: name, id, or beginning of an id. Without it,
    /// whoever connects with `gimlet recv --from` gets it
    #[arg(long, value_name = "PEER")]
    pub(crate) to: Option<String>,
    /// End once so many receivers have everything [default: go on until interrupted]
    #[arg(long, value_name = "N", conflicts_with = "to", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) count: Option<u32>,
    #[command(flatten)]
    pub(crate) code: CodeArgs,
    #[command(flatten)]
    pub(crate) accept: AcceptArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RecvArgs {
    /// The code that `gimlet send --code` shows; words may be cut after four letters. Without it and
    /// --from, wait for a peer that sends
    #[arg(value_name = "CODE", conflicts_with_all = ["from", "forever", "accept", "known"])]
    pub(crate) code: Option<Code>,
    /// Keep who offers the code as a contact of that name
    #[arg(long, value_name = "NAME", requires = "code")]
    pub(crate) keep: Option<Name>,
    /// Get what this peer offers with `gimlet send`: name, id, or beginning of an id. Without it,
    /// wait for a peer that sends
    #[arg(long, value_name = "PEER")]
    pub(crate) from: Option<String>,
    /// Folder to put it into
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Let files take the place of others of the same name, and join folders
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Go on waiting for others after the first has sent everything
    #[arg(long, conflicts_with = "from")]
    pub(crate) forever: bool,
    #[command(flatten)]
    pub(crate) accept: AcceptArgs,
}
