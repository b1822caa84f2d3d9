//! A TCP service on one host, used from the other as reference system E is: `gimlet expose` where the
//! service is, `gimlet forward` where its user is, who hears of both addresses and the path.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use patchbay::Device;
use serde_json::Value;
use tokio::task::{JoinHandle, spawn_blocking};

use super::plan::Path;
use crate::gimlet::{Gimlet, Place};

/// The port that the reference system's service has.
const PORT: u16 = 50302;
/// Bytes asked for in one connection, and answered.
const BYTES: usize = 1 << 20;
/// How long a path may take: as for `punch`, on a busy machine.
const PATH_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a socket may be silent.
const SOCKET_TIMEOUT: Duration = Duration::from_secs(20);

/// Where everybody is: the user and the service, and where the service's router shows it.
pub(crate) struct Where<'a> {
    pub(crate) user: &'a Gimlet,
    pub(crate) host: &'a Gimlet,
    pub(crate) expected: Path,
    pub(crate) outside: Option<Ipv4Addr>,
}

/// Uses the service, over the first path and over the one that must be found; what `forward` said of
/// that one.
pub(crate) async fn reach(at: Where<'_>) -> anyhow::Result<Value> {
    let (user, host) = (device(at.user)?, device(at.host)?);
    let serving = serve(host)?;
    let place = format!("127.0.0.1:{PORT}");
    let exposed = at.host.named("expose");
    let exposed = exposed.start(&["expose", "web", &place]).await?;
    let peer = exposed.ready["peer"].as_str();
    let to = format!("{}/web", peer.context("`expose` told no peer id")?);
    let forward = at.user.named("forward");
    let mut forward = forward.start(&["forward", "0", &to]).await?;
    let listen = forward.ready["listen"].as_str();
    let listen: SocketAddr = listen.context("`forward` told no address")?.parse()?;
    ask(user, listen).await.context("a question at once")?;
    let word = at.expected.word();
    let tells = |line: &Value| {
        matches!(line["event"].as_str(), Some("connected" | "path")) && line["path"] == word
    };
    let reach = forward.hear(tells, PATH_TIMEOUT).await;
    let reach = reach.with_context(|| format!("`forward` told of no path that is {word}"))?;
    check(&at, user, &reach)?;
    ask(user, listen)
        .await
        .context("a question over that path")?;
    forward.stop().await;
    exposed.stop().await;
    serving.abort();
    Ok(reach)
}

/// Both addresses of a direct path are told: the user's own, and where the service's router shows it.
fn check(at: &Where<'_>, user: &Device, reach: &Value) -> anyhow::Result<()> {
    if at.expected == Path::Relay {
        return Ok(());
    }
    let ip = |key: &str| -> anyhow::Result<IpAddr> {
        let addr = reach[key].as_str().context("an address is missing")?;
        Ok(addr.parse::<SocketAddr>()?.ip())
    };
    let (local, remote) = (ip("local")?, ip("remote")?);
    let own = user.ip().context("the user's host has no address")?;
    ensure!(local == own, "local is {local}, the host has {own}");
    let outside = at.outside.context("the router has no address outside")?;
    ensure!(
        remote == outside,
        "remote is {remote}, the router has {outside}"
    );
    Ok(())
}

fn device(host: &Gimlet) -> anyhow::Result<&Device> {
    match &host.place {
        Place::Namespace(device) => Ok(device),
        Place::Here => bail!("a lab host is in a namespace"),
    }
}

/// A service that answers, at the end of a question, with the question's hash and the question.
fn serve(host: &Device) -> anyhow::Result<JoinHandle<anyhow::Result<()>>> {
    let bind = || Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, PORT))?);
    let listener = host.run_sync(bind)?;
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    Ok(tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await?;
            let stream = stream.into_std()?;
            stream.set_nonblocking(false)?;
            spawn_blocking(move || answer(stream));
        }
    }))
}

fn answer(mut stream: TcpStream) -> anyhow::Result<()> {
    stream.set_read_timeout(Some(SOCKET_TIMEOUT))?;
    stream.set_write_timeout(Some(SOCKET_TIMEOUT))?;
    let mut question = Vec::new();
    stream.read_to_end(&mut question)?;
    stream.write_all(blake3::hash(&question).as_bytes())?;
    stream.write_all(&question)?;
    Ok(())
}

/// One connection: the question, its end, and the whole answer, whose end must be clean.
async fn ask(user: &Device, listen: SocketAddr) -> anyhow::Result<()> {
    let mut stream = user.run_sync(move || Ok(TcpStream::connect(listen)?))?;
    let asked = spawn_blocking(move || {
        stream.set_read_timeout(Some(SOCKET_TIMEOUT))?;
        stream.set_write_timeout(Some(SOCKET_TIMEOUT))?;
        let mut question = vec![0; BYTES];
        let mut noise = blake3::Hasher::new().update(b"question").finalize_xof();
        noise.fill(&mut question);
        stream.write_all(&question)?;
        stream.shutdown(Shutdown::Write)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let (hash, echo) = answer.split_at_checked(32).context("a short answer")?;
        ensure!(hash == blake3::hash(&question).as_bytes(), "a wrong hash");
        ensure!(echo == question, "other bytes came back");
        Ok(())
    });
    asked.await?
}
