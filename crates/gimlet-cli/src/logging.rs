//! The log on standard error. Only the binary installs a subscriber, never a library.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

/// How much to log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Level {
    /// A server logs who comes and goes; a client command speaks for itself.
    pub(crate) fn new(serves: bool, verbose: u8, quiet: bool) -> Self {
        match (quiet, serves, verbose) {
            (true, _, _) => Self::Error,
            (_, false, 0) => Self::Warn,
            (_, true, 0) => Self::Info,
            (_, _, 1) => Self::Debug,
            (_, _, _) => Self::Trace,
        }
    }

    /// Ours at the level asked for; other crates only where they warn, until everything is wanted.
    /// A target is a prefix: `gimlet` is all our crates.
    fn directives(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "error,gimlet=warn",
            Self::Info => "warn,gimlet=info",
            Self::Debug => "warn,gimlet=debug",
            Self::Trace => "debug,gimlet=trace",
        }
    }
}

/// Starts the log. `GIMLET_LOG` takes tracing's directives and wins over the level.
pub(crate) fn start(level: Level, json: bool) {
    let filter = EnvFilter::try_from_env("GIMLET_LOG")
        .unwrap_or_else(|_| EnvFilter::new(level.directives()));
    let colour =
        io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(colour)
        .with_target(level >= Level::Debug);
    match json {
        true => log.json().init(),
        false => log.init(),
    }
}
