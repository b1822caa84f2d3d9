//! Which chunks of an unfinished transfer are on disk: a file of records that only grows.
//!
//! A record is written after the data that it is about, so a process that is killed at any moment
//! loses records, never truth. What a power failure makes of it is found out too: nothing counts
//! before the chunk was read again and had the digest that the record says.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom, Write as _};

use super::hash::Digest;
use super::manifest::{Kind, Manifest, Stamp};

/// First bytes of the file: what it is, and its version.
const MAGIC: [u8; 8] = *b"gimlet\x01j";

/// Bytes of a record.
const RECORD: usize = 56;

/// Which file a record is about: its path, hashed. Numbers in a manifest change with what is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Place(u64);

/// Which state of that file: its size and time, hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version(u64);

/// What a record says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Note {
    /// This chunk is on disk.
    Chunk { chunk: u32, digest: Digest },
    /// All of it is, and this is the sender's hash.
    Done { hash: Digest },
    /// What was said before does not hold: the file begins anew.
    Anew,
}

/// What is known of a file.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) version: Version,
    pub(super) digests: BTreeMap<u32, Digest>,
    pub(super) hash: Option<Digest>,
}

#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    /// Records that are not written yet.
    pending: Vec<u8>,
}

/// Which file an entry is, and in which state.
pub(super) fn identify(manifest: &Manifest, number: u32) -> (Place, Version) {
    let mut hasher = blake3::Hasher::new();
    let mut next = Some(number);
    while let Some(entry) = next.and_then(|number| manifest.get(number)) {
        hasher.update(&entry.name);
        hasher.update(b"/");
        next = entry.parent;
    }
    let place = Place(short(&hasher));
    let mut hasher = blake3::Hasher::new();
    if let Some(Kind::File { modified, size, .. }) = manifest.get(number).map(|entry| &entry.kind) {
        let Stamp { seconds, nanos } = modified;
        hasher.update(&size.to_be_bytes());
        hasher.update(&seconds.to_be_bytes());
        hasher.update(&nanos.to_be_bytes());
    }
    (place, Version(short(&hasher)))
}

fn short(hasher: &blake3::Hasher) -> u64 {
    let mut short = [0; 8];
    hasher.finalize_xof().fill(&mut short);
    u64::from_be_bytes(short)
}

impl Journal {
    /// Reads what there is; new records come behind the last that is whole.
    pub(super) fn load(mut file: File) -> io::Result<(Self, HashMap<Place, Known>)> {
        let mut known = HashMap::new();
        file.seek(SeekFrom::Start(0))?;
        let mut reader = BufReader::with_capacity(1 << 20, &file);
        let mut good = 0;
        let mut magic = [0; MAGIC.len()];
        if reader.read_exact(&mut magic).is_ok() && magic == MAGIC {
            good = MAGIC.len() as u64;
            let mut record = [0; RECORD];
            while reader.read_exact(&mut record).is_ok() {
                let Some((place, version, note)) = decode(&record) else {
                    break;
                };
                learn(&mut known, place, version, note);
                good += RECORD as u64;
            }
        }
        file.set_len(good)?;
        file.seek(SeekFrom::Start(good))?;
        if good == 0 {
            file.write_all(&MAGIC)?;
        }
        let pending = Vec::new();
        Ok((Self { file, pending }, known))
    }

    /// Adds a record, to be written with the next [`flush`](Self::flush).
    pub(super) fn note(&mut self, place: Place, version: Version, note: Note) {
        self.pending.extend(encode(place, version, note));
    }

    /// Hands what was added to the system. It is called after the data of these records was.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if !self.pending.is_empty() {
            self.file.write_all(&self.pending)?;
            self.pending.clear();
        }
        Ok(())
    }
}

fn learn(known: &mut HashMap<Place, Known>, place: Place, version: Version, note: Note) {
    let fresh = || Known {
        version,
        digests: BTreeMap::new(),
        hash: None,
    };
    let file = known.entry(place).or_insert_with(fresh);
    if file.version != version {
        *file = fresh();
    }
    match note {
        Note::Chunk { chunk, digest } => drop(file.digests.insert(chunk, digest)),
        Note::Done { hash } => file.hash = Some(hash),
        Note::Anew => drop(known.remove(&place)),
    }
}

fn encode(place: Place, version: Version, note: Note) -> [u8; RECORD] {
    let (kind, chunk, digest) = match note {
        Note::Chunk { chunk, digest } => (0, chunk, digest),
        Note::Done { hash } => (1, 0, hash),
        Note::Anew => (2, 0, [0; 32]),
    };
    let mut record = [0; RECORD];
    record[0] = kind;
    record[4..8].copy_from_slice(&u32::to_be_bytes(chunk));
    record[8..16].copy_from_slice(&place.0.to_be_bytes());
    record[16..24].copy_from_slice(&version.0.to_be_bytes());
    record[24..].copy_from_slice(&digest);
    let check = check(&record);
    record[1..4].copy_from_slice(&check);
    record
}

fn decode(record: &[u8; RECORD]) -> Option<(Place, Version, Note)> {
    if record[1..4] != check(record) {
        return None;
    }
    let number = |at: usize| {
        record[at..]
            .first_chunk()
            .map(|bytes| u64::from_be_bytes(*bytes))
    };
    let digest: Digest = *record[24..].first_chunk()?;
    let chunk = u32::from_be_bytes(*record[4..].first_chunk()?);
    let note = match record[0] {
        0 => Note::Chunk { chunk, digest },
        1 => Note::Done { hash: digest },
        2 => Note::Anew,
        _ => return None,
    };
    Some((Place(number(8)?), Version(number(16)?), note))
}

/// Tells a record from what a write that was cut off left.
fn check(record: &[u8; RECORD]) -> [u8; 3] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&record[..1]).update(&record[4..]);
    let hash = hasher.finalize();
    let [a, b, c, ..] = *hash.as_bytes();
    [a, b, c]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::manifest::Entry;

    fn manifest() -> Manifest {
        let mut manifest = Manifest::new();
        for (name, size, seconds) in [("a", 5, 1), ("b", 5, 1), ("c", 6, 1), ("d", 5, 2)] {
            let kind = Kind::File {
                mode: 0,
                modified: Stamp { seconds, nanos: 0 },
                size,
            };
            let name = name.into();
            let parent = None;
            manifest.push(Entry { parent, name, kind }).unwrap();
        }
        manifest
    }

    fn chunk(chunk: u32) -> Note {
        let digest = [chunk as u8; 32];
        Note::Chunk { chunk, digest }
    }

    #[test]
    fn places_are_told_by_path_and_versions_by_size_and_time() {
        let manifest = manifest();
        let all: Vec<_> = (0..4).map(|number| identify(&manifest, number)).collect();
        assert_eq!(all[0].1, all[1].1);
        assert_ne!(all[0].0, all[1].0);
        assert_ne!(all[0].1, all[2].1);
        assert_ne!(all[0].1, all[3].1);
    }

    #[test]
    fn what_was_noted_is_known_after_a_restart_up_to_a_record_cut_off() {
        let manifest = manifest();
        let ((a, version), (b, other)) = (identify(&manifest, 0), identify(&manifest, 2));
        let home = tempfile::tempdir().unwrap();
        let open = || {
            let mut options = File::options();
            options.read(true).write(true).create(true);
            options.open(home.path().join("journal")).unwrap()
        };
        let (mut journal, known) = Journal::load(open()).unwrap();
        assert!(known.is_empty());
        for note in [chunk(0), chunk(2)] {
            journal.note(a, version, note);
            journal.note(b, version, note);
        }
        journal.note(b, version, Note::Anew);
        journal.flush().unwrap();
        let whole = open().metadata().unwrap().len();
        journal.note(a, version, Note::Done { hash: [9; 32] });
        journal.flush().unwrap();
        open().set_len(whole + 55).unwrap();
        let (mut journal, known) = Journal::load(open()).unwrap();
        assert_eq!(known.len(), 1);
        let digests: Vec<_> = known[&a].digests.keys().copied().collect();
        assert_eq!((digests, known[&a].hash), (vec![0, 2], None));
        // Another state of the file puts what was known aside.
        journal.note(a, other, chunk(1));
        journal.flush().unwrap();
        let (_, known) = Journal::load(open()).unwrap();
        assert_eq!(known[&a].digests.len(), 1);
        assert_eq!(known[&a].version, other);
    }

    #[test]
    fn what_is_no_journal_is_an_empty_one() {
        for bytes in [&b"garbage that is long enough"[..], b"", b"gim"] {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            let (_, known) = Journal::load(file.try_clone().unwrap()).unwrap();
            assert!(known.is_empty());
            assert_eq!(file.metadata().unwrap().len(), 8);
        }
    }
}
