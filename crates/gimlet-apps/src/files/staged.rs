//! A large file that is being filled, past the page cache where that is possible.
//!
//! Copying a gigabyte into the cache and writing it from there costs more of a processor than hashing
//! it, and pushes out what else was kept. Chunks come in whole, aligned pieces, so the disk can have them
//! from where they lie. Where the file system does not take that, they go through the cache.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

use super::buffer::ALIGN;
use super::writeback::Writeback;

/// Size from which on a file goes past the cache. Smaller ones are written at once anyway, and likely
/// to be looked at soon.
const LARGE: u64 = 32 << 20;

/// An open file of the stage.
#[derive(Debug)]
pub(super) struct Staged {
    file: File,
    way: Way,
}

/// How the next write goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Past the cache.
    Direct,
    /// Through it this time.
    Cached,
    /// Through it always.
    CachedOnly,
}

impl Staged {
    /// Of `size` bytes in the end.
    pub(super) fn new(file: File, size: u64) -> Self {
        let way = match size >= LARGE {
            true => Way::Cached,
            false => Way::CachedOnly,
        };
        Self { file, way }
    }

    /// Writes a chunk to its place.
    pub(super) fn write(
        &mut self,
        bytes: &[u8],
        at: u64,
        writeback: &mut Writeback,
    ) -> io::Result<()> {
        let is_aligned = bytes.as_ptr().align_offset(ALIGN) == 0
            && bytes.len().is_multiple_of(ALIGN)
            && at.is_multiple_of(ALIGN as u64);
        if is_aligned && self.go(Way::Direct) {
            match self.file.write_all_at(bytes, at) {
                // Some file systems take the flag, and then no write.
                Err(error) if is_refusal(&error) => {
                    self.go(Way::Cached);
                    self.way = Way::CachedOnly;
                }
                done => return done,
            }
        }
        self.go(Way::Cached);
        self.file.write_all_at(bytes, at)?;
        writeback.written(&self.file, bytes.len());
        Ok(())
    }

    pub(super) fn into_file(self) -> File {
        self.file
    }

    /// Has the next write go that way; whether it will.
    fn go(&mut self, way: Way) -> bool {
        if self.way == way || self.way == Way::CachedOnly {
            return self.way == way;
        }
        let flags = fcntl_getfl(&self.file).map(|flags| match way {
            Way::Direct => flags | OFlags::DIRECT,
            Way::Cached | Way::CachedOnly => flags - OFlags::DIRECT,
        });
        match flags.and_then(|flags| fcntl_setfl(&self.file, flags)) {
            Ok(()) => self.way = way,
            // Never set, so it need not be taken back.
            Err(_) => self.way = Way::CachedOnly,
        }
        self.way == way
    }
}

fn is_refusal(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::INVAL.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::buffer::Buffer;
    use crate::files::hash::CHUNK;

    fn chunk(of: u8, len: usize) -> Buffer {
        let mut buffer = Buffer::new();
        buffer.room()[..len].fill(of);
        buffer.advance(len);
        buffer
    }

    #[test]
    fn whole_and_cut_chunks_are_where_they_belong_in_any_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let size = LARGE + 5;
        let file = File::create_new(&path).unwrap();
        file.set_len(size).unwrap();
        let mut staged = Staged::new(file, size);
        let mut writeback = Writeback::default();
        let whole = CHUNK as usize;
        for (at, len) in [(LARGE, 5), (0, whole), (u64::from(CHUNK), whole)] {
            let buffer = chunk(1 + (at >> 20) as u8, len);
            staged.write(buffer.filled(), at, &mut writeback).unwrap();
        }
        // Not aligned in memory.
        let odd = vec![99; whole + 1];
        let at = 2 * u64::from(CHUNK);
        staged.write(&odd[1..], at, &mut writeback).unwrap();
        drop(staged);
        let read = std::fs::read(&path).unwrap();
        assert_eq!(read.len() as u64, size);
        assert!(read[..whole].iter().all(|byte| *byte == 1));
        assert!(read[whole..2 * whole].iter().all(|byte| *byte == 2));
        assert!(read[2 * whole..3 * whole].iter().all(|byte| *byte == 99));
        assert!(read[3 * whole..LARGE as usize].iter().all(|b| *b == 0));
        assert_eq!(read[LARGE as usize..], [33; 5]);
    }
}
