//! Running the real binary: in a lab namespace, or right here.
//!
//! Every process dies with the handle that started it, and, where `setpriv` is installed, with
//! this process too, however it ends.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use patchbay::Device;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::sandbox::on_path;

/// How long a long-running command may take until it says it is ready.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// Objects kept of one command's output. The longest here prints a handful.
const MAX_OBJECTS: usize = 1_000;

/// Where a process runs.
#[derive(Clone)]
pub(crate) enum Place {
    /// In the namespace of a lab host.
    Namespace(Device),
    /// On this machine, over loopback.
    Here,
}

/// The binary, as one host with one identity uses it.
#[derive(Clone)]
pub(crate) struct Gimlet {
    /// The release binary.
    pub(crate) binary: PathBuf,
    /// Where it runs.
    pub(crate) place: Place,
    /// The address line of its server; none for the server itself.
    pub(crate) server: Option<String>,
    /// Where its identity, its logs and its configuration go.
    pub(crate) folder: PathBuf,
    /// Names the identity file and the logs.
    pub(crate) name: String,
    /// Global flags for every command.
    pub(crate) flags: Vec<String>,
}

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    /// Its exit status, by the contract.
    pub(crate) code: Option<i32>,
    /// What it printed, line by line.
    pub(crate) objects: Vec<Value>,
}

impl Finished {
    /// The object printed last.
    pub(crate) fn last(&self) -> &Value {
        self.objects.last().unwrap_or(&Value::Null)
    }
}

/// A command that keeps running, until dropped.
pub(crate) struct Running {
    child: Child,
    /// What it said when it was ready.
    pub(crate) ready: Value,
    /// What it said since; what nobody hears is dropped once that is much.
    said: mpsc::Receiver<Value>,
    // Keeps reading, so that the child never blocks on a full pipe.
    _drain: tokio::task::JoinHandle<()>,
}

impl Running {
    /// The process, unless it has ended.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for it to say something.
    pub(crate) async fn hear(
        &mut self,
        wanted: impl Fn(&Value) -> bool,
        limit: Duration,
    ) -> anyhow::Result<Value> {
        let heard = async {
            while let Some(object) = self.said.recv().await {
                if wanted(&object) {
                    return Some(object);
                }
            }
            None
        };
        let heard = timeout(limit, heard).await;
        heard.context("it says nothing of it")?.context("it ended")
    }

    /// Errors if it has ended by itself.
    pub(crate) fn still_runs(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("it ended by itself: {status}"),
        }
    }

    /// Waits until it has ended by itself, and well.
    pub(crate) async fn ended(mut self, limit: Duration) -> anyhow::Result<()> {
        let status = timeout(limit, self.child.wait()).await;
        let status = status.context("it does not end")??;
        ensure!(status.success(), "it ended badly: {status}");
        Ok(())
    }

    /// Ends it now and waits until it is gone.
    pub(crate) async fn stop(mut self) {
        // Fails only if it is gone already.
        let _ = self.child.kill().await;
    }
}

impl Gimlet {
    /// A host on loopback, whose router is left alone.
    pub(crate) fn on_loopback(binary: &Path, server: &str, folder: &Path, name: &str) -> Self {
        Self {
            binary: binary.to_owned(),
            place: Place::Here,
            server: Some(server.to_owned()),
            folder: folder.to_owned(),
            name: name.to_owned(),
            flags: vec!["--no-port-mapping".to_owned()],
        }
    }

    /// The same host with another identity.
    pub(crate) fn named(&self, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..self.clone()
        }
    }

    /// Runs to the end, `--json`, and collects what it printed.
    pub(crate) async fn run(&self, args: &[&str], limit: Duration) -> anyhow::Result<Finished> {
        let mut command = self.command(args, true)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = self.spawn(command)?;
        let output = child.stdout.take().context("no pipe")?;
        let what = args.join(" ");
        let end = async { anyhow::Ok((objects(output).await?, child.wait().await?)) };
        match timeout(limit, end).await {
            Ok(ended) => {
                let (objects, status) = ended?;
                Ok(Finished {
                    code: status.code(),
                    objects,
                })
            }
            Err(_) => bail!("`gimlet {what}` did not end within {} s", limit.as_secs()),
        }
    }

    /// Starts a command that stays, `--json`, and waits until it says that it is ready.
    pub(crate) async fn start(&self, args: &[&str]) -> anyhow::Result<Running> {
        let mut command = self.command(args, true)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = self.spawn(command)?;
        let mut lines = BufReader::new(child.stdout.take().context("no pipe")?).lines();
        let what = args.join(" ");
        let ready = async {
            while let Some(line) = lines.next_line().await? {
                let object: Value = serde_json::from_str(&line).context("not JSON")?;
                if object["event"] == "ready" {
                    return Ok(object);
                }
            }
            bail!("it ended; its log says: {}", self.last_words(args));
        };
        let ready = timeout(READY_TIMEOUT, ready).await;
        let ready = ready
            .with_context(|| format!("within {} s", READY_TIMEOUT.as_secs()))
            .flatten()
            .with_context(|| format!("`gimlet {what}` did not get ready"))?;
        let (says, said) = mpsc::channel(MAX_OBJECTS);
        let drain = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                if let Ok(object) = serde_json::from_str(&line) {
                    // Nobody hears what is too much.
                    let _ = says.try_send(object);
                }
            }
        });
        Ok(Running {
            child,
            ready,
            said,
            _drain: drain,
        })
    }

    /// Starts a command between two files, as `pipe` is used.
    pub(crate) fn pipe(&self, args: &[&str], from: &Path, to: &Path) -> anyhow::Result<Child> {
        self.stream(args, File::open(from)?.into(), File::create(to)?.into())
    }

    /// Starts a command that reads and writes bytes.
    pub(crate) fn stream(&self, args: &[&str], from: Stdio, to: Stdio) -> anyhow::Result<Child> {
        let mut command = self.command(args, false)?;
        command.stdin(from).stdout(to);
        self.spawn(command)
    }

    fn command(&self, args: &[&str], json: bool) -> anyhow::Result<Command> {
        let mut command = tethered(&self.binary);
        command
            .arg("--identity")
            .arg(self.folder.join(format!("{}.pem", self.name)));
        if let Some(server) = &self.server {
            command.args(["--server", server]);
        }
        if json {
            command.arg("--json");
        }
        command.arg("-v").args(&self.flags).args(args);
        // The user's own configuration must not change what is measured.
        command.env_remove("GIMLET_SERVER").env("NO_COLOR", "1");
        command
            .env("HOME", &self.folder)
            .env("XDG_CONFIG_HOME", &self.folder);
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log(args))?;
        command.stderr(log).kill_on_drop(true);
        Ok(command)
    }

    /// Where a command says what is not a result.
    fn log(&self, args: &[&str]) -> PathBuf {
        let verb = args.first().copied().unwrap_or("gimlet");
        self.folder.join(format!("{}-{verb}.log", self.name))
    }

    fn last_words(&self, args: &[&str]) -> String {
        let log = std::fs::read_to_string(self.log(args)).unwrap_or_default();
        log.lines().next_back().unwrap_or("nothing").to_owned()
    }

    fn spawn(&self, mut command: Command) -> anyhow::Result<Child> {
        match &self.place {
            Place::Namespace(device) => device.spawn_command(command),
            Place::Here => command.spawn().context("the binary could not be started"),
        }
    }
}

/// A command that dies with this process where `setpriv` is installed, however it ends.
pub(crate) fn tethered(program: &Path) -> Command {
    let Some(setpriv) = on_path("setpriv") else {
        return Command::new(program);
    };
    let mut command = Command::new(setpriv);
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

async fn objects(output: ChildStdout) -> anyhow::Result<Vec<Value>> {
    lines(output)
        .await?
        .iter()
        .map(|line| Ok(serde_json::from_str(line)?))
        .collect()
}

async fn lines(output: impl AsyncRead + Unpin) -> anyhow::Result<Vec<String>> {
    let mut lines = BufReader::new(output).lines();
    let mut kept = Vec::new();
    while let Some(line) = lines.next_line().await? {
        ensure!(
            kept.len() < MAX_OBJECTS,
            "more than {MAX_OBJECTS} lines of output"
        );
        kept.push(line);
    }
    Ok(kept)
}
