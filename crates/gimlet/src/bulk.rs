//! Bulk data over several streams at once.
//!
//! One stream carries at most its window, 1.25 MB, in a round trip: 31 MB/s at 40 ms, 4 at 300 ms.
//! Larger windows would let a lossy path tear more holes into a stream than QUIC implementations put
//! up with (quinn closes the connection at 1,024). So bulk data is *striped*: block after block of it
//! goes over one of up to [`MAX_STRIPES`] streams in turn, and is read in the same turn. Each stream
//! keeps its small window and its flow control; nothing is buffered besides what QUIC holds.
//!
//! # Examples
//!
//! ```no_run
//! use gimlet::bulk;
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # async fn example(alice: gimlet::Connection, bob: gimlet::Connection) -> anyhow::Result<()> {
//! let send = async {
//!     let mut send = bulk::open(&alice, 1, bulk::DEFAULT_STRIPES).await?;
//!     send.write_all(&[7; 10_000_000]).await?;
//!     send.finish()?;
//!     anyhow::Ok(send.acknowledged().await?)
//! };
//! let receive = async {
//!     let mut receive = bulk::Acceptor::new(bob.clone()).accept().await?;
//!     assert_eq!(receive.id(), 1);
//!     let mut bytes = Vec::new();
//!     anyhow::Ok(receive.read_to_end(&mut bytes).await?)
//! };
//! tokio::try_join!(send, receive)?;
//! # Ok(())
//! # }
//! ```

mod acceptor;
mod header;
mod receiver;
mod sender;

use gimlet_net::transport::STREAM_RECEIVE_WINDOW;

pub use acceptor::{AcceptError, Acceptor};
pub use receiver::{ReadBulkError, Receiver};
pub use sender::{NotAcknowledged, Sender, open};

/// Streams of a bulk unless the caller knows better: 20 MB a round trip, so 500 MB/s at 40 ms and
/// 67 at 300 ms. Every stream costs its ends some hundred bytes.
pub const DEFAULT_STRIPES: u8 = 16;

/// Most streams of a bulk: what fills the 32 MiB that a peer may have under way. A receiver takes
/// no more.
pub const MAX_STRIPES: u8 = 32;

/// Stripes that carry so many bytes a round trip, one as many as a stream does: 1 to [`DEFAULT_STRIPES`].
pub fn stripes_for(bytes: u64) -> u8 {
    let stripes = bytes.div_ceil(STREAM_RECEIVE_WINDOW.into());
    u8::try_from(stripes)
        .unwrap_or(DEFAULT_STRIPES)
        .clamp(1, DEFAULT_STRIPES)
}

/// Bytes that go over one stream before the next has its turn. Small beside a stream's window, so
/// that all are in use; large beside a packet, so that frames are not cut.
const BLOCK: u32 = 64 * 1024;

/// The turn of stripes: whose it is, and for how many bytes more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Turn {
    stripe: usize,
    left: u32,
}

impl Turn {
    fn first() -> Self {
        Self {
            stripe: 0,
            left: BLOCK,
        }
    }

    /// After `bytes` more of `stripes` stripes' data, at most as many as were left.
    fn advance(&mut self, bytes: usize, stripes: usize) {
        self.left = self
            .left
            .saturating_sub(u32::try_from(bytes).unwrap_or(u32::MAX));
        if self.left == 0 {
            *self = Self {
                stripe: (self.stripe + 1) % stripes,
                left: BLOCK,
            };
        }
    }
}

#[cfg(test)]
mod tests;
