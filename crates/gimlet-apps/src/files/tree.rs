//! A manifest's folders below some folder, opened as they are needed.

use std::io;

use super::folder::Folder;
use super::manifest::Manifest;

/// Folders kept open: entries of one folder come together, those around it soon.
const MAX_OPEN: usize = 16;

/// A folder in which a manifest's entries are, or will be.
#[derive(Debug)]
pub(super) struct Tree {
    top: Folder,
    open: Vec<(u32, Folder)>,
}

impl Tree {
    pub(super) fn new(top: Folder) -> Self {
        let open = Vec::new();
        Self { top, open }
    }

    /// What everything is below.
    pub(super) fn top(&self) -> &Folder {
        &self.top
    }

    /// The folder that an entry is in.
    pub(super) fn parent(&mut self, manifest: &Manifest, number: u32) -> io::Result<&Folder> {
        match manifest.get(number).and_then(|entry| entry.parent) {
            None => Ok(&self.top),
            Some(folder) => self.folder(manifest, folder),
        }
    }

    /// A folder of the manifest.
    pub(super) fn folder(&mut self, manifest: &Manifest, number: u32) -> io::Result<&Folder> {
        let at = match self.open.iter().position(|(open, _)| *open == number) {
            Some(at) => at,
            None => {
                let folder = self.descend(manifest, number)?;
                if self.open.len() == MAX_OPEN {
                    self.open.remove(0);
                }
                self.open.push((number, folder));
                self.open.len() - 1
            }
        };
        Ok(&self.open[at].1)
    }

    /// Forgets what is open: folders are about to be moved.
    pub(super) fn close(&mut self) {
        self.open.clear();
    }

    fn descend(&self, manifest: &Manifest, number: u32) -> io::Result<Folder> {
        let mut chain = Vec::new();
        let mut next = Some(number);
        while let Some(entry) = next.and_then(|number| manifest.get(number)) {
            chain.push(&entry.name);
            next = entry.parent;
        }
        let mut folder: Option<Folder> = None;
        for name in chain.iter().rev() {
            folder = Some(folder.as_ref().unwrap_or(&self.top).folder(name)?);
        }
        folder.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}
