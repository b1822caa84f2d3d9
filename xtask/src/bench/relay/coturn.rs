//! coturn as Debian has it, to be compared with.

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Stdio;

use anyhow::Context;
use tokio::process::{Child, Command};

use crate::bench::cpu;

/// Its program, from the package `coturn`.
const PROGRAM: &str = "turnserver";

/// A running one.
pub(super) struct Coturn {
    child: Child,
    /// Where it listens.
    pub(super) addr: SocketAddr,
}

impl Coturn {
    /// Starts one over loopback, without authentication, which no packet pays for; `tuned` as it does
    /// best. `None` where it is not installed.
    pub(super) fn start(tuned: bool, folder: &Path) -> anyhow::Result<Option<Self>> {
        let addr = UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
        let port = addr.port();
        let file = |name: &str| folder.join(format!("coturn-{port}.{name}"));
        let mut command = Command::new(PROGRAM);
        command
            .args(["-n", "--no-auth", "--allow-loopback-peers", "--no-cli"])
            .args(["--no-tls", "--no-dtls", "--simple-log"])
            .args(["--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1"])
            // Below those that the system gives to sockets which ask for any.
            .args(["--min-port=10000", "--max-port=30000"])
            .arg(format!("--listening-port={port}"))
            .arg("--db")
            .arg(file("db"))
            .arg("--pidfile")
            .arg(file("pid"))
            .arg("--log-file=/dev/null");
        if tuned {
            command
                // One relay thread: nothing changes processors, and none waits for another.
                .args(["--relay-threads=1", "--no-tcp", "--no-stun"])
                .args(["--no-dynamic-ip-list", "--no-software-attribute"])
                .args(["--no-stun-backward-compatibility", "--no-rfc5780"]);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        match child {
            Ok(child) => Ok(Some(Self { child, addr })),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).context("coturn could not be started"),
        }
    }

    /// User and system time so far, seconds.
    pub(super) fn cpu_s(&self) -> anyhow::Result<f64> {
        cpu::of(self.child.id().context("coturn has ended")?)
    }
}
