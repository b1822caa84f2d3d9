//! How an entry stands, by what is on disk: chunks are read again, and only what is right counts. Who watches
//! sees how far that is.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;

use super::{Kept, Plan, State, complete};
use crate::files::folder::{self, Folder};
use crate::files::hash::{self, Digest};
use crate::files::journal::{self, Known, Note, Place};
use crate::files::manifest::Kind;
use crate::files::report::{Event, Reporter, Restart};

impl Plan {
    /// How an entry stands; makes its folder where it is one.
    pub(super) fn look(
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
                    .map(|chunk| {
                        let digest = hash::digest_on_disk(&file, size, chunk)?;
                        is_there(reporter, size, chunk);
                        Ok((chunk, digest))
                    })
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
                        verify(parent, &entry.name, size, &known.digests, reporter)
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
}

/// The chunks of a staged file that are what the journal says.
fn verify(
    parent: &Folder,
    name: &[u8],
    size: u64,
    known: &BTreeMap<u32, Digest>,
    reporter: &Reporter,
) -> Option<(File, BTreeMap<u32, Digest>)> {
    // One that is complete may be for reading only by now.
    let file = parent
        .file(name, true)
        .or_else(|_| parent.file(name, false))
        .ok()?;
    let mut digests = BTreeMap::new();
    for (chunk, digest) in known {
        if *chunk >= hash::chunks(size) {
            continue;
        }
        let found = hash::digest_on_disk(&file, size, *chunk);
        if found.is_ok_and(|found| found == *digest) {
            is_there(reporter, size, *chunk);
            digests.insert(*chunk, *digest);
        }
    }
    (!digests.is_empty()).then_some((file, digests))
}

/// Tells that a chunk need not come.
fn is_there(reporter: &Reporter, size: u64, chunk: u32) {
    let len = u64::from(hash::chunk_len(size, chunk));
    reporter.progress(|progress| {
        progress.bytes += len;
        progress.resumed += len;
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::hash::CHUNK;

    #[test]
    fn chunks_that_are_right_count_and_are_told_while_others_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..2 * CHUNK + 5).map(|n| (n >> 3) as u8).collect();
        std::fs::write(folder.path().join("file"), &content).unwrap();
        let size = content.len() as u64;
        let parts = (0..).zip(content.chunks(CHUNK as usize));
        let right: BTreeMap<u32, Digest> = parts
            .map(|(chunk, part)| (chunk, hash::digest(size, chunk, part)))
            .collect();
        let mut known = right.clone();
        known.insert(1, [0; 32]);
        // No chunk of this file.
        known.insert(3, right[&2]);
        let reporter = Reporter::silent();
        let parent = Folder::open(folder.path()).unwrap();
        let (_, there) = verify(&parent, b"file", size, &known, &reporter).unwrap();
        assert_eq!(Vec::from_iter(there), [(0, right[&0]), (2, right[&2])]);
        let told = reporter.now();
        assert_eq!(
            (told.bytes, told.resumed),
            (u64::from(CHUNK) + 5, told.bytes)
        );
    }
}
