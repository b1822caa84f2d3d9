//! Where things are in the workspace, and building what the tasks run.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, ensure};

/// The workspace's root folder.
pub(crate) fn root() -> PathBuf {
    // Cargo sets this to `<root>/xtask` when it builds us.
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_path_buf()
}

/// Where build results go: `target/` unless the environment says otherwise.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// A cargo command in the workspace's root, with the toolchain that runs us.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// The running task by a release build: numbers of a debug build mean nothing.
pub(crate) fn in_release() -> anyhow::Result<ExitCode> {
    let status = cargo()
        .args(["run", "--quiet", "--release", "--package", "xtask", "--"])
        .args(std::env::args_os().skip(1))
        .status()
        .context("cargo could not be started")?;
    Ok(match status.success() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// The binary a task runs: the one that was named, or else a fresh release build.
pub(crate) fn binary(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    let Some(named) = named else {
        return release_binary();
    };
    ensure!(named.is_file(), "there is no binary at {}", named.display());
    Ok(std::path::absolute(named)?)
}

fn release_binary() -> anyhow::Result<PathBuf> {
    let status = cargo()
        .args(["build", "--release", "--package", "gimlet-cli"])
        .status()
        .context("cargo could not be started")?;
    ensure!(
        status.success(),
        "the release build failed; its errors are above"
    );
    let binary = target().join("release").join("gimlet");
    ensure!(
        binary.is_file(),
        "the build left no binary at {}",
        binary.display()
    );
    Ok(binary)
}

/// An empty folder, whatever was there.
pub(crate) fn fresh(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)
            .with_context(|| format!("{} can't be removed", folder.display()))?;
    }
    std::fs::create_dir_all(folder).with_context(|| format!("{} can't be made", folder.display()))
}
