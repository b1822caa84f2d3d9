//! The sending end.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use gimlet::{ClosedStream, SendStream, StoppedError, VarInt, WriteError};
use tokio::time::Instant;

use super::lanes::{Lane, Lanes};
use super::{Mark, Pace, STRETCH};

/// Sends one direction, over one stream at first. Dropped before it is finished or reset, it ends where
/// it is.
#[derive(Debug)]
pub(crate) struct Sender {
    stream: SendStream,
    lanes: Arc<Lanes>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Over the one stream; so many bytes more go before the next mark.
    Narrow { left: u32, pace: Pace },
    /// Over a bulk.
    Wide(Lane),
}

impl Sender {
    /// The rest of a stream, all of it data.
    pub(crate) fn new(stream: SendStream, lanes: Arc<Lanes>) -> Self {
        let state = State::Narrow {
            left: STRETCH,
            pace: Pace::new(Instant::now()),
        };
        Self {
            stream,
            lanes,
            state,
        }
    }

    /// Writes all of it without copying: it is shared until the peer has it. Only where it `may_widen`,
    /// since the other side is known to expect that, more streams are opened.
    ///
    /// Not cancel safe: nobody knows then how much was written.
    pub(crate) async fn write(
        &mut self,
        mut bytes: Bytes,
        may_widen: bool,
    ) -> Result<(), WriteError> {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Narrow { left: 0, pace } => {
                    let quic = self.lanes.connection().quic();
                    let under_way = quic.stats().path.cwnd;
                    let wanted = pace
                        .stretch_ended(Instant::now(), quic.rtt(), under_way)
                        .filter(|_| may_widen);
                    self.mark(wanted).await?;
                }
                State::Narrow { left, .. } => {
                    let part = bytes.split_to(bytes.len().min(*left as usize));
                    let len = part.len();
                    self.stream.write_chunk(part).await?;
                    *left -= len as u32;
                }
                State::Wide(lane) => return lane.bulk.write_bytes(bytes).await,
            }
        }
        Ok(())
    }

    /// Says how it goes on at the end of a stretch, and goes on so.
    async fn mark(&mut self, wanted: Option<u8>) -> Result<(), WriteError> {
        let lane = match wanted {
            Some(stripes) => self.lanes.open(self.stream.id().into(), stripes).await?,
            None => None,
        };
        let mark = match &lane {
            Some(_) => Mark::Widens,
            None => Mark::Stays,
        };
        self.stream.write_all(&[mark.encode()]).await?;
        match (lane, &mut self.state) {
            (Some(lane), state) => *state = State::Wide(lane),
            (None, State::Narrow { left, .. }) => *left = STRETCH,
            (None, State::Wide(_)) => (),
        }
        Ok(())
    }

    /// Says that nothing follows. Fails only where it was given up, or the peer has stopped it.
    pub(crate) fn finish(&mut self) -> Result<(), ClosedStream> {
        if let State::Wide(lane) = &mut self.state {
            lane.bulk.finish()?;
        }
        self.stream.finish()
    }

    /// Gives up, with a `code`.
    pub(crate) fn reset(&mut self, code: u32) {
        // Fails only where the stream has ended already.
        let _ = self.stream.reset(code.into());
        if let State::Wide(lane) = &mut self.state {
            lane.bulk.reset(code);
        }
    }

    /// Waits until the peer has everything, or has stopped it.
    pub(crate) fn stopped(
        &self,
    ) -> impl Future<Output = Result<Option<VarInt>, StoppedError>> + Send + Sync + 'static {
        self.stream.stopped()
    }
}
