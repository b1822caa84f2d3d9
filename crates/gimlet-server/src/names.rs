//! Names on disk: a redb file that a thread of its own writes.

use std::path::{Path, PathBuf};
use std::thread;

use gimlet_proto::id::PeerId;
use gimlet_proto::rendezvous::{NameChange, NameRecord};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use tokio::sync::mpsc;

/// Name to version byte, key and last use (seconds since 1970, big-endian).
const NAMES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("names");

const VERSION: u8 = 1;

/// Changes that may wait for the disk: a burst of first sign-ins. More hold the control task up.
const QUEUE: usize = 1024;

/// Why names can't be kept.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another server has the file open.
    #[error("{} is in use; does another server run with this state folder?", path.display())]
    InUse {
        /// Which file.
        path: PathBuf,
    },
    /// The file can't be opened or read.
    #[error("cannot use the names file {}: {source}", path.display())]
    Database {
        /// Which file.
        path: PathBuf,
        /// What the database says.
        #[source]
        source: Box<redb::Error>,
    },
}

/// An open names file.
pub(crate) struct NameFile {
    database: Database,
}

impl NameFile {
    /// Opens or makes the file, and reads all of it.
    pub(crate) fn open(path: &Path) -> Result<(Self, Vec<NameRecord>), StoreError> {
        let failed = |source: redb::Error| match source {
            redb::Error::DatabaseAlreadyOpen => StoreError::InUse {
                path: path.to_owned(),
            },
            source => StoreError::Database {
                path: path.to_owned(),
                source: Box::new(source),
            },
        };
        let database = Database::create(path).map_err(|error| failed(error.into()))?;
        let names = read_all(&database).map_err(failed)?;
        Ok((Self { database }, names))
    }

    /// Starts the thread that writes. It ends, with all written, when the sender is dropped.
    pub(crate) fn spawn_writer(self) -> (mpsc::Sender<NameChange>, thread::JoinHandle<()>) {
        let (sender, mut changes) = mpsc::channel(QUEUE);
        // Not a blocking task of the runtime: those stop its clock from being simulated.
        let thread = thread::spawn(move || {
            let mut batch = Vec::new();
            while changes.blocking_recv_many(&mut batch, QUEUE) > 0 {
                if let Err(error) = self.write(&batch) {
                    tracing::error!(%error, "names could not be written");
                }
                batch.clear();
            }
        });
        (sender, thread)
    }

    fn write(&self, changes: &[NameChange]) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(NAMES)?;
            for change in changes {
                match change {
                    NameChange::Bound(record) => {
                        table.insert(record.name.as_str(), encode(record).as_slice())?;
                    }
                    NameChange::Freed(name) => {
                        table.remove(name.as_str())?;
                    }
                }
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

fn read_all(database: &Database) -> Result<Vec<NameRecord>, redb::Error> {
    let transaction = database.begin_read()?;
    let table = match transaction.open_table(NAMES) {
        Ok(table) => table,
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut names = Vec::new();
    for entry in table.iter()? {
        let (name, value) = entry?;
        match decode(name.value(), value.value()) {
            Some(record) => names.push(record),
            None => tracing::warn!("a name of another version of this software is ignored"),
        }
    }
    Ok(names)
}

fn encode(record: &NameRecord) -> Vec<u8> {
    let mut value = vec![VERSION];
    value.extend_from_slice(record.peer.as_bytes());
    value.extend_from_slice(&record.used_unix_s.to_be_bytes());
    value
}

fn decode(name: &str, value: &[u8]) -> Option<NameRecord> {
    let value = value.strip_prefix(&[VERSION])?;
    let (peer, used) = value.split_first_chunk::<32>()?;
    Some(NameRecord {
        name: name.parse().ok()?,
        peer: PeerId::from_bytes(*peer),
        used_unix_s: u64::from_be_bytes(used.try_into().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_the_file_has_one_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("names.redb");
        let record = |name: &str, n: u8| NameRecord {
            name: name.parse().unwrap(),
            peer: PeerId::from_bytes([n; 32]),
            used_unix_s: 1_700_000_000 + u64::from(n),
        };
        let (file, names) = NameFile::open(&path).unwrap();
        assert_eq!(names, []);
        assert!(matches!(
            NameFile::open(&path),
            Err(StoreError::InUse { .. })
        ));
        let (sender, thread) = file.spawn_writer();
        for change in [
            NameChange::Bound(record("alice", 1)),
            NameChange::Bound(record("bob", 2)),
            NameChange::Freed("alice".parse().unwrap()),
            NameChange::Bound(record("bob", 3)),
        ] {
            sender.blocking_send(change).unwrap();
        }
        drop(sender);
        thread.join().unwrap();
        let (_, names) = NameFile::open(&path).unwrap();
        assert_eq!(names, [record("bob", 3)]);
    }
}
