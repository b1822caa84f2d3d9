//! Arguments of what peers say to each other: publish/subscribe and presence.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use gimlet_apps::topic::Topic;

use super::AcceptArgs;

#[derive(Debug, Args)]
pub(crate) struct PublishArgs {
    /// What to publish; without any, the lines of standard input
    #[arg(value_name = "MESSAGE", conflicts_with = "file")]
    pub(crate) messages: Vec<String>,
    /// Publish a file's content as one message; repeatable
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Vec<PathBuf>,
    /// What the messages are about
    #[arg(long, default_value_t)]
    pub(crate) topic: Topic,
    /// Keep messages for absent subscribers so long: 90s, 10m, 2h, 1d
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = span)]
    pub(crate) keep: Duration,
    /// Keep at most so much of them: 500K, 64M, 2G
    #[arg(long, value_name = "BYTES", default_value = "64M", value_parser = size)]
    pub(crate) keep_bytes: usize,
    /// Folder in which messages are kept while this command does not run
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Stay at least so long after the last message, for subscribers that come back
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = span)]
    pub(crate) stay: Duration,
    #[command(flatten)]
    pub(crate) accept: AcceptArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SubscribeArgs {
    /// Name, id, or beginning of an id
    pub(crate) peer: String,
    /// What to hear about
    #[arg(long, default_value_t)]
    pub(crate) topic: Topic,
    /// Leave out what the publisher has kept: only what it publishes from now on
    #[arg(long)]
    pub(crate) new: bool,
    /// File to remember the last message in: the next run goes on behind it
    #[arg(long, value_name = "FILE")]
    pub(crate) position: Option<PathBuf>,
    /// Leave after so many messages
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct AliveArgs {
    /// Name, id, or beginning of an id
    pub(crate) peer: String,
    /// Go on, and tell when it comes and goes
    #[arg(long)]
    pub(crate) watch: bool,
}

/// A number with a unit of time.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    const UNITS: [(char, u64); 4] = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)];
    /// Beyond this, somebody has mistaken the unit.
    const LONGEST: u64 = 366 * 86_400;
    let seconds = with_unit(text, &UNITS).filter(|&seconds| seconds <= LONGEST);
    let seconds = seconds.ok_or("a number and s, m, h or d, up to a year: 90s, 10m, 2h, 1d")?;
    Ok(Duration::from_secs(seconds))
}

/// A number with a unit of size.
fn size(text: &str) -> Result<usize, String> {
    const UNITS: [(char, u64); 3] = [('K', 1 << 10), ('M', 1 << 20), ('G', 1 << 30)];
    let bytes = with_unit(text, &UNITS).and_then(|bytes| usize::try_from(bytes).ok());
    bytes.ok_or_else(|| "a number and K, M or G: 500K, 64M, 2G".to_owned())
}

fn with_unit(text: &str, units: &[(char, u64)]) -> Option<u64> {
    let unit = |&(letter, factor): &(char, u64)| Some((text.strip_suffix(letter)?, factor));
    let (number, factor) = units.iter().find_map(unit).unwrap_or((text, 1));
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_have_units() {
        for (text, seconds) in [
            ("90s", 90),
            ("10m", 600),
            ("2h", 7200),
            ("1d", 86_400),
            ("0", 0),
        ] {
            assert_eq!(span(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for (text, bytes) in [("500K", 512_000), ("64M", 64 << 20), ("12", 12)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "m", "-1s", "10x", "99999999999999999999", "400d"] {
            assert!(span(text).is_err(), "{text}");
        }
        assert!(size("99999999999G").is_err());
    }
}
