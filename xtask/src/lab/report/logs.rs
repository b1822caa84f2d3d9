//! The logs of a cell that failed.

use std::path::Path as FilePath;

use crate::term::{DIM, HEAD, paint};

/// Lines shown of each log of a failed cell. The whole file is named too.
const LOG_LINES: usize = 40;

/// Prints the end of every log of a failed cell, and of the server's.
pub(crate) fn show_logs(folders: &[&FilePath]) -> anyhow::Result<()> {
    for folder in folders {
        let mut files: Vec<_> = std::fs::read_dir(folder)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
            .collect();
        files.sort();
        for file in files {
            let text = String::from_utf8_lossy(&std::fs::read(&file)?).into_owned();
            let lines: Vec<_> = text.lines().collect();
            let tail = &lines[lines.len().saturating_sub(LOG_LINES)..];
            anstream::println!("  {}", paint(HEAD, file.display()));
            for line in tail {
                anstream::println!("  {} {line}", paint(DIM, "│"));
            }
        }
    }
    Ok(())
}
