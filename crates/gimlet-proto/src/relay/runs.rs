//! Cuts what a socket received at once into runs that are handled as one.
//!
//! GRO hands over many datagrams of one sender in one buffer, all of one length (the stride) but
//! the last. Successive data frames of one session make one run, which is sent on as one GSO batch.

use crate::demux::{Kind, classify};
use crate::frame::{Frame, FrameKind, HEADER_LEN};

/// What a datagram costs besides its bytes: headers of the link, and the system's work on them.
const PER_DATAGRAM: u64 = 64;

/// What a send call costs besides.
const PER_RUN: u64 = 1024;

/// What the datagrams of a run are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content<'a> {
    /// One datagram that may be STUN.
    Stun,
    /// Frames; more than one only if all are data of one session. This is the first.
    Frames(Frame<'a>),
    /// One datagram that may be QUIC.
    Quic,
    /// One datagram that nobody here speaks.
    Nothing,
}

/// Successive datagrams of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run<'a> {
    /// What they are.
    pub content: Content<'a>,
    /// All of them, back to back.
    pub bytes: &'a [u8],
    /// Length of each but the last, which may be shorter. Never 0.
    pub stride: usize,
}

impl<'a> Run<'a> {
    /// A run of one datagram.
    pub fn single(datagram: &'a [u8]) -> Self {
        Self {
            content: content_of(datagram),
            bytes: datagram,
            stride: datagram.len().max(1),
        }
    }

    /// How many datagrams these are.
    pub fn segments(&self) -> usize {
        self.bytes.len().div_ceil(self.stride)
    }

    /// Each datagram.
    pub fn datagrams(&self) -> impl Iterator<Item = &'a [u8]> {
        self.bytes.chunks(self.stride)
    }
}

/// What it is to send this in one call.
pub(super) fn cost(datagrams: u64, bytes: u64) -> u64 {
    bytes + datagrams * PER_DATAGRAM + PER_RUN
}

/// Cuts a batch. A `stride` of 0 is taken for a single datagram.
pub fn runs(batch: &[u8], stride: usize) -> impl Iterator<Item = Run<'_>> {
    let mut rest = batch;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let stride = match stride {
            0 => rest.len(),
            stride => stride.min(rest.len()),
        };
        let content = content_of(&rest[..stride]);
        let end = match content {
            Content::Frames(frame) if frame.kind == FrameKind::Data => data_run(rest, stride),
            Content::Frames(_) | Content::Stun | Content::Quic | Content::Nothing => stride,
        };
        let (bytes, after) = rest.split_at(end);
        rest = after;
        Some(Run {
            content,
            bytes,
            stride,
        })
    })
}

fn content_of(datagram: &[u8]) -> Content<'_> {
    match classify(datagram) {
        Some(Kind::Stun) => Content::Stun,
        Some(Kind::Quic) => Content::Quic,
        Some(Kind::Frame) => Frame::decode(datagram).map_or(Content::Nothing, Content::Frames),
        None => Content::Nothing,
    }
}

/// Bytes of the successive datagrams that begin with the same header as the first.
fn data_run(batch: &[u8], stride: usize) -> usize {
    let header = &batch[..HEADER_LEN];
    let same = batch
        .chunks(stride)
        .take_while(|datagram| datagram.starts_with(header));
    same.map(<[u8]>::len).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::header;
    use crate::secret::SessionId;
    use proptest::prelude::*;

    fn data(session: u8, len: usize) -> Vec<u8> {
        let mut datagram = header(FrameKind::Data, SessionId([session; 8])).to_vec();
        datagram.resize(len, 0xaa);
        datagram
    }

    #[test]
    fn data_of_one_session_is_one_run_and_a_shorter_last_datagram_belongs_to_it() {
        let batch = [data(1, 50), data(1, 50), data(1, 20)].concat();
        let found: Vec<_> = runs(&batch, 50).collect();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].segments(), found[0].bytes.len()), (3, 120));
    }

    #[test]
    fn another_session_or_kind_begins_another_run() {
        let mut stun = vec![0; 50];
        stun[1] = 1;
        let mut bind = data(2, 50);
        bind[1] = 1;
        let batch = [
            data(1, 50),
            data(1, 50),
            data(2, 50),
            stun,
            bind,
            data(2, 9),
        ]
        .concat();
        let segments: Vec<_> = runs(&batch, 50).map(|run| run.segments()).collect();
        assert_eq!(segments, [2, 1, 1, 1, 1]);
        let last = runs(&batch, 50).last().unwrap();
        assert_eq!(last.content, Content::Nothing, "9 bytes hold no header");
    }

    proptest! {
        #[test]
        fn runs_cover_the_batch_once_and_cut_only_at_strides(
            choices in proptest::collection::vec((0u8..12, 0u8..3), 0..40),
            stride in 0usize..30,
            cut in 0usize..30,
        ) {
            let mut batch: Vec<u8> = choices.iter().flat_map(|&(first, session)| {
                let mut datagram = data(session, stride);
                if let Some(byte) = datagram.first_mut() { *byte = first; }
                datagram
            }).collect();
            batch.truncate(batch.len().saturating_sub(cut.min(stride)));
            let mut at = 0;
            for run in runs(&batch, stride) {
                prop_assert_eq!(run.bytes, &batch[at..at + run.bytes.len()]);
                prop_assert!(run.stride > 0 && !run.bytes.is_empty());
                prop_assert_eq!(run.datagrams().count(), run.segments());
                at += run.bytes.len();
                prop_assert!(at == batch.len() || stride == 0 || at % stride == 0);
            }
            prop_assert_eq!(at, batch.len());
        }
    }
}
