//! The control stream: frames of a kind, a length and a body.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::hash::Digest;
use super::manifest::{Entry, Kind, Stamp};

/// Longest body, bytes: a frame of entries is cut there. Small beside what a stream carries at once.
pub(super) const MAX_BODY: usize = 64 << 10;

/// Most ranges in one frame; who misses more asks for the rest of the file from the last one on.
pub(super) const MAX_RANGES: usize = 256;

/// Parent of what is named on its own.
const NO_PARENT: u32 = u32::MAX;

/// What whoever sends says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FromSender {
    /// Some more entries of the manifest.
    Entries(Vec<Entry>),
    /// That was all of them.
    End,
    /// Still there.
    Alive,
}

/// What whoever receives says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FromReceiver {
    /// All files with these numbers, both ends included, whole.
    Whole { first: u32, last: u32 },
    /// These chunks of a file (first and number, ascending), and then its hash.
    Parts { entry: u32, ranges: Vec<(u32, u32)> },
    /// So many bytes of files are here and verified. The first says what was there before.
    Verified(u64),
    /// A file is here, as a whole, and right; so much of it since earlier attempts.
    Confirmed {
        entry: u32,
        hash: Digest,
        resumed: u64,
    },
    /// Everything is here, but for so many files.
    Complete { failed: u32 },
    /// Still there.
    Alive,
}

/// What is no frame of this protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a malformed frame")]
pub(super) struct Malformed;

/// A kind and a body.
pub(super) type Frame = (u8, Vec<u8>);

/// Reads a frame; `None` at the end of the stream.
pub(super) async fn read<R: AsyncRead + Unpin>(from: &mut R) -> io::Result<Option<Frame>> {
    let mut header = [0; 5];
    if from.read(&mut header[..1]).await? == 0 {
        return Ok(None);
    }
    from.read_exact(&mut header[1..]).await?;
    let [kind, length @ ..] = header;
    let length = u32::from_be_bytes(length) as usize;
    if length > MAX_BODY {
        return Err(io::Error::new(io::ErrorKind::InvalidData, Malformed));
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).await?;
    Ok(Some((kind, body)))
}

/// Frames that hold these entries.
pub(super) fn entries(entries: &[Entry], to: &mut Vec<u8>) {
    let mut body = Vec::new();
    for entry in entries {
        let before = body.len();
        put_entry(&mut body, entry);
        if body.len() > MAX_BODY {
            let over = body.split_off(before);
            frame(to, 1, &body);
            body = over;
        }
    }
    if !body.is_empty() {
        frame(to, 1, &body);
    }
}

fn frame(to: &mut Vec<u8>, kind: u8, body: &[u8]) {
    let length = u32::try_from(body.len()).expect("a body is short");
    to.push(kind);
    to.extend(length.to_be_bytes());
    to.extend(body);
}

impl FromSender {
    pub(super) fn encode(&self, to: &mut Vec<u8>) {
        match self {
            Self::Entries(some) => entries(some, to),
            Self::End => frame(to, 2, &[]),
            Self::Alive => frame(to, 3, &[]),
        }
    }

    pub(super) fn decode((kind, body): Frame) -> Result<Self, Malformed> {
        let mut body = Body(&body);
        let decoded = match kind {
            1 => {
                let mut entries = Vec::new();
                while !body.0.is_empty() {
                    entries.push(take_entry(&mut body)?);
                }
                Self::Entries(entries)
            }
            2 => Self::End,
            3 => Self::Alive,
            _ => return Err(Malformed),
        };
        body.end(decoded)
    }
}

impl FromReceiver {
    pub(super) fn encode(&self, to: &mut Vec<u8>) {
        let mut body = Vec::new();
        let kind = match self {
            Self::Whole { first, last } => {
                body.extend(first.to_be_bytes());
                body.extend(last.to_be_bytes());
                16
            }
            Self::Parts { entry, ranges } => {
                body.extend(entry.to_be_bytes());
                for (first, count) in ranges {
                    body.extend(first.to_be_bytes());
                    body.extend(count.to_be_bytes());
                }
                17
            }
            Self::Verified(bytes) => {
                body.extend(bytes.to_be_bytes());
                18
            }
            Self::Confirmed {
                entry,
                hash,
                resumed,
            } => {
                body.extend(entry.to_be_bytes());
                body.extend(hash);
                body.extend(resumed.to_be_bytes());
                19
            }
            Self::Complete { failed } => {
                body.extend(failed.to_be_bytes());
                20
            }
            Self::Alive => 21,
        };
        frame(to, kind, &body);
    }

    pub(super) fn decode((kind, body): Frame) -> Result<Self, Malformed> {
        let mut body = Body(&body);
        let decoded = match kind {
            16 => Self::Whole {
                first: body.u32()?,
                last: body.u32()?,
            },
            17 => {
                let entry = body.u32()?;
                let mut ranges = Vec::new();
                while !body.0.is_empty() {
                    ranges.push((body.u32()?, body.u32()?));
                }
                if ranges.len() > MAX_RANGES {
                    return Err(Malformed);
                }
                Self::Parts { entry, ranges }
            }
            18 => Self::Verified(u64::from_be_bytes(body.array()?)),
            19 => Self::Confirmed {
                entry: body.u32()?,
                hash: body.array()?,
                resumed: u64::from_be_bytes(body.array()?),
            },
            20 => Self::Complete {
                failed: body.u32()?,
            },
            21 => Self::Alive,
            _ => return Err(Malformed),
        };
        body.end(decoded)
    }
}

fn put_entry(to: &mut Vec<u8>, entry: &Entry) {
    let text = |to: &mut Vec<u8>, text: &[u8]| {
        let length = u16::try_from(text.len()).expect("the manifest took it, so it is short");
        to.extend(length.to_be_bytes());
        to.extend(text);
    };
    let stamp = |to: &mut Vec<u8>, mode: u32, stamp: Stamp| {
        to.extend(mode.to_be_bytes());
        to.extend(stamp.seconds.to_be_bytes());
        to.extend(stamp.nanos.to_be_bytes());
    };
    to.push(match entry.kind {
        Kind::Folder { .. } => 0,
        Kind::File { .. } => 1,
        Kind::Link { .. } => 2,
    });
    to.extend(entry.parent.unwrap_or(NO_PARENT).to_be_bytes());
    text(to, &entry.name);
    match &entry.kind {
        Kind::Folder { mode, modified } => stamp(to, *mode, *modified),
        Kind::File {
            mode,
            modified,
            size,
        } => {
            stamp(to, *mode, *modified);
            to.extend(size.to_be_bytes());
        }
        Kind::Link { target } => text(to, target),
    }
}

fn take_entry(body: &mut Body<'_>) -> Result<Entry, Malformed> {
    let [kind] = body.array()?;
    let parent = body.u32()?;
    let name = body.text()?;
    let kind = match kind {
        0 => {
            let (mode, modified) = body.stamp()?;
            Kind::Folder { mode, modified }
        }
        1 => {
            let (mode, modified) = body.stamp()?;
            Kind::File {
                mode,
                modified,
                size: u64::from_be_bytes(body.array()?),
            }
        }
        2 => Kind::Link {
            target: body.text()?,
        },
        _ => return Err(Malformed),
    };
    Ok(Entry {
        parent: (parent != NO_PARENT).then_some(parent),
        name,
        kind,
    })
}

/// What is left of a body.
struct Body<'a>(&'a [u8]);

impl Body<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (array, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*array)
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    fn text(&mut self) -> Result<Vec<u8>, Malformed> {
        let length = usize::from(u16::from_be_bytes(self.array()?));
        let (text, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(text.to_vec())
    }

    fn stamp(&mut self) -> Result<(u32, Stamp), Malformed> {
        let mode = self.u32()?;
        let seconds = i64::from_be_bytes(self.array()?);
        let nanos = self.u32()?;
        match nanos < 1_000_000_000 {
            true => Ok((mode, Stamp { seconds, nanos })),
            false => Err(Malformed),
        }
    }

    fn end<T>(self, decoded: T) -> Result<T, Malformed> {
        match self.0 {
            [] => Ok(decoded),
            [..] => Err(Malformed),
        }
    }
}

#[cfg(test)]
mod tests;
