//! A file is here: it is told, and what it was the last of is put into the target folder.

use std::io;
use std::time::Instant;

use super::Writer;
use crate::files::error::ReceiveError;
use crate::files::hash::Digest;
use crate::files::report::{Event, FileReport};
use crate::files::wire::FromReceiver;

impl Writer {
    /// A file is here, in the stage or where it belongs.
    pub(super) fn arrived(
        &mut self,
        entry: u32,
        hash: Digest,
        resumed: u64,
        began_at: Instant,
    ) -> Result<(), ReceiveError> {
        let bytes = self.size(entry);
        self.summary.files += 1;
        self.summary.bytes += bytes;
        self.summary.resumed += resumed;
        // First its place, so that who reads of it finds it.
        self.one_less(self.plan.manifest.root(entry))?;
        let files = self.summary.files;
        self.reporter.progress(|progress| progress.files = files);
        self.reporter.tell(Event::Finished(FileReport {
            name: self.name(entry),
            bytes,
            hash,
            elapsed: began_at.elapsed(),
            resumed,
        }));
        self.say(FromReceiver::Confirmed {
            entry,
            hash,
            resumed,
        });
        Ok(())
    }

    pub(super) fn one_less(&mut self, root: u32) -> Result<(), ReceiveError> {
        let Some(state) = self.plan.roots.get_mut(&root) else {
            return Err(ReceiveError::Misbehaved);
        };
        state.left -= 1;
        match state.left {
            0 => self.install(root),
            _ => Ok(()),
        }
    }

    pub(super) fn install(&mut self, root: u32) -> Result<(), ReceiveError> {
        self.plan
            .journal
            .flush()
            .map_err(|source| self.disk(root, source))?;
        if self.plan.install(root)? {
            let name = self.name(root);
            self.reporter.tell(Event::Installed { name });
        }
        Ok(())
    }

    pub(super) fn size(&self, entry: u32) -> u64 {
        self.plan.manifest.size(entry).unwrap_or(0)
    }

    pub(super) fn name(&self, entry: u32) -> String {
        self.plan
            .manifest
            .path(entry)
            .to_string_lossy()
            .into_owned()
    }

    pub(super) fn disk(&self, entry: u32, source: io::Error) -> ReceiveError {
        self.plan.stage.error(&self.plan.manifest, entry, source)
    }

    pub(super) fn say(&self, message: FromReceiver) {
        // The session is over, which is noticed elsewhere.
        let _ = self.out.send(message);
    }
}
