//! What is still needed: the manifest, compared with what the stage and the target folder have.

mod look;
mod missing;
mod roots;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use gimlet::PeerId;

use super::error::ReceiveError;
use super::folder::Folder;
use super::hash::{self, Digest};
use super::journal::Journal;
use super::manifest::Manifest;
use super::receive::ReceiveOptions;
use super::report::Reporter;
use super::stage::Stage;
use super::tree::Tree;
use super::wire::FromReceiver;
use missing::missing;

/// Where every entry stands, and what is asked of the sender.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) manifest: Arc<Manifest>,
    pub(super) target: Tree,
    pub(super) stage: Stage,
    pub(super) journal: Journal,
    pub(super) states: Vec<State>,
    pub(super) roots: HashMap<u32, Root>,
    pub(super) wants: Vec<FromReceiver>,
    /// Bytes that need not come.
    pub(super) resumed: u64,
    pub(super) overwrite: bool,
}

/// Where an entry stands.
#[derive(Debug)]
pub(super) enum State {
    /// No file.
    Nothing,
    /// Nothing of it is there.
    Wanted,
    /// Some chunks are there, or all and only the sender's hash is not known.
    Kept(Box<Kept>),
    /// It is there and right; this is its hash.
    Done(Box<Digest>),
    /// It will not come.
    Failed,
}

/// The chunks of a file that are there, each read again and verified.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) digests: BTreeMap<u32, Digest>,
    /// It stands in the target folder, not in the stage.
    pub(super) standing: bool,
}

/// What was named on its own.
#[derive(Debug)]
pub(super) struct Root {
    /// Files that have neither come nor failed.
    pub(super) left: u32,
    /// It stands in the target folder, of the same size and time.
    pub(super) standing: bool,
    /// A file was changed while it was sent: the next attempt brings it.
    pub(super) incomplete: bool,
}

impl Plan {
    /// Looks at what is there. Reads all of it, which takes a while.
    pub(super) fn of(
        manifest: Arc<Manifest>,
        options: &ReceiveOptions,
        peer: PeerId,
        reporter: &Reporter,
    ) -> Result<Self, ReceiveError> {
        let path: &Path = &options.target;
        // What people know is what was offered, not where it is kept meanwhile.
        let offered = path.join(manifest.path(0));
        let disk = |source| ReceiveError::Disk {
            path: offered.clone(),
            source,
        };
        std::fs::create_dir_all(path).map_err(disk)?;
        let mut target = Tree::new(Folder::open(path).map_err(disk)?);
        let roots = roots::find(&manifest, &mut target, options)?;
        let resumes = Stage::exists(target.top(), peer, &manifest);
        let (stage, journal) = Stage::open(path, target.top(), peer, &manifest, &disk)?;
        let (journal, known) = Journal::load(journal).map_err(disk)?;
        let mut plan = Self {
            states: Vec::with_capacity(manifest.len() as usize),
            manifest,
            target,
            stage,
            journal,
            roots,
            wants: Vec::new(),
            resumed: 0,
            overwrite: options.overwrite,
        };
        for number in 0..plan.manifest.len() {
            let looked = plan.look(number, &known, resumes, reporter);
            let state =
                looked.map_err(|source| plan.stage.error(&plan.manifest, number, source))?;
            plan.want(number, &state);
            plan.states.push(state);
        }
        plan.journal.flush().map_err(disk)?;
        Ok(plan)
    }

    /// Asks for what such an entry lacks.
    fn want(&mut self, number: u32, state: &State) {
        let Some(size) = self.manifest.size(number) else {
            return;
        };
        match state {
            State::Wanted => match self.wants.last_mut() {
                // Folders and links in between do no harm; other files are asked for otherwise.
                Some(FromReceiver::Whole { last, .. })
                    if (*last + 1..number).all(|n| self.manifest.size(n).is_none()) =>
                {
                    *last = number;
                }
                _ => self.wants.push(FromReceiver::Whole {
                    first: number,
                    last: number,
                }),
            },
            State::Kept(kept) => {
                let chunks = kept.digests.keys();
                self.resumed += chunks
                    .map(|c| u64::from(hash::chunk_len(size, *c)))
                    .sum::<u64>();
                self.wants.push(FromReceiver::Parts {
                    entry: number,
                    ranges: missing(size, &kept.digests),
                });
            }
            State::Done(_) => self.resumed += size,
            State::Nothing | State::Failed => (),
        }
    }
}

/// The hash of a file all of whose chunks are there.
pub(super) fn complete(size: u64, digests: &BTreeMap<u32, Digest>) -> Option<Digest> {
    let all = digests.len() == hash::chunks(size) as usize;
    all.then(|| hash::merge(&digests.values().copied().collect::<Vec<_>>()))
}
