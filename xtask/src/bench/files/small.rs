//! Many small files: by tar through a pipe.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, ensure};
use tokio::time::timeout;

use super::hosts::{Hosts, LIMIT};
use super::text;
use crate::gimlet::tethered;
use crate::sandbox::on_path;

/// How many, in folders of a hundred.
pub(super) const COUNT: usize = 10_000;

/// Bytes of each.
const SIZE: usize = 4096;

/// Makes them, in a folder of their own.
pub(super) fn fill(folder: &Path) -> anyhow::Result<PathBuf> {
    let many = folder.join("many");
    let mut content = vec![0; SIZE];
    for n in 0..COUNT {
        let folder = many.join((n / 100).to_string());
        if n % 100 == 0 {
            std::fs::create_dir_all(&folder)?;
        }
        let mut noise = blake3::Hasher::new();
        noise
            .update(&n.to_be_bytes())
            .finalize_xof()
            .fill(&mut content);
        std::fs::write(folder.join(n.to_string()), &content)?;
    }
    Ok(many)
}

impl Hosts {
    /// Seconds from the start of a tar through a pipe to the end of the other one.
    pub(super) async fn tar(&self, what: &Path) -> anyhow::Result<f64> {
        let target = self.target()?;
        let program = on_path("tar").context("tar is missing")?;
        let mut unpack = tethered(&program);
        unpack.args(["-C", text(&target)?, "-xf", "-"]);
        unpack.stdin(Stdio::piped()).kill_on_drop(true);
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
            let mut ended = vec![pack.wait().await?, send.wait().await?];
            ended.extend([listen.wait().await?, unpack.wait().await?]);
            anyhow::Ok(ended)
        };
        let ended = timeout(LIMIT, all).await.context("tar takes too long")??;
        let seconds = began_at.elapsed().as_secs_f64();
        let all_well = ended.iter().all(|status| status.success());
        ensure!(all_well, "tar through a pipe failed: {ended:?}");
        Ok(seconds)
    }

    /// Waits until Bob can be found.
    async fn listening(&self) -> anyhow::Result<()> {
        let found = async {
            loop {
                let listed = self.alice.run(&["list"], LIMIT).await?;
                if listed.objects.iter().any(|peer| peer["name"] == "bob") {
                    return anyhow::Ok(());
                }
            }
        };
        timeout(LIMIT, found).await.context("nobody listens")?
    }
}
