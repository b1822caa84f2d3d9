//! What is still needed: the manifest, compared with what the stage and the target folder have.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use gimlet::PeerId;

use super::error::ReceiveError;
use super::folder::{self, Folder, What};
use super::hash::{self, CHUNK, Digest};
use super::journal::{self, Journal, Known, Note, Place};
use super::manifest::{Kind, Manifest};
use super::receive::ReceiveOptions;
use super::report::{Event, Reporter, Restart};
use super::stage::Stage;
use super::tree::Tree;
use super::wire::{FromReceiver, MAX_RANGES};

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
        let disk = |source| ReceiveError::Disk {
            path: path.to_owned(),
            source,
        };
        std::fs::create_dir_all(path).map_err(disk)?;
        let mut target = Tree::new(Folder::open(path).map_err(disk)?);
        let roots = roots(&manifest, &mut target, options)?;
        let resumes = Stage::exists(target.top(), peer, &manifest);
        let (stage, journal) = Stage::open(path, target.top(), peer, &manifest)?;
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

    /// How an entry stands; makes its folder where it is one.
    fn look(
        &mut self,
        number: u32,
        known: &HashMap<Place, Known>,
        resumes: bool,
        reporter: &Reporter,
    ) -> io::Result<State> {
        let manifest = self.manifest.clone();
        let Some(entry) = manifest.get(number) else {
            return Ok(State::Nothing);
        };
        let root = self.roots.get(&manifest.root(number));
        let standing = root.is_some_and(|root| root.standing);
        match entry.kind {
            Kind::Folder { mode, .. } if !standing => {
                let parent = self.stage.tree.parent(&manifest, number)?;
                if parent.make_folder(&entry.name, mode).is_err() {
                    // An earlier offer had something else by that name.
                    parent.remove(&entry.name)?;
                    parent.make_folder(&entry.name, mode)?;
                }
                Ok(State::Nothing)
            }
            Kind::Folder { .. } | Kind::Link { .. } => Ok(State::Nothing),
            Kind::File { size, .. } if standing => {
                let folder = self.target.parent(&manifest, number)?;
                let file = folder.file(&entry.name, false)?;
                let digests = (0..hash::chunks(size))
                    .map(|chunk| Ok((chunk, read(&file, size, chunk)?)))
                    .collect::<io::Result<_>>()?;
                Ok(State::Kept(Box::new(Kept {
                    digests,
                    standing: true,
                })))
            }
            Kind::File {
                mode,
                modified,
                size,
            } => {
                let (place, version) = journal::identify(&manifest, number);
                let parent = self.stage.tree.parent(&manifest, number)?;
                let known = known.get(&place);
                let kept = match known {
                    Some(known) if known.version == version => {
                        verify(parent, &entry.name, size, known)
                    }
                    Some(_) | None => None,
                };
                let Some((file, digests)) = kept else {
                    if known.is_some_and(|known| known.version != version) {
                        let name = manifest.path(number).to_string_lossy().into_owned();
                        let why = Restart::Changed;
                        reporter.tell(Event::Restarted { name, why });
                    }
                    if known.is_some() {
                        self.journal.note(place, version, Note::Anew);
                    }
                    if resumes {
                        parent.remove(&entry.name)?;
                    }
                    return Ok(State::Wanted);
                };
                let hash = complete(size, &digests);
                let confirmed = known.and_then(|known| known.hash);
                Ok(match hash {
                    // The record of a single chunk is that of the sender's hash.
                    Some(hash) if digests.len() == 1 || confirmed == Some(hash) => {
                        folder::finish_file(&file, mode, modified)?;
                        State::Done(Box::new(hash))
                    }
                    Some(_) | None => State::Kept(Box::new(Kept {
                        digests,
                        standing: false,
                    })),
                })
            }
        }
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

/// Everything named on its own; an error where something else is in its place.
fn roots(
    manifest: &Manifest,
    target: &mut Tree,
    options: &ReceiveOptions,
) -> Result<HashMap<u32, Root>, ReceiveError> {
    let mut roots = HashMap::new();
    for (number, entry) in manifest.iter() {
        if entry.parent.is_none() {
            let path = options.target.join(manifest.path(number));
            let found = target.top().look(&entry.name);
            let found = found.map_err(|source| ReceiveError::Disk { path, source })?;
            roots.insert(
                number,
                Root {
                    left: 0,
                    standing: found.is_some(),
                    incomplete: false,
                },
            );
        }
        let Some(root) = roots.get_mut(&manifest.root(number)) else {
            continue;
        };
        if matches!(entry.kind, Kind::File { .. }) {
            root.left += 1;
        }
        if root.standing && !stands(manifest, target, number) {
            root.standing = false;
            if !options.overwrite {
                let path = options.target.join(manifest.path(manifest.root(number)));
                return Err(ReceiveError::Exists { path });
            }
        }
    }
    Ok(roots)
}

/// Whether the target folder has what looks the same.
fn stands(manifest: &Manifest, target: &mut Tree, number: u32) -> bool {
    let Some(entry) = manifest.get(number) else {
        return false;
    };
    let look = target
        .parent(manifest, number)
        .and_then(|folder| folder.look(&entry.name));
    let Ok(Some(look)) = look else {
        return false;
    };
    match (&entry.kind, look.what) {
        (Kind::File { size, modified, .. }, What::File { size: found }) => {
            *size == found && *modified == look.modified
        }
        (Kind::Folder { .. }, What::Folder) | (Kind::Link { .. }, What::Link) => true,
        _ => false,
    }
}

/// The chunks of a staged file that are what the journal says.
fn verify(
    parent: &Folder,
    name: &[u8],
    size: u64,
    known: &Known,
) -> Option<(File, BTreeMap<u32, Digest>)> {
    // One that is complete may be for reading only by now.
    let file = parent
        .file(name, true)
        .or_else(|_| parent.file(name, false))
        .ok()?;
    let is_there = |chunk: u32, digest: &Digest| {
        chunk < hash::chunks(size) && read(&file, size, chunk).is_ok_and(|read| read == *digest)
    };
    let digests: BTreeMap<u32, Digest> = (known.digests.iter())
        .filter(|(chunk, digest)| is_there(**chunk, digest))
        .map(|(chunk, digest)| (*chunk, *digest))
        .collect();
    (!digests.is_empty()).then_some((file, digests))
}

fn read(file: &File, size: u64, chunk: u32) -> io::Result<Digest> {
    let mut hasher = hash::ChunkHasher::new(size, chunk);
    let mut left = hash::chunk_len(size, chunk);
    let mut at = hash::offset(chunk);
    // Smaller than a chunk, so that it stays in the processor's cache.
    let mut buffer = vec![0; (CHUNK >> 3).min(left) as usize];
    while left > 0 {
        let part = left.min(CHUNK >> 3);
        let buffer = &mut buffer[..part as usize];
        file.read_exact_at(buffer, at)?;
        hasher.update(buffer);
        at += u64::from(part);
        left -= part;
    }
    Ok(hasher.finish())
}

/// The hash of a file all of whose chunks are there.
pub(super) fn complete(size: u64, digests: &BTreeMap<u32, Digest>) -> Option<Digest> {
    let all = digests.len() == hash::chunks(size) as usize;
    all.then(|| hash::merge(&digests.values().copied().collect::<Vec<_>>()))
}

/// The chunks that are not there, as ranges; where there are too many, the last has the rest.
fn missing(size: u64, digests: &BTreeMap<u32, Digest>) -> Vec<(u32, u32)> {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    let mut next = 0;
    for end in digests.keys().copied().chain([hash::chunks(size)]) {
        if end > next {
            ranges.push((next, end - next));
        }
        next = end + 1;
    }
    if ranges.len() > MAX_RANGES {
        let from = ranges[MAX_RANGES - 1].0;
        ranges.truncate(MAX_RANGES - 1);
        ranges.push((from, hash::chunks(size) - from));
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_asked_for_in_few_ranges() {
        let of = |chunks: &[u32]| chunks.iter().map(|chunk| (*chunk, [0; 32])).collect();
        let size = 6 * u64::from(CHUNK);
        assert_eq!(missing(size, &of(&[])), [(0, 6)]);
        assert_eq!(missing(size, &of(&[0, 1, 4])), [(2, 2), (5, 1)]);
        assert_eq!(missing(size, &of(&[5])), [(0, 5)]);
        assert!(missing(size, &of(&[0, 1, 2, 3, 4, 5])).is_empty());
        let odd: Vec<u32> = (0..2000).map(|n| 2 * n).collect();
        let ranges = missing(4001 * u64::from(CHUNK), &of(&odd));
        assert_eq!(ranges.len(), MAX_RANGES);
        assert_eq!(ranges[0], (1, 1));
        assert_eq!(ranges[MAX_RANGES - 1], (511, 4001 - 511));
    }
}
