//! What every part needs to run the binary: where it is, where its logs go, its server.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::Part;
use super::cell::Outcome;
use super::report::{self, Report};
use crate::gimlet::{Gimlet, Place, Running};
use crate::server::serve;
use crate::workspace::fresh;

/// The binary and the folder of this lab's logs.
pub(crate) struct Crew {
    pub(crate) binary: PathBuf,
    pub(crate) logs: PathBuf,
    pub(crate) trace: bool,
}

/// A part's server.
pub(crate) struct Serving {
    running: Running,
    /// The line that clients need.
    pub(crate) address: String,
}

impl Serving {
    /// Errors if it has ended by itself.
    pub(crate) fn still_runs(&mut self) -> anyhow::Result<()> {
        self.running.still_runs().context("the server")
    }

    /// Ends it.
    pub(crate) async fn stop(self) {
        self.running.stop().await;
    }
}

impl Crew {
    /// Starts a server that is reached at `ip`, and for STUN at `second` too.
    pub(crate) async fn serve(
        &self,
        part: Part,
        place: Place,
        ip: IpAddr,
        second: Option<IpAddr>,
    ) -> anyhow::Result<Serving> {
        let logs = self.server_logs(part);
        fresh(&logs)?;
        let (running, address) = serve(&self.binary, place, ip, second, &logs).await?;
        Ok(Serving { running, address })
    }

    /// An empty folder for one cell.
    pub(crate) fn folder(&self, part: Part, run: usize, cell: &str) -> anyhow::Result<PathBuf> {
        let folder = self.logs.join(part.name()).join(run.to_string()).join(cell);
        fresh(&folder)?;
        Ok(folder)
    }

    /// The binary as one host uses it.
    pub(crate) fn host(&self, place: Place, server: &str, folder: &Path, name: &str) -> Gimlet {
        Gimlet {
            binary: self.binary.clone(),
            place,
            server: Some(server.to_owned()),
            folder: folder.to_owned(),
            name: name.to_owned(),
            // One more than every command gets.
            flags: match self.trace {
                true => vec!["-v".to_owned()],
                false => vec![],
            },
        }
    }

    /// Reports a cell, with its logs if it failed.
    pub(crate) fn add(
        &self,
        report: &mut Report,
        outcome: &Outcome,
        folder: &Path,
        part: Part,
    ) -> anyhow::Result<()> {
        report.add(outcome);
        if !outcome.failures.is_empty() {
            report::show_logs(&[folder, &self.server_logs(part)])?;
        }
        Ok(())
    }

    fn server_logs(&self, part: Part) -> PathBuf {
        self.logs.join(part.name()).join("server")
    }
}
