//! Files beside the bare session and a tar pipe: `gimlet send` and `recv`, `gimlet bench`, and tar through
//! `gimlet pipe`, in turns, all by the release binary over loopback. A large file also goes by
//! magic-wormhole, with a mailbox server here.
//!
//! Files are read from the page cache and end on disk, written and named, before their time is taken;
//! tar does not wait for the disk.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::Serialize;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

use super::figures::Figure;
use super::{Plan, progress};
use crate::gimlet::{Gimlet, Place, Running, tethered};
use crate::sandbox::on_path;
use crate::server::serve;
use crate::workspace;

/// Longest that one measurement may take.
const LIMIT: Duration = Duration::from_secs(120);

/// Small files, in folders of a hundred.
const SMALL_FILES: usize = 10_000;

/// Bytes of each.
const SMALL: usize = 4096;

/// What was measured against what.
#[derive(Debug, Serialize)]
pub(super) struct Files {
    /// MB/s of the session alone, of a file, and the second over the first.
    pub(super) session: Figure,
    pub(super) file: Figure,
    pub(super) file_ratio: Figure,
    /// Processor seconds per GiB of sender and receiver together, starts included.
    pub(super) file_cpu: Figure,
    /// Small files a second by tar through a pipe, by send, and the second over the first.
    pub(super) tar: Figure,
    pub(super) small: Figure,
    pub(super) small_ratio: Figure,
    /// How many times as fast as magic-wormhole, from start to end of both commands.
    pub(super) wormhole: f64,
}

/// Everybody, and where their files are.
struct Rig {
    alice: Gimlet,
    bob: Gimlet,
    folder: PathBuf,
    _running: [Running; 2],
}

/// Measures all of it.
pub(super) async fn measure(plan: Plan) -> anyhow::Result<Files> {
    let binary = workspace::binary(None)?;
    let folder = workspace::target().join("bench").join("files");
    workspace::fresh(&folder)?;
    let rig = Rig::start(&binary, &folder).await?;
    let (large, many) = (folder.join("large"), folder.join("many"));
    fill(&large, &many, plan.bytes)?;
    let (mut session, mut file, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
    let (mut tar, mut small) = (Vec::new(), Vec::new());
    for round in 0..plan.rounds {
        progress(format_args!(
            "files, round {} of {}",
            round + 1,
            plan.rounds
        ));
        session.push(rig.session(plan.bytes).await?);
        let before = children_cpu()?;
        let seconds = rig.send_one(&large).await?;
        cpu.push((children_cpu()? - before) / (plan.bytes as f64 / (1u64 << 30) as f64));
        file.push(plan.bytes as f64 / 1e6 / seconds);
        tar.push(SMALL_FILES as f64 / rig.tar(&many).await?);
        small.push(SMALL_FILES as f64 / rig.send(&many).await?);
    }
    let wormhole = rig.wormhole(&large).await? / rig.send(&large).await?;
    std::fs::remove_dir_all(&folder)?;
    let ratio = |of: &[f64], to: &[f64]| Figure::of(of.iter().zip(to).map(|(of, to)| of / to));
    let figure = |values: &[f64]| Figure::of(values.iter().copied()).context("no round");
    Ok(Files {
        session: figure(&session)?,
        file: figure(&file)?,
        file_ratio: ratio(&file, &session).context("no round")?,
        file_cpu: figure(&cpu)?,
        tar: figure(&tar)?,
        small: figure(&small)?,
        small_ratio: ratio(&small, &tar).context("no round")?,
        wormhole,
    })
}

/// Bytes that nothing compresses, read once so that the disk's speed is not measured.
fn fill(large: &Path, many: &Path, bytes: u64) -> anyhow::Result<()> {
    let noise = |name: String| blake3::Hasher::new().update(name.as_bytes()).finalize_xof();
    let mut file = std::fs::File::create(large)?;
    let mut source = noise("large".to_owned());
    std::io::copy(&mut std::io::Read::take(&mut source, bytes), &mut file)?;
    for n in 0..SMALL_FILES {
        let folder = many.join(format!("{}", n / 100));
        std::fs::create_dir_all(&folder)?;
        let mut content = vec![0; SMALL];
        noise(format!("{n}")).fill(&mut content);
        std::fs::write(folder.join(format!("{n}")), content)?;
    }
    // What the disk still has to write would be charged to whoever is measured first.
    file.sync_all()?;
    Ok(())
}

/// Processor seconds of all children that have ended.
fn children_cpu() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, rest) = stat.rsplit_once(')').context("an odd /proc/self/stat")?;
    // cutime and cstime, in hundredths: proc_pid_stat(5).
    let fields = rest.split_whitespace().skip(13).take(2);
    let ticks: Result<Vec<u64>, _> = fields.map(str::parse).collect();
    Ok(ticks?.iter().sum::<u64>() as f64 / 100.0)
}

impl Rig {
    async fn start(binary: &Path, folder: &Path) -> anyhow::Result<Self> {
        let ip = Ipv4Addr::LOCALHOST.into();
        let (server, address) = serve(binary, Place::Here, ip, None, folder).await?;
        let host = |name: &str| Gimlet::on_loopback(binary, &address, folder, name);
        let echo = host("echo")
            .start(&["--name", "echo", "up", "--echo"])
            .await?;
        Ok(Self {
            alice: host("alice"),
            bob: host("bob"),
            folder: folder.to_owned(),
            _running: [server, echo],
        })
    }

    /// MB/s of the session.
    async fn session(&self, bytes: u64) -> anyhow::Result<f64> {
        let mib = (bytes >> 20).to_string();
        let done = self
            .alice
            .run(&["bench", "echo", "--mib", &mib], LIMIT)
            .await?;
        let mib_per_s = done.last()["mib_per_s"].as_f64();
        Ok(mib_per_s.context("bench told no rate")? * 1.048_576)
    }

    /// An empty folder for Bob.
    fn target(&self) -> anyhow::Result<PathBuf> {
        let target = self.folder.join("in");
        workspace::fresh(&target)?;
        Ok(target)
    }

    /// Seconds from the sender's start to the end of both.
    async fn send(&self, what: &Path) -> anyhow::Result<f64> {
        let receiver = self.receiver().await?;
        let began_at = Instant::now();
        let send = ["send", text(what)?, "--to", "bob"];
        let mut send = self.alice.stream(&send, Stdio::null(), Stdio::null())?;
        let ended = timeout(LIMIT, send.wait())
            .await
            .context("send takes too long")??;
        ensure!(ended.success(), "send failed: {ended}");
        receiver.ended(LIMIT).await?;
        Ok(began_at.elapsed().as_secs_f64())
    }

    /// Seconds from connected to done, by the sender's word.
    async fn send_one(&self, what: &Path) -> anyhow::Result<f64> {
        let receiver = self.receiver().await?;
        let send = ["send", text(what)?, "--to", "bob"];
        let done = self.alice.run(&send, LIMIT).await?;
        ensure!(done.code == Some(0), "send failed: {}", done.last());
        // Only then its processor time is known.
        receiver.ended(LIMIT).await?;
        let seconds = done.last()["seconds"].as_f64();
        seconds.context("send told no time")
    }

    /// Bob, with an empty folder.
    async fn receiver(&self) -> anyhow::Result<Running> {
        let target = self.target()?;
        let recv = ["recv", "--name", "bob", "--dir", text(&target)?];
        self.bob.start(&recv).await
    }

    /// Seconds from the start of a tar through a pipe to the end of the other one.
    async fn tar(&self, what: &Path) -> anyhow::Result<f64> {
        let target = self.target()?;
        let program = on_path("tar").context("tar is missing")?;
        let mut unpack = tethered(&program);
        unpack
            .args(["-C", text(&target)?, "-xf", "-"])
            .stdin(Stdio::piped())
            .kill_on_drop(true);
        let mut unpack = unpack.spawn()?;
        let to: Stdio = unpack.stdin.take().context("no pipe")?.try_into()?;
        let args = ["--name", "bob", "pipe", "--listen"];
        let mut listen = self.bob.stream(&args, Stdio::null(), to)?;
        self.listening().await?;
        let mut pack = tethered(&program);
        let (parent, name) = (what.parent().context("no parent")?, what.file_name());
        pack.args(["-C", text(parent)?, "-cf", "-"]).args(name);
        let began_at = Instant::now();
        let mut pack = pack.stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let from: Stdio = pack.stdout.take().context("no pipe")?.try_into()?;
        let mut send = self.alice.stream(&["pipe", "bob"], from, Stdio::null())?;
        let all = async {
            let ended = (pack.wait().await?, send.wait().await?, listen.wait().await?);
            anyhow::Ok((ended.0, ended.1, ended.2, unpack.wait().await?))
        };
        let ended = timeout(LIMIT, all).await.context("tar takes too long")??;
        ensure!(
            [ended.0, ended.1, ended.2, ended.3]
                .iter()
                .all(|status| status.success()),
            "tar through a pipe failed"
        );
        Ok(began_at.elapsed().as_secs_f64())
    }

    /// Waits until Bob can be found.
    async fn listening(&self) -> anyhow::Result<()> {
        let found = async {
            loop {
                let ping = self.alice.run(&["list"], LIMIT).await?;
                if ping.objects.iter().any(|peer| peer["name"] == "bob") {
                    return anyhow::Ok(());
                }
            }
        };
        timeout(LIMIT, found).await.context("nobody listens")?
    }

    /// Seconds that magic-wormhole takes, from start to end, over loopback with servers of its own.
    async fn wormhole(&self, what: &Path) -> anyhow::Result<f64> {
        progress("files, magic-wormhole");
        let target = self.target()?;
        let command = |program: &str| -> anyhow::Result<Command> {
            let hint = "install magic-wormhole and its mailbox server, or run .ci/run";
            let program = on_path(program).with_context(|| format!("{program} is missing; {hint}"));
            let mut command = tethered(&program?);
            command
                .current_dir(&self.folder)
                .env("HOME", &self.folder)
                .kill_on_drop(true);
            Ok(command)
        };
        let silent = |command: &mut Command| {
            let command = command.stdin(Stdio::null()).stdout(Stdio::null());
            command.stderr(Stdio::null()).spawn()
        };
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = free.local_addr()?;
        drop(free);
        let mut mailbox = command("twist3")?;
        let listen = format!("--port=tcp:{}:interface=127.0.0.1", address.port());
        let _mailbox = silent(mailbox.args(["wormhole-mailbox", &listen]))?;
        let up = async { while TcpStream::connect(address).await.is_err() {} };
        timeout(LIMIT, up).await.context("no mailbox server")?;
        let url = format!("ws://{address}/v1");
        let via = ["--relay-url", &url, "--transit-helper", ""];
        let (mut send, mut receive) = (command("wormhole")?, command("wormhole")?);
        send.args(via)
            .args(["send", "--hide-progress", "--code", "1-a-b"]);
        receive
            .args(via)
            .args(["receive", "--accept-file", "--hide-progress", "1-a-b"]);
        let began_at = Instant::now();
        let mut send = silent(send.arg(what))?;
        let mut receive = silent(receive.current_dir(&target))?;
        let both = async { anyhow::Ok((send.wait().await?, receive.wait().await?)) };
        let ended = timeout(LIMIT, both)
            .await
            .context("magic-wormhole takes too long")??;
        ensure!(
            ended.0.success() && ended.1.success(),
            "magic-wormhole failed"
        );
        Ok(began_at.elapsed().as_secs_f64())
    }
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("the workspace's path is not UTF-8")
}
