//! The log on disk: segments that are only appended to, and deleted as a whole.
//!
//! A segment is a file named by its number. Each record is a length (four bytes), a checksum (eight
//! bytes of the body's BLAKE3) and the body. A record cut off by a crash ends its segment; what follows
//! goes to a new one. A batch is on disk before anybody sees a message of it, so no number is ever given
//! to two messages.

use std::collections::VecDeque;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::keep::{Kept, Limits};
use super::wire::{at_unix_ms, unix_ms};
use super::{MAX_MESSAGE, Topic};

/// Bytes after which the next segment begins, at least: two of the largest messages.
const MIN_SEGMENT: u64 = 2 << 20;

/// Parts into which what is kept is divided: so much more than the limit may lie on disk.
const SEGMENTS: u64 = 8;

/// Length and checksum.
const PREFIX: usize = 12;

/// Longest body: everything a message has, at its longest.
const MAX_BODY: usize = MAX_MESSAGE + 256;

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another publisher works in it.
    #[error("another publisher works in {}; give each a folder of its own", .0.display())]
    InUse(PathBuf),
    /// It cannot be read or written.
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

#[derive(Debug)]
struct Segment {
    path: PathBuf,
    length: u64,
    newest: SystemTime,
}

/// The folder, held against other publishers.
#[derive(Debug)]
pub(super) struct Store {
    folder: PathBuf,
    limits: Limits,
    segments: VecDeque<Segment>,
    number: u64,
    current: Option<File>,
    _lock: File,
}

impl Store {
    /// Opens the folder, made if need be; and the messages in it, oldest first.
    pub(super) fn open(folder: &Path, limits: Limits) -> Result<(Self, Vec<Kept>), StoreError> {
        let failed = |source| StoreError::Io {
            path: folder.to_owned(),
            source,
        };
        make_folder(folder).map_err(failed)?;
        let lock = private(&folder.join("lock"), false).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => (),
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse(folder.to_owned())),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let mut store = Self {
            folder: folder.to_owned(),
            limits,
            segments: VecDeque::new(),
            number: 0,
            current: None,
            _lock: lock,
        };
        let messages = store.load().map_err(failed)?;
        Ok((store, messages))
    }

    fn load(&mut self) -> io::Result<Vec<Kept>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".segment"));
            numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
        }
        numbers.sort_unstable();
        let mut messages = Vec::new();
        for number in numbers {
            self.number = self.number.max(number);
            let path = self.path(number);
            let loaded = messages.len();
            let length = read_segment(&path, &mut messages)?;
            let newest = messages[loaded..]
                .iter()
                .map(|kept| kept.published_at)
                .max();
            self.segments.push_back(Segment {
                path,
                length,
                newest: newest.unwrap_or(SystemTime::UNIX_EPOCH),
            });
        }
        Ok(messages)
    }

    /// Writes a batch, and returns when it would outlast a power cut. After an error the next batch
    /// goes to a new segment.
    pub(super) fn append(&mut self, batch: &[Kept], now: SystemTime) -> io::Result<()> {
        let written = self.write(batch);
        if written.is_err() {
            self.current = None;
        }
        self.delete_old(now);
        written
    }

    fn write(&mut self, batch: &[Kept]) -> io::Result<()> {
        let segment = (self.limits.keep_bytes as u64 / SEGMENTS).max(MIN_SEGMENT);
        if self
            .segments
            .back()
            .is_none_or(|last| last.length >= segment)
        {
            self.current = None;
        }
        if self.current.is_none() {
            self.number += 1;
            let path = self.path(self.number);
            self.current = Some(private(&path, true)?);
            // The name has to outlast a power cut as well.
            File::open(&self.folder)?.sync_all()?;
            self.segments.push_back(Segment {
                path,
                length: 0,
                newest: SystemTime::UNIX_EPOCH,
            });
        }
        let mut bytes = BytesMut::new();
        for kept in batch {
            encode(kept, &mut bytes);
        }
        let (Some(file), Some(last)) = (&mut self.current, self.segments.back_mut()) else {
            return Err(io::Error::other("no segment"));
        };
        file.write_all(&bytes)?;
        file.sync_data()?;
        last.length += bytes.len() as u64;
        let newest = batch.iter().map(|kept| kept.published_at).max();
        last.newest = last.newest.max(newest.unwrap_or(last.newest));
        Ok(())
    }

    /// Deletes segments of which everything is too old, or behind which there is enough. Never the
    /// last: it knows the numbers.
    fn delete_old(&mut self, now: SystemTime) {
        let mut total: u64 = self.segments.iter().map(|segment| segment.length).sum();
        while self.segments.len() > 1
            && let Some(first) = self.segments.front()
        {
            let old = first.newest.checked_add(self.limits.keep);
            let rest = total - first.length;
            if old.is_none_or(|old| old > now) && rest < self.limits.keep_bytes as u64 {
                return;
            }
            // One that stays is looked at again at the next start.
            if let Err(error) = fs::remove_file(&first.path) {
                tracing::warn!(path = %first.path.display(), %error, "segment not deleted");
            }
            total = rest;
            self.segments.pop_front();
        }
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:016}.segment"))
    }
}

/// Reads what is whole; the file's length.
fn read_segment(path: &Path, messages: &mut Vec<Kept>) -> io::Result<u64> {
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes)?;
    let length = bytes.len() as u64;
    let mut bytes = Bytes::from(bytes);
    while let Some(kept) = decode(&mut bytes) {
        messages.push(kept);
    }
    if !bytes.is_empty() {
        tracing::warn!(path = %path.display(), lost = bytes.len(), "segment ends in the middle");
    }
    Ok(length)
}

fn encode(kept: &Kept, bytes: &mut BytesMut) {
    let mut body = BytesMut::new();
    let topic = kept.topic.as_str().as_bytes();
    body.put_u8(topic.len() as u8);
    body.put_slice(topic);
    body.put_u64(kept.epoch);
    body.put_u64(kept.seq);
    body.put_u64(unix_ms(kept.published_at));
    body.put_slice(&kept.payload());
    bytes.put_u32(body.len() as u32);
    bytes.put_slice(&checksum(&body));
    bytes.put_slice(&body);
}

fn decode(bytes: &mut Bytes) -> Option<Kept> {
    let mut head = bytes.get(..PREFIX)?;
    let length = head.get_u32() as usize;
    if length > MAX_BODY || bytes.len() - PREFIX < length {
        return None;
    }
    let mut body = bytes.slice(PREFIX..PREFIX + length);
    if checksum(&body) != head {
        return None;
    }
    let topic_len = usize::from(body.try_get_u8().ok()?);
    let topic = (body.len() >= topic_len).then(|| body.split_to(topic_len))?;
    let topic: Topic = std::str::from_utf8(&topic).ok()?.parse().ok()?;
    let (epoch, seq) = (body.try_get_u64().ok()?, body.try_get_u64().ok()?);
    let at = at_unix_ms(body.try_get_u64().ok()?);
    bytes.advance(PREFIX + length);
    Some(Kept::new(topic, epoch, seq, at, body))
}

fn checksum(body: &[u8]) -> [u8; 8] {
    *blake3::hash(body)
        .as_bytes()
        .first_chunk()
        .expect("a hash has 32 bytes")
}

/// What people say to their subscribers is nobody else's on this machine.
fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(folder)
}

fn private(path: &Path, new: bool) -> io::Result<File> {
    let mut options = File::options();
    options.append(true).create(!new).create_new(new);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)
}

#[cfg(test)]
mod tests;
