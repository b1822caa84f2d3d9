//! Three hosts on a bridge: network namespaces inside a user namespace of the test's own.

use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Process, gimlet, objects};

/// Makes the bridge and the hosts `a`, `b` and `c`, says so, and keeps them until its input ends.
const SCRIPT: &str = r#"
set -e
mount -t tmpfs none /run
mkdir -p /run/netns
ip link set lo up
ip link add br0 type bridge
ip link set br0 up
n=1
for host in a b c; do
    ip netns add "$host"
    ip link add "veth-$host" type veth peer name eth0 netns "$host"
    ip link set "veth-$host" master br0 up
    ip -n "$host" addr add "192.168.77.$n/24" dev eth0
    ip -n "$host" link set lo up
    ip -n "$host" link set eth0 up
    ip -n "$host" route add default dev eth0
    n=$((n + 1))
done
echo "pid $$"
cat
"#;

/// The network of the test.
pub(super) struct Network {
    pub(super) holder: Process,
    pub(super) pid: String,
    pub(super) homes: TempDir,
}

impl Network {
    pub(super) fn new() -> Self {
        let mut command = Command::new("unshare");
        command.args([
            "--user",
            "--map-root-user",
            "--net",
            "--mount",
            "sh",
            "-c",
            SCRIPT,
        ]);
        command.env("PATH", path_with_sbin());
        let mut holder = Process::spawn(command);
        let line = holder.wait_line(|line| line.starts_with("pid "));
        Self {
            holder,
            pid: line["pid ".len()..].to_owned(),
            homes: tempfile::tempdir().unwrap(),
        }
    }

    /// Something on a host.
    fn on(&self, host: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.pid, "--user", "--net", "--mount"])
            .args(["--preserve-credentials", "ip", "netns", "exec", host])
            .env_clear()
            .env("PATH", path_with_sbin());
        command
    }

    pub(super) fn exec(&self, host: &str, line: &str) {
        let done = self.on(host).args(line.split(' ')).status().unwrap();
        assert!(done.success(), "{line}");
    }

    /// The binary on a host.
    pub(super) fn command(&self, host: &str, args: &[&str]) -> Command {
        let home = self.homes.path().join(host);
        let mut command = self.on(host);
        command
            .arg(gimlet().get_program())
            .args(args)
            .env("NO_COLOR", "1")
            .env("HOME", &home)
            .env("GIMLET_NAME", host)
            .env("GIMLET_IDENTITY", home.join("identity.key"))
            .stdin(Stdio::null());
        command
    }

    /// Runs to its end; the status and the objects printed.
    pub(super) fn run(&self, host: &str, args: &[&str]) -> (Option<i32>, Vec<Value>) {
        let done = self.command(host, args).output().unwrap();
        (done.status.code(), objects(&done.stdout))
    }

    pub(super) fn listen(&self, host: &str, args: &[&str]) -> Process {
        let all = [&["lan", "listen", "--json"], args].concat();
        let mut process = Process::spawn(self.command(host, &all));
        process.wait_event("ready");
        process
    }

    pub(super) fn id(&self, host: &str) -> String {
        let (_, printed) = self.run(host, &["id", "--json"]);
        printed[0]["peer"].as_str().unwrap().to_owned()
    }
}

/// `ip` lives where a plain user's path does not look.
fn path_with_sbin() -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{path}:/usr/sbin:/sbin")
}
