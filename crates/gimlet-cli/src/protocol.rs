//! The small protocols of the commands, one ALPN each, over the streams of a session.
//!
//! Generic over byte streams, so that the tests run them over a pipe in memory. Closing a writer
//! (`shutdown`) is finishing a QUIC stream.

pub(crate) mod bench;
pub(crate) mod chat;
pub(crate) mod echo;
pub(crate) mod pipe;

/// Code a stream is reset and stopped with when this peer does not serve what was asked.
pub(crate) const NOT_SERVED: u32 = 1;

/// Code a connection is closed with when this peer has as many as it takes.
pub(crate) const BUSY: u32 = 2;

/// Size of copy buffers: large enough that calls don't count, small enough for many streams.
const BUFFER: usize = 64 * 1024;
