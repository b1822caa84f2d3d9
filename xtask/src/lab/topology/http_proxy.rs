//! A router that is an HTTP proxy: the real `tinyproxy` in its namespace, which lets CONNECT through.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::Context;
use patchbay::Router;
use tokio::process::Child;

use crate::gimlet::tethered;
use crate::sandbox::on_path;
use crate::workspace;

/// Where it listens on its inside.
const PORT: u16 = 8888;

/// Who is let through.
const USER: &str = "lab";
const PASSWORD: &str = "let-me-out";

/// What a host behind the router is told.
pub(super) fn url(router: &Router) -> anyhow::Result<String> {
    let inside = router.downstream_gw();
    let inside = inside.context("a router without an inside")?;
    Ok(format!("http://{USER}:{PASSWORD}@{inside}:{PORT}"))
}

/// Starts the daemon on a router, for whoever is below it. It ends when dropped.
pub(super) fn start(router: &Router) -> anyhow::Result<Child> {
    let daemon = on_path("tinyproxy").context("the command `tinyproxy` is not installed")?;
    let inside = router.downstream_gw();
    let inside = inside.context("a router without an inside")?;
    let config = format!(
        "Listen {inside}
Port {PORT}
Timeout 600
MaxClients 100
BasicAuth {USER} {PASSWORD}
LogLevel Connect
"
    );
    let file = |ending: &str| -> PathBuf {
        let name = format!("{}.{ending}", router.name());
        workspace::target().join("lab").join("tinyproxy").join(name)
    };
    let (settings, log) = (file("conf"), file("log"));
    std::fs::create_dir_all(settings.with_file_name(""))?;
    std::fs::write(&settings, config)?;
    let log = std::fs::File::create(log)?;
    let mut command = tethered(&daemon);
    // In the foreground, where it dies with us.
    command.arg("-d").arg("-c").arg(settings);
    command.stdin(Stdio::null()).stdout(log.try_clone()?);
    command.stderr(log).kill_on_drop(true);
    router.spawn_command(command)
}
