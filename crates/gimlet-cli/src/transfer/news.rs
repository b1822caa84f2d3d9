//! What happens in a transfer: an object a line for programs, a line for people.

pub(super) mod units;

use std::fmt;

use gimlet_apps::files::{Event, FileReport, Progress, Summary};
use serde::Serialize;

use crate::output::printable_line;
use crate::session::{Found, Ready};
use units::{size, span};

/// Something to print.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum News {
    /// Others can connect.
    Ready { peer: String, name: Option<String> },
    /// A transfer begins.
    Connected {
        peer: String,
        #[serde(skip)]
        label: String,
        path: &'static str,
    },
    /// What it is about.
    Offered {
        peer: String,
        files: u32,
        bytes: u64,
    },
    /// It is known what is there already, and data flows; for programs only.
    Began { peer: String, resumed_bytes: u64 },
    /// How far it is; for programs only.
    Progress {
        peer: String,
        bytes: u64,
        total: u64,
        mib_per_s: f64,
        path: &'static str,
    },
    /// A file has arrived.
    File {
        peer: String,
        name: String,
        bytes: u64,
        hash: String,
        seconds: f64,
        resumed_bytes: u64,
    },
    /// Something is not offered.
    Skipped {
        peer: String,
        name: String,
        reason: String,
    },
    /// A file comes anew although a part of it was there.
    Restarted {
        peer: String,
        name: String,
        reason: String,
    },
    /// A file does not come.
    Failed {
        peer: String,
        name: String,
        reason: String,
    },
    /// The other side is gone.
    Interrupted {
        peer: String,
        #[serde(skip)]
        label: String,
        reason: String,
        retrying: bool,
    },
    /// A transfer came to its end.
    Done {
        peer: String,
        #[serde(skip)]
        label: String,
        files: u32,
        bytes: u64,
        resumed_bytes: u64,
        failed: u32,
        seconds: f64,
        path: &'static str,
    },
}

impl News {
    pub(crate) fn ready(ready: &Ready) -> Self {
        Self::Ready {
            peer: ready.peer.to_string(),
            name: ready.name.as_ref().map(ToString::to_string),
        }
    }

    /// What the library tells, if it is for this place.
    pub(super) fn of(peer: &str, event: Event) -> Option<Self> {
        let peer = peer.to_owned();
        Some(match event {
            Event::Offered { files, bytes } => Self::Offered { peer, files, bytes },
            Event::Began { resumed } => Self::Began {
                peer,
                resumed_bytes: resumed,
            },
            Event::Finished(file) => Self::file(peer, file),
            Event::Skipped { name, why } => Self::Skipped {
                peer,
                name,
                reason: why.to_string(),
            },
            Event::Restarted { name, why } => Self::Restarted {
                peer,
                name,
                reason: why.to_string(),
            },
            Event::Failed { name, why } => Self::Failed {
                peer,
                name,
                reason: why.to_string(),
            },
            _ => return None,
        })
    }

    fn file(peer: String, file: FileReport) -> Self {
        Self::File {
            peer,
            hash: file.hash_text(),
            name: file.name,
            bytes: file.bytes,
            seconds: round(file.elapsed.as_secs_f64(), 4),
            resumed_bytes: file.resumed,
        }
    }

    pub(super) fn progress(peer: &str, progress: Progress, rate: f64, path: &'static str) -> Self {
        Self::Progress {
            peer: peer.to_owned(),
            bytes: progress.bytes,
            total: progress.total,
            mib_per_s: round(rate / f64::from(1 << 20), 1),
            path,
        }
    }

    pub(crate) fn interrupted(found: &Found, reason: &str, retrying: bool) -> Self {
        Self::Interrupted {
            peer: found.peer.to_string(),
            label: found.label.clone(),
            reason: reason.to_owned(),
            retrying,
        }
    }

    pub(super) fn done(found: &Found, summary: &Summary, seconds: f64, path: &'static str) -> Self {
        Self::Done {
            peer: found.peer.to_string(),
            label: found.label.clone(),
            files: summary.files,
            bytes: summary.bytes,
            resumed_bytes: summary.resumed,
            failed: summary.failed,
            seconds: round(seconds, 4),
            path,
        }
    }
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready { peer, name } => {
                write!(f, "Ready as {}.", name.as_deref().unwrap_or(peer))
            }
            Self::Connected { label, path, .. } => write!(f, "{label} connected, {path}."),
            Self::Offered { files, bytes, .. } => {
                write!(f, "{}, {}.", plural(*files, "file"), size(*bytes))
            }
            Self::Began { resumed_bytes, .. } => {
                write!(f, "{} of it there before.", size(*resumed_bytes))
            }
            Self::Progress { bytes, total, .. } => {
                write!(f, "{} of {}", size(*bytes), size(*total))
            }
            Self::File {
                name,
                bytes,
                hash,
                resumed_bytes,
                ..
            } => {
                let name = printable_line(name);
                write!(f, "{hash}  {name}  {}", size(*bytes))?;
                match resumed_bytes {
                    0 => Ok(()),
                    resumed => write!(f, ", {} of it there before", size(*resumed)),
                }
            }
            Self::Skipped { name, reason, .. } => {
                write!(f, "Left out {}: {reason}.", printable_line(name))
            }
            Self::Restarted { name, reason, .. } => {
                write!(f, "From the beginning, {}: {reason}.", printable_line(name))
            }
            Self::Failed { name, reason, .. } => {
                write!(f, "Not sent, {}: {reason}.", printable_line(name))
            }
            Self::Interrupted {
                label,
                reason,
                retrying,
                ..
            } => {
                write!(f, "{label}: {}.", printable_line(reason))?;
                match retrying {
                    true => write!(f, " Trying again; what has arrived is kept."),
                    false => write!(f, " Waiting for it; what has arrived is kept."),
                }
            }
            Self::Done {
                label,
                files,
                bytes,
                resumed_bytes,
                seconds,
                path,
                ..
            } => {
                let new = bytes.saturating_sub(*resumed_bytes);
                let rate = new as f64 / seconds.max(1e-4);
                write!(
                    f,
                    "{label}: {} with {} in {}, {}/s, {path}",
                    plural(*files, "file"),
                    size(*bytes),
                    span(*seconds),
                    size(rate as u64),
                )?;
                match resumed_bytes {
                    0 => write!(f, "."),
                    resumed => write!(f, "; {} were there before.", size(*resumed)),
                }
            }
        }
    }
}

/// A number with so many decimals.
fn round(value: f64, decimals: i32) -> f64 {
    let scale = 10f64.powi(decimals);
    (value * scale).round() / scale
}

fn plural(count: u32, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_keys_of_the_contract() {
        let file = FileReport {
            name: "a/b".to_owned(),
            bytes: 5,
            hash: [0xab; 32],
            elapsed: std::time::Duration::from_millis(1500),
            resumed: 2,
        };
        let value = serde_json::to_value(News::of("p", Event::Finished(file))).unwrap();
        let expected = serde_json::json!({
            "event": "file", "peer": "p", "name": "a/b", "bytes": 5, "hash": "ab".repeat(32),
            "seconds": 1.5, "resumed_bytes": 2,
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        let news = News::Failed {
            peer: String::new(),
            name: "a\n\u{1b}[2Jb".to_owned(),
            reason: "it".to_owned(),
        };
        assert_eq!(news.to_string(), "Not sent, a \u{fffd}[2Jb: it.");
    }
}
