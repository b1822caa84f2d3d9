//! A server and its hosts as processes, and waiting for what they print.

mod process;
#[cfg(unix)]
pub(crate) mod terminal;
#[cfg(target_os = "linux")]
mod web;

use std::path::PathBuf;
use std::time::Duration;

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) use process::Process;
#[cfg(target_os = "linux")]
pub(crate) use web::WebServer;

/// Nothing here takes this long; a test that hangs ends.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A process of the binary, with nothing of this user's own settings.
pub(crate) fn gimlet() -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_gimlet"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GIMLET_") {
            command.env_remove(name);
        }
    }
    command.env("NO_COLOR", "1");
    command
}

/// A command that runs to its end.
pub(crate) fn once(home: &TempDir, args: &[&str]) -> Command {
    let mut command = gimlet();
    command
        .args(args)
        .env("HOME", home.path())
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("XDG_STATE_HOME");
    let mut command = Command::from_std(command);
    command.timeout(DEADLINE);
    command
}

/// A server on loopback.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) address: String,
    pub(crate) listen: String,
    state: TempDir,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// One with further options.
    pub(crate) fn start_with(options: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), "127.0.0.1:0", options)
    }

    fn start_in(state: TempDir, listen: &str, options: &[&str]) -> Self {
        let mut command = gimlet();
        command
            .args(["serve", "--json", "--listen", listen, "--state"])
            .arg(state.path())
            .args(options);
        let mut process = Process::spawn(command);
        let ready = process.wait_event("ready");
        let text = |key: &str| ready[key].as_str().unwrap().to_owned();
        Self {
            address: text("address"),
            listen: text("listen"),
            process,
            state,
        }
    }

    /// Stops it and starts it again: same port, same key.
    pub(crate) fn restart(mut self, between: impl FnOnce()) -> Self {
        self.process.terminate();
        assert!(self.process.wait_exit().success());
        between();
        Self::start_in(self.state, &self.listen, &[])
    }

    /// A host with a key of its own that knows the server.
    pub(crate) fn host(&self, name: &str) -> Host {
        Host {
            name: name.to_owned(),
            server: self.address.clone(),
            home: tempfile::tempdir().unwrap(),
        }
    }
}

/// A machine as far as the binary can tell.
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) server: String,
    pub(crate) home: TempDir,
}

impl Host {
    pub(crate) fn identity(&self) -> PathBuf {
        self.home.path().join("identity.key")
    }

    /// A command of this host.
    pub(crate) fn command(&self, args: &[&str]) -> std::process::Command {
        let mut command = gimlet();
        command
            .args(args)
            .env("HOME", self.home.path())
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_STATE_HOME")
            .env("GIMLET_SERVER", &self.server)
            .env("GIMLET_NAME", &self.name)
            .env("GIMLET_IDENTITY", self.identity());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Command {
        let mut command = Command::from_std(self.command(args));
        command.timeout(DEADLINE);
        command
    }

    /// Runs a command with `--json` that has to succeed; its objects.
    pub(crate) fn json(&self, args: &[&str]) -> Vec<Value> {
        let done = self.run(&[args, &["--json"]].concat()).assert().success();
        objects(&done.get_output().stdout)
    }

    /// This host's id.
    pub(crate) fn id(&self) -> String {
        self.json(&["id"])[0]["peer"].as_str().unwrap().to_owned()
    }

    /// Makes its name and id known to the server, and leaves again.
    #[cfg(unix)]
    pub(crate) fn come_and_go(&self) {
        let mut up = self.up(&[]);
        up.terminate();
        assert!(up.wait_exit().success());
    }

    /// `up`, signed in.
    pub(crate) fn up(&self, args: &[&str]) -> Process {
        let mut process = Process::spawn(self.command(&[&["up", "--json"], args].concat()));
        process.wait_event("ready");
        process
    }
}

/// The JSON objects of an output, one a line.
pub(crate) fn objects(output: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(output).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect()
}

/// Asserts that an object has exactly these keys.
#[track_caller]
pub(crate) fn assert_keys(object: &Value, keys: &[&str]) {
    let mut found: Vec<_> = object
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let mut keys = keys.to_vec();
    found.sort_unstable();
    keys.sort_unstable();
    assert_eq!(found, keys);
}
