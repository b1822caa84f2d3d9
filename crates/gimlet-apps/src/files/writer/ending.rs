//! No more comes of a file: it is complete, another one than was thought, or could not be sent.

use std::collections::BTreeMap;
use std::time::Instant;

use super::Writer;
use crate::files::error::ReceiveError;
use crate::files::hash::{self, Digest};
use crate::files::install;
use crate::files::journal::{self, Note};
use crate::files::plan::{self, State};
use crate::files::record::Failure;
use crate::files::report::{Event, Fault, Restart};
use crate::files::wire::FromReceiver;

impl Writer {
    /// All that was asked of a file has come, and its hash is this.
    pub(super) fn end(&mut self, entry: u32, hash: Digest) -> Result<(), ReceiveError> {
        let size = self
            .plan
            .manifest
            .size(entry)
            .ok_or(ReceiveError::Misbehaved)?;
        let at = self.open.iter().position(|open| open.entry == entry);
        let (digests, open) = match at {
            Some(at) => {
                let mut open = self.open.swap_remove(at);
                (std::mem::take(&mut open.digests), Some(open))
            }
            None => match &mut self.plan.states[entry as usize] {
                State::Kept(kept) => (std::mem::take(&mut kept.digests), None),
                State::Nothing | State::Wanted | State::Done(_) | State::Failed => {
                    return Err(ReceiveError::Misbehaved);
                }
            },
        };
        let standing = matches!(
            &self.plan.states[entry as usize],
            State::Kept(kept) if kept.standing
        );
        let merged = plan::complete(size, &digests).ok_or(ReceiveError::Misbehaved)?;
        if merged != hash {
            return self.differs(entry, &digests, standing);
        }
        let (resumed, began_at) = match &open {
            Some(open) => (open.resumed, open.began_at),
            None => (size, Instant::now()),
        };
        if !standing {
            install::finish_file(
                &mut self.plan,
                entry,
                open.map(|open| open.file.into_file()),
            )
            .map_err(|source| self.disk(entry, source))?;
            let (place, version) = journal::identify(&self.plan.manifest, entry);
            self.plan.journal.note(place, version, Note::Done { hash });
        }
        self.plan.states[entry as usize] = State::Done(Box::new(hash));
        self.arrived(entry, hash, resumed, began_at)
    }

    /// What was kept is of another content with the same size and time.
    fn differs(
        &mut self,
        entry: u32,
        digests: &BTreeMap<u32, Digest>,
        standing: bool,
    ) -> Result<(), ReceiveError> {
        if self.restarted.contains(&entry) {
            return Err(ReceiveError::Corrupt);
        }
        let root = self.plan.manifest.root(entry);
        if standing {
            if !self.plan.overwrite {
                return Err(self.plan.exists(root));
            }
            self.plan
                .unstand(root)
                .map_err(|source| self.disk(root, source))?;
        }
        let size = self.size(entry);
        self.restarted.push(entry);
        let lost: u64 = digests
            .keys()
            .map(|c| u64::from(hash::chunk_len(size, *c)))
            .sum();
        self.verified -= lost;
        self.reporter.tell(Event::Restarted {
            name: self.name(entry),
            why: Restart::Differs,
        });
        let (place, version) = journal::identify(&self.plan.manifest, entry);
        self.plan.journal.note(place, version, Note::Anew);
        install::discard(&mut self.plan, entry).map_err(|source| self.disk(entry, source))?;
        self.plan.states[entry as usize] = State::Wanted;
        self.say(FromReceiver::Verified(self.verified));
        self.say(FromReceiver::Whole {
            first: entry,
            last: entry,
        });
        Ok(())
    }

    pub(super) fn failed(&mut self, entry: u32, why: Failure) -> Result<(), ReceiveError> {
        let is_due = matches!(
            self.plan.states.get(entry as usize),
            Some(State::Wanted | State::Kept(_))
        );
        if !is_due {
            return Err(ReceiveError::Misbehaved);
        }
        self.open.retain(|open| open.entry != entry);
        self.plan.states[entry as usize] = State::Failed;
        self.summary.failed += 1;
        let why = match why {
            Failure::Changed => Fault::Changed,
            Failure::Unreadable => Fault::Unreadable,
        };
        let name = self.name(entry);
        self.reporter.tell(Event::Failed { name, why });
        let root = self.plan.manifest.root(entry);
        if let Some(root) = self.plan.roots.get_mut(&root) {
            root.incomplete |= why == Fault::Changed || root.standing;
        }
        self.one_less(root)
    }
}
