//! Has the system write files to disk while they come, where they go through its cache, so that waiting
//! for it at the end is short.

use std::fs::File;
use std::sync::mpsc::{SyncSender, sync_channel};

/// Bytes after which the disk is told to begin: enough for it to be busy for a while.
const INTERVAL: usize = 64 << 20;

/// A thread that waits for the disk, begun when there is something to wait for.
#[derive(Debug, Default)]
pub(super) struct Writeback {
    thread: Option<SyncSender<File>>,
    since: usize,
}

impl Writeback {
    /// So much was written to a file.
    pub(super) fn written(&mut self, file: &File, bytes: usize) {
        self.since += bytes;
        if self.since < INTERVAL {
            return;
        }
        self.since = 0;
        let Ok(file) = file.try_clone() else { return };
        let thread = self.thread.get_or_insert_with(|| {
            let (send, files) = sync_channel::<File>(1);
            std::thread::spawn(move || {
                for file in files {
                    // An error is told again at the end, to who can do something about it.
                    let _ = file.sync_data();
                }
            });
            send
        });
        // Where the disk is behind, it has enough to do.
        let _ = thread.try_send(file);
    }
}
