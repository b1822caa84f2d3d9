//! What was named on its own, and whether it stands in the target folder already.

use std::collections::HashMap;

use super::Root;
use crate::files::error::ReceiveError;
use crate::files::folder::What;
use crate::files::manifest::{Kind, Manifest};
use crate::files::receive::ReceiveOptions;
use crate::files::tree::Tree;

/// Everything named on its own; an error where something else is in its place.
pub(super) fn find(
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
