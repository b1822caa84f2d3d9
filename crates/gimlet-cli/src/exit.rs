//! How a command ends: the exit status of the contract, and for a failure what to do next.

use std::fmt;
use std::process::ExitCode;

/// The exit statuses scripts rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// Done.
    Done = 0,
    /// The operation failed.
    Failed = 1,
    /// Usage. clap ends with the same number.
    Usage = 2,
    /// Nobody reachable: neither server nor peer.
    Unreachable = 3,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        ExitCode::from(status as u8)
    }
}

/// Why a command failed: status, what is wrong, and what to do about it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: Status,
    pub(crate) error: anyhow::Error,
    pub(crate) hint: Option<String>,
}

/// What commands return.
pub(crate) type Outcome = Result<Status, Failure>;

impl Failure {
    pub(crate) fn new(status: Status, error: impl Into<anyhow::Error>) -> Self {
        Self {
            status,
            error: error.into(),
            hint: None,
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Whether this is only the reader of our standard output having left, as in `gimlet list | head`.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        self.error
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let red = anstyle::AnsiColor::Red.on_default().bold();
        let error = crate::output::printable(&in_words(&self.error));
        write!(f, "{red}error:{red:#} {error}")?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// The error and what is behind it, each said once: some say themselves what is behind them.
fn in_words(error: &anyhow::Error) -> String {
    let mut said = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !said.ends_with(&cause) {
            said += ": ";
            said += &cause;
        }
    }
    said
}

/// What has no status of its own failed.
impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(Status::Failed, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_reads_as_what_is_wrong_and_what_to_do() {
        let failure = Failure::new(Status::Unreachable, anyhow::anyhow!("bob is not online"))
            .hint("start `gimlet up` there");
        let text = anstream::adapter::strip_str(&failure.to_string()).to_string();
        assert_eq!(
            text,
            "error: bob is not online\n  hint: start `gimlet up` there"
        );
    }

    #[test]
    fn what_is_behind_an_error_is_said_once() {
        let gone = || std::io::Error::from(std::io::ErrorKind::NotFound);
        let plain = anyhow::Error::new(gone()).context("cannot read it");
        let twice = anyhow::Error::new(gone()).context(format!("cannot read it: {}", gone()));
        assert_eq!(in_words(&plain), format!("cannot read it: {}", gone()));
        assert_eq!(in_words(&twice), in_words(&plain));
    }

    #[test]
    fn a_closed_output_is_recognised() {
        let broken = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert!(Failure::from(broken).is_broken_pipe());
        assert!(!Failure::from(anyhow::anyhow!("other")).is_broken_pipe());
    }
}
