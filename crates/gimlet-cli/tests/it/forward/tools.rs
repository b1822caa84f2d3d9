//! Programs that these tests need.

use std::path::Path;
use std::process::Command;

/// Where programs are that only root's path names.
const MORE: [&str; 2] = ["/usr/sbin", "/sbin"];

/// A program of the system, wherever it is.
pub(super) fn program(name: &str, package: &str) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(MORE.map(Into::into));
    let found = folders
        .map(|folder| folder.join(name))
        .find(|file| file.is_file());
    match found {
        Some(file) => Command::new(file),
        None => panic!("{name} is missing; install the package {package}, or run .ci/run"),
    }
}

/// `curl`, quiet but for errors, without anybody's settings.
pub(super) fn curl() -> Command {
    let mut curl = program("curl", "curl");
    curl.args(["--disable", "--silent", "--show-error"]);
    for proxy in [
        "http_proxy",
        "https_proxy",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ] {
        curl.env_remove(proxy);
    }
    curl
}

/// Asserts that a program is there.
pub(super) fn tool(command: &Command) {
    assert!(Path::new(command.get_program()).is_file());
}
