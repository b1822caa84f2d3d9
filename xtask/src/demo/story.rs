//! What the demo does and says, step by step. Each step checks what it shows.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;

use super::stage::{Scenery, Stage};
use crate::gimlet::Gimlet;
use crate::payload::TRANSFER_BYTES;
use crate::term::{DIM, GOOD, HEAD, NOTE, paint};
use crate::transfer::{Files, exchange};

/// More than any step takes.
const STEP_TIMEOUT: Duration = Duration::from_secs(40);
/// How long a pair looks for a direct path: the one that finds it in milliseconds, and the one
/// that does not, for which nobody should have to wait.
const WAIT_DIRECT: [&str; 2] = ["8", "2"];

const NATS: &str = "   alice ── home NAT ───────╮               ╭─────── home NAT ── bob
                            ├── internet ───┤
   carol ── symmetric NAT ──╯       │       ╰── symmetric NAT ── dave
                                  server";
const LOOPBACK: &str = "   alice ──╮               ╭── bob
           ├── loopback ───┤
   carol ──╯       │       ╰── dave
                 server";

/// Plays everything; the error is the first thing that was not as it must be.
pub(crate) async fn tell(stage: &Stage) -> anyhow::Result<()> {
    let picture = match stage.scenery {
        Scenery::Nats => NATS,
        Scenery::Loopback => LOOPBACK,
    };
    anstream::println!(
        "{}\n\n{picture}",
        paint(HEAD, "Two hosts, one encrypted session.")
    );
    step(1, "A server that everyone can reach");
    says("server", "serve", "ready; clients paste this line:");
    anstream::println!("   {}", paint(DIM, &stage.address));
    step(2, "What do I look like from outside?");
    whoami(&stage.alice).await?;
    whoami(&stage.bob).await?;
    step(3, "bob answers, alice connects");
    punch(&stage.alice, &stage.bob, "direct").await?;
    step(4, "A message each way, in one session");
    messages(&stage.alice, &stage.bob).await?;
    step(5, "A file's worth of bytes each way, compared by hash");
    files(&stage.alice, &stage.bob).await?;
    match stage.scenery {
        Scenery::Nats => step(
            6,
            "The hard case: two symmetric NATs, which no sending can join",
        ),
        Scenery::Loopback => step(
            6,
            "The hard case, played by a flag: carol stays on the relay",
        ),
    }
    punch(&stage.carol, &stage.dave, "relay").await?;
    anstream::println!("   Same session, same streams; the server sees only ciphertext.");
    files(&stage.carol, &stage.dave).await
}

fn step(number: usize, title: &str) {
    anstream::println!("\n{}", paint(HEAD, format!("{number}. {title}")));
}

fn says(who: &str, command: &str, text: &str) {
    anstream::println!(
        "   {} {text}",
        paint(DIM, format!("{who}$ gimlet {command}:"))
    );
}

async fn whoami(host: &Gimlet) -> anyhow::Result<()> {
    let me = host.run(&["whoami"], STEP_TIMEOUT).await?;
    let me = me.last();
    let outside = word(me, "reflexive_v4").unwrap_or("nobody from outside");
    let mapping = word(&me["nat"], "mapping").unwrap_or("unknown");
    let peer: String = word(me, "peer")
        .context("whoami told no id")?
        .chars()
        .take(10)
        .collect();
    says(
        &host.name,
        "whoami",
        &format!("{peer}…, seen as {outside}; NAT mapping {mapping}"),
    );
    Ok(())
}

async fn punch(dialing: &Gimlet, answering: &Gimlet, path: &str) -> anyhow::Result<()> {
    let up = answering
        .start(&["up", "--accept", "all", "--echo"])
        .await?;
    let peer = word(&up.ready, "peer")
        .context("`up` told no id")?
        .to_owned();
    says(&answering.name, "up", "signed in and waiting");
    let [wait_direct, wait_in_vain] = WAIT_DIRECT;
    let wait = if path == "direct" {
        wait_direct
    } else {
        wait_in_vain
    };
    let done = dialing
        .run(&["punch", &peer, "--wait-direct", wait], STEP_TIMEOUT)
        .await?;
    let done = done.last();
    up.stop().await;
    let got = word(done, "path").context("punch told no path")?;
    ensure!(got == path, "the path is {got}, and must be {path}");
    let style = if path == "direct" { GOOD } else { NOTE };
    let how = match (done["direct_ms"].as_f64(), word(done, "strategy")) {
        (Some(ms), Some(strategy)) => format!(" in {ms:.1} ms, by {strategy} addresses"),
        (Some(ms), None) => format!(" in {ms:.1} ms"),
        (None, _) => word(done, "reason").map_or(String::new(), |why| format!(": {why}")),
    };
    let connected = done["connected_ms"]
        .as_f64()
        .context("punch told no time")?;
    let text = format!(
        "connected in {connected:.1} ms; path {}{how}",
        paint(style, got)
    );
    says(&dialing.name, &format!("punch {}", answering.name), &text);
    Ok(())
}

async fn messages(dialing: &Gimlet, answering: &Gimlet) -> anyhow::Result<()> {
    let files = Files::new(&dialing.folder, "message");
    std::fs::write(
        &files.a_in,
        format!("hello {}, can you hear me?\n", answering.name),
    )?;
    std::fs::write(&files.b_in, format!("loud and clear, {}\n", dialing.name))?;
    exchange(
        dialing,
        &answering.named(&format!("{}-pipe", answering.name)),
        &files,
    )
    .await?;
    files.verify()?;
    let heard = |path| anyhow::Ok(std::fs::read_to_string(path)?.trim_end().to_owned());
    says(
        &answering.name,
        "pipe --listen",
        &format!("{:?}", heard(&files.b_out)?),
    );
    says(
        &dialing.name,
        &format!("pipe {}", answering.name),
        &format!("{:?}", heard(&files.a_out)?),
    );
    Ok(())
}

async fn files(dialing: &Gimlet, answering: &Gimlet) -> anyhow::Result<()> {
    let files = Files::new(&dialing.folder, "bytes");
    files.fill(&dialing.name, TRANSFER_BYTES)?;
    let listener = answering.named(&format!("{}-pipe", answering.name));
    let took = exchange(dialing, &listener, &files).await?;
    let [there, back] = files.verify()?;
    files.remove();
    let mib = TRANSFER_BYTES >> 20;
    for (from, to, hash) in [(dialing, answering, there), (answering, dialing, back)] {
        let hash: String = hash.to_hex().chars().take(16).collect();
        let text = format!("   {} to {}: {mib} MiB, {hash}…", from.name, to.name);
        anstream::println!("{text} {}", paint(GOOD, "verified"));
    }
    let seconds = took.as_secs_f64();
    anstream::println!(
        "   {}",
        paint(
            DIM,
            format!("both ways in {seconds:.2} s, sign-in included")
        )
    );
    Ok(())
}

fn word<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object[key].as_str()
}
