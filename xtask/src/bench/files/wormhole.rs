//! magic-wormhole, over loopback with a mailbox server of its own.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use super::hosts::LIMIT;
use super::text;
use crate::gimlet::tethered;
use crate::sandbox::on_path;
use crate::workspace;

/// Pause before a server that does not listen yet is looked for again.
const STARTING: Duration = Duration::from_millis(20);

/// Seconds from the start of both commands, the server being up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    /// To the end of both, with the file in the page cache.
    pub(super) ended: f64,
    /// Until it is on disk besides, which `recv` does not end without.
    pub(super) on_disk: f64,
}

/// Sends a file once.
pub(super) async fn send(folder: &Path, file: &Path) -> anyhow::Result<Taken> {
    let (home, target) = (folder.join("wormhole"), folder.join("in"));
    workspace::fresh(&home)?;
    workspace::fresh(&target)?;
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = free.local_addr()?;
    drop(free);
    let mut mailbox = command("twist3", &home)?;
    let listen = format!("--port=tcp:{}:interface=127.0.0.1", address.port());
    let _mailbox = mailbox.args(["wormhole-mailbox", &listen]).spawn()?;
    listening(address).await?;
    let url = format!("ws://{address}/v1");
    // A code that is given needs no terminal; no helper, since both reach each other.
    let via = ["--relay-url", &url, "--transit-helper", ""];
    let mut send = command("wormhole", &home)?;
    send.args(via)
        .args(["send", "--hide-progress", "--code", "1-a-b"]);
    let mut receive = command("wormhole", &target)?;
    receive.args(via).arg("receive");
    receive.args(["--accept-file", "--hide-progress", "1-a-b"]);
    let began_at = Instant::now();
    let mut send = send.arg(text(file)?).spawn()?;
    let mut receive = receive.spawn()?;
    let both = async { anyhow::Ok([send.wait().await?, receive.wait().await?]) };
    let ended = timeout(LIMIT, both).await;
    let ended = ended.context("magic-wormhole takes too long")??;
    let seconds = || began_at.elapsed().as_secs_f64();
    let taken = seconds();
    let all_well = ended.iter().all(|status| status.success());
    ensure!(all_well, "magic-wormhole failed: {ended:?}");
    let came = target.join(file.file_name().context("a file has a name")?);
    let came = tokio::fs::File::open(&came).await?;
    came.sync_all().await?;
    Ok(Taken {
        ended: taken,
        on_disk: seconds(),
    })
}

/// A program of it, in that folder, without a word.
fn command(program: &str, folder: &Path) -> anyhow::Result<Command> {
    let found = on_path(program).with_context(|| {
        format!(
            "{program} is missing; install magic-wormhole and its mailbox server, or run .ci/run"
        )
    })?;
    let mut command = tethered(&found);
    command.current_dir(folder).env("HOME", folder);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(Stdio::null()).kill_on_drop(true);
    Ok(command)
}

async fn listening(address: SocketAddr) -> anyhow::Result<()> {
    let up = async {
        while TcpStream::connect(address).await.is_err() {
            sleep(STARTING).await;
        }
    };
    timeout(LIMIT, up).await.context("no mailbox server")
}
