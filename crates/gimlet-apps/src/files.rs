//! `gimlet/files/1`: files and folders, verified and resumed.
//!
//! An [`Offer`] is served to as many receivers as connect; each calls [`receive`]. Who dialled whom
//! does not matter.
//!
//! - What arrives is verified by BLAKE3 chunk by chunk, and the hash of a file is the one that `b3sum`
//!   prints. The sender hashes while it sends, and reads nothing twice.
//! - A transfer that was cut off goes on where it was, whatever side was restarted: the receiver keeps
//!   an unfinished tree and a journal of the verified chunks in a hidden folder (`.gimlet-partial`). A
//!   file that was changed in between is noticed by its size, its time or its hash, and comes anew.
//! - Large files take turns, and small ones go in batches between them.
//! - Nothing that a peer sends leads out of the target folder: names are single components, every
//!   folder is opened by descriptor without following links, and links are made last.
//! - What stands in the target folder is left alone unless [`ReceiveOptions::overwrite`] says otherwise.
//!
//! # Examples
//!
//! ```no_run
//! use gimlet_apps::files::{Event, Offer, ReceiveOptions, Reporter, receive};
//!
//! # async fn example(to_bob: gimlet::Connection, to_alice: gimlet::Connection) -> anyhow::Result<()> {
//! // Alice:
//! let offer = Offer::of(vec!["holiday".into(), "notes.txt".into()]).await?;
//! let nobody_looks = Reporter::silent();
//! let sending = offer.serve(&to_bob, &nobody_looks);
//!
//! // Bob:
//! let (reporter, mut reports) = Reporter::new();
//! tokio::spawn(async move {
//!     while let Some(event) = reports.next().await {
//!         if let Event::Finished(file) = event {
//!             println!("{}  {}", file.hash_text(), file.name);
//!         }
//!     }
//! });
//! let options = ReceiveOptions::into_folder("downloads");
//! let receiving = receive(&to_alice, &options, &reporter);
//! # let (sent, received) = tokio::join!(sending, receiving);
//! # sent?;
//! # received?;
//! # Ok(())
//! # }
//! ```
//!
//! # Bounds
//!
//! A manifest has at most [`MAX_ENTRIES`] entries and 64 MiB of names, a file at most [`MAX_FILE`]
//! bytes. A sender has three large files open, a receiver eight. A receiver holds two MiB of data, and
//! some 50 bytes for each MiB of the large files under way; a sender what is not acknowledged yet, which
//! is some MiB on most lines and never more than a session's window (32 MiB).

mod buffer;
mod error;
mod folder;
mod hash;
mod install;
mod journal;
mod manifest;
mod offer;
mod packer;
mod plan;
mod reader;
mod receive;
mod record;
mod report;
mod session;
mod stage;
mod staged;
mod tree;
mod walk;
mod wire;
mod writeback;
mod writer;

pub use error::ReceiveError;
pub use manifest::{MAX_ENTRIES, MAX_FILE, ManifestError};
pub use offer::{Offer, SendError};
pub use receive::{ReceiveOptions, receive};
pub use report::{Event, Fault, FileReport, Progress, Reporter, Reports, Restart, Skip, Summary};
pub use walk::ScanError;

/// ALPN of file transfers.
pub const ALPN: &[u8] = b"gimlet/files/1";

/// Number of the bulk that carries the data.
const BULK: u64 = 0;

/// Close code: the other side did what the protocol does not allow, or sent other bytes than it said.
pub const MISBEHAVED: u32 = 16;

/// Close code: nothing was heard for too long. Trying again goes on where it was.
pub const GONE: u32 = 17;

/// Close code: the receiver has something else of that name already.
pub const EXISTS: u32 = 18;

/// Close code: the receiver's disk is full.
pub const NO_SPACE: u32 = 19;

/// Close code: the receiver cannot write.
pub const DISK: u32 = 20;

/// Close code: the sender cannot read what it offers.
pub const UNREADABLE: u32 = 21;
