//! From the stage to the target folder: files are filled, finished, and moved where they belong.

use std::fs::File;
use std::io::{self, Write as _};

use super::error::ReceiveError;
use super::folder::{self, Folder, What};
use super::manifest::{Kind, Manifest};
use super::plan::{Plan, State};

/// The staged file of an entry, open; new and of full size, or the one that is there.
pub(super) fn stage_file(plan: &mut Plan, entry: u32, is_new: bool) -> io::Result<File> {
    let (name, mode) = name_and_mode(&plan.manifest, entry);
    let size = plan.manifest.size(entry).unwrap_or(0);
    let parent = plan.stage.tree.parent(&plan.manifest, entry)?;
    if !is_new {
        // One that is complete may be for reading only by now.
        return parent
            .file(name, true)
            .or_else(|_| parent.file(name, false));
    }
    let file = parent.create(name, mode)?;
    // Holes take no room: what has not come is not on disk.
    file.set_len(size)?;
    Ok(file)
}

/// Writes a whole file to the stage.
pub(super) fn small_file(plan: &mut Plan, entry: u32, bytes: &[u8]) -> io::Result<()> {
    let (name, mode) = name_and_mode(&plan.manifest, entry);
    let parent = plan.stage.tree.parent(&plan.manifest, entry)?;
    let mut file = parent.create(name, mode)?;
    file.write_all(bytes)?;
    finish(&plan.manifest, entry, &file)
}

/// Finishes a staged file of several chunks; it is on disk then.
pub(super) fn finish_file(plan: &mut Plan, entry: u32, file: Option<File>) -> io::Result<()> {
    let file = match file {
        Some(file) => file,
        None => stage_file(plan, entry, false)?,
    };
    finish(&plan.manifest, entry, &file)?;
    file.sync_all()
}

fn finish(manifest: &Manifest, entry: u32, file: &File) -> io::Result<()> {
    match manifest.get(entry).map(|entry| &entry.kind) {
        Some(Kind::File { mode, modified, .. }) => folder::finish_file(file, *mode, *modified),
        Some(Kind::Folder { .. } | Kind::Link { .. }) | None => Ok(()),
    }
}

/// Removes a staged file that begins anew.
pub(super) fn discard(plan: &mut Plan, entry: u32) -> io::Result<()> {
    let (name, _) = name_and_mode(&plan.manifest, entry);
    plan.stage.tree.parent(&plan.manifest, entry)?.remove(name)
}

fn name_and_mode(manifest: &Manifest, entry: u32) -> (&[u8], u32) {
    match manifest.get(entry) {
        Some(entry) => match entry.kind {
            Kind::Folder { mode, .. } | Kind::File { mode, .. } => (&entry.name, mode),
            Kind::Link { .. } => (&entry.name, 0),
        },
        None => (b"", 0),
    }
}

impl Plan {
    /// Moves what was named on its own to the target folder, once all its files are there; whether it
    /// is there now.
    pub(super) fn install(&mut self, root: u32) -> Result<bool, ReceiveError> {
        let installed = self.try_install(root);
        installed.map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => self.exists(root),
            _ => self.stage.error(&self.manifest, root, source),
        })
    }

    /// That something else is where this belongs.
    pub(super) fn exists(&self, root: u32) -> ReceiveError {
        self.stage.exists_at(&self.manifest, root)
    }

    fn try_install(&mut self, root: u32) -> io::Result<bool> {
        let Some(state) = self.roots.get(&root) else {
            return Ok(false);
        };
        if state.standing {
            return Ok(!state.incomplete);
        }
        let failed = matches!(self.states.get(root as usize), Some(State::Failed));
        if state.incomplete || failed {
            return Ok(false);
        }
        let manifest = self.manifest.clone();
        let Some(entry) = manifest.get(root) else {
            return Ok(false);
        };
        match entry.kind {
            Kind::Folder { .. } => {
                self.finish_folder(root)?;
                self.stage.tree.folder(&manifest, root)?.sync_all()?;
            }
            Kind::File { size, .. } if super::hash::chunks(size) == 1 => {
                self.stage.tree.top().file(&entry.name, false)?.sync_all()?;
            }
            // Larger ones are on disk when they are finished.
            Kind::File { .. } | Kind::Link { .. } => (),
        }
        self.stage.tree.close();
        self.target.close();
        let (from, to) = (self.stage.tree.top(), self.target.top());
        merge(from, to, &entry.name, self.overwrite)?;
        to.sync()?;
        Ok(true)
    }

    /// Links, and the times of folders: nothing is put into them after this.
    fn finish_folder(&mut self, root: u32) -> io::Result<()> {
        let manifest = self.manifest.clone();
        let members = || {
            manifest
                .iter()
                .rev()
                .filter(|(n, _)| manifest.root(*n) == root)
        };
        for (number, entry) in members() {
            if let Kind::Link { target } = &entry.kind {
                let parent = self.stage.tree.parent(&manifest, number)?;
                parent.remove(&entry.name)?;
                parent.link(&entry.name, target)?;
            }
        }
        for (number, entry) in members() {
            if let Kind::Folder { modified, .. } = entry.kind {
                self.stage
                    .tree
                    .folder(&manifest, number)?
                    .set_modified(modified)?;
            }
        }
        Ok(())
    }

    /// Something that stands in the target folder is to be replaced after all: all of its files count
    /// from there, and only what comes new is staged.
    pub(super) fn unstand(&mut self, root: u32) -> io::Result<()> {
        let manifest = self.manifest.clone();
        for (number, entry) in manifest.iter().filter(|(n, _)| manifest.root(*n) == root) {
            if let Kind::Folder { mode, .. } = entry.kind {
                let parent = self.stage.tree.parent(&manifest, number)?;
                parent.make_folder(&entry.name, mode)?;
            }
        }
        if let Some(root) = self.roots.get_mut(&root) {
            root.standing = false;
        }
        Ok(())
    }

    /// Everything has been dealt with: the stage goes, unless the next attempt needs it.
    pub(super) fn finish(&mut self) -> Result<(), ReceiveError> {
        if self
            .roots
            .values()
            .any(|root| root.incomplete && !root.standing)
        {
            return Ok(());
        }
        let removed = self.stage.remove(self.target.top());
        removed.map_err(|source| self.stage.error(&self.manifest, 0, source))
    }
}

/// Moves something in one step where nothing is in its place. Where something may be replaced, a file
/// takes the place of a file, and what is in a folder joins what is there.
fn merge(from: &Folder, to: &Folder, name: &[u8], replace: bool) -> io::Result<()> {
    let found = to.look(name)?.map(|look| look.what);
    let moved = from.look(name)?.map(|look| look.what);
    match (found, moved) {
        (Some(_), _) if !replace => Err(io::ErrorKind::AlreadyExists.into()),
        (Some(What::Folder), Some(What::Folder)) => {
            let (from_folder, to_folder) = (from.folder(name)?, to.folder(name)?);
            for inner in from_folder.names()? {
                merge(&from_folder, &to_folder, &inner, replace)?;
            }
            Ok(())
        }
        // A folder never goes for a file, nor a file for a folder: that is more than was asked for.
        (Some(What::Folder), _) | (Some(_), Some(What::Folder)) => {
            Err(io::ErrorKind::AlreadyExists.into())
        }
        (None | Some(_), _) => from.rename(name, to, name, replace && found.is_some()),
    }
}
