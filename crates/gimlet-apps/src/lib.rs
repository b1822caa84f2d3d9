//! What people do with a session: application protocols over [`gimlet`], each with an ALPN of its own.
//!
//! | module | ALPN | what |
//! | --- | --- | --- |
//! | [`echo`] | `gimlet/echo/1` | what is sent comes back: ping |
//! | [`bench`](mod@bench) | `gimlet/bench/1` | throughput |
//! | [`pipe`] | `gimlet/pipe/1` | bytes both ways |
//! | [`forward`] | `gimlet/forward/1` | TCP, UDP and Unix sockets of another host |
//! | [`files`] | `gimlet/files/1` | files and folders |
//! | [`chat`] | `gimlet/chat/2` | conversations |
//! | [`topic`] | `gimlet/topic/1` | publish/subscribe |
//! | [`lan`] | `gimlet/lan/1` | peers on the same network, with no server |
//! | [`code`] | `gimlet/code/1` | short codes: two who share a few words find each other |
//!
//! A [`Router`] answers several protocols on one endpoint. `docs/protocol.md` has the bytes of each.

pub mod bench;
pub mod chat;
pub mod code;
pub mod contacts;
pub mod echo;
#[cfg(unix)]
pub mod files;
pub mod forward;
pub mod lan;
pub mod pipe;
mod records;
mod retry;
mod router;
pub mod socks;
pub mod topic;
mod waits;
mod wide;

pub use router::Router;

/// Code a stream is reset and stopped with when this peer does not serve what was asked.
pub const NOT_SERVED: u32 = 1;

/// Code a connection is closed with when this peer has as many as it takes.
pub const BUSY: u32 = 2;

/// Size of copy buffers: large enough that calls don't count, small enough for many streams.
const BUFFER: usize = 64 * 1024;
