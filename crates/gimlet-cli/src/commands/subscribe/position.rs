//! The file in which a subscription remembers its place.

use std::fs;
use std::io;
use std::path::PathBuf;

use anyhow::Context as _;
use gimlet_apps::topic::Position;

use crate::exit::Failure;

/// Epoch and number, in decimal, on one line.
pub(super) struct PositionFile {
    path: PathBuf,
}

impl PositionFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// `None` where there is no such file yet.
    pub(super) fn read(&self) -> Result<Option<Position>, Failure> {
        let context = || format!("cannot read {}", self.path.display());
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(anyhow::Error::new(error).context(context()).into()),
        };
        let (epoch, seq) = text.trim().split_once(' ').with_context(context)?;
        Ok(Some(Position {
            epoch: epoch.parse().with_context(context)?,
            seq: seq.parse().with_context(context)?,
        }))
    }

    /// Replaces it as a whole: a run that is killed leaves the old place or the new one.
    pub(super) fn write(&self, position: Position) -> Result<(), Failure> {
        let context = || format!("cannot write {}", self.path.display());
        let new = self.path.with_added_extension("new");
        let line = format!("{} {}\n", position.epoch, position.seq);
        fs::write(&new, line).with_context(context)?;
        fs::rename(&new, &self.path).with_context(context)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_remembered_and_a_file_of_something_else_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = PositionFile::new(folder.path().join("place"));
        assert_eq!(file.read().unwrap(), None);
        for seq in [1, u64::MAX] {
            let position = Position { epoch: 7, seq };
            file.write(position).unwrap();
            assert_eq!(file.read().unwrap(), Some(position));
        }
        fs::write(&file.path, "hello there").unwrap();
        assert!(file.read().is_err());
    }
}
