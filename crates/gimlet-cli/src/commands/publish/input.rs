//! Where messages come from: arguments, files, or the lines of standard input.

use std::path::PathBuf;

use anyhow::Context as _;
use bytes::Bytes;
use gimlet_apps::topic::MAX_MESSAGE;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Stdin};
use tokio::sync::mpsc;

use crate::args::PublishArgs;
use crate::exit::{Failure, Status};

/// Lines read ahead of what is published.
const READ_AHEAD: usize = 16;

/// See the [module docs](self).
pub(super) enum Input {
    Arguments(std::vec::IntoIter<String>),
    Files(std::vec::IntoIter<PathBuf>),
    /// From a task, since reading a line is not to be broken off.
    Lines(mpsc::Receiver<Result<Bytes, Failure>>),
}

impl Input {
    pub(super) fn new(args: &PublishArgs) -> Result<Self, Failure> {
        if let Some(long) = args.messages.iter().find(|text| text.len() > MAX_MESSAGE) {
            return Err(too_long(long.len() as u64, "an argument"));
        }
        Ok(match (&args.messages[..], &args.file[..]) {
            ([], []) => {
                let (lines_by, lines) = mpsc::channel(READ_AHEAD);
                tokio::spawn(read_lines(lines_by));
                Self::Lines(lines)
            }
            ([], _) => Self::Files(args.file.clone().into_iter()),
            _ => Self::Arguments(args.messages.clone().into_iter()),
        })
    }

    /// The next message; `None` at the end. Cancel safe but for files, which are read again.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        match self {
            Self::Arguments(texts) => Ok(texts.next().map(Bytes::from)),
            Self::Lines(lines) => lines.recv().await.transpose(),
            Self::Files(files) => {
                let Some(path) = files.as_slice().first().cloned() else {
                    return Ok(None);
                };
                let shown = path.display();
                let context = || format!("cannot read {shown}");
                let file = tokio::fs::File::open(&path).await.with_context(context)?;
                let mut content = Vec::new();
                let mut bounded = file.take(MAX_MESSAGE as u64 + 1);
                bounded
                    .read_to_end(&mut content)
                    .await
                    .with_context(context)?;
                if content.len() > MAX_MESSAGE {
                    return Err(too_long(content.len() as u64, &shown.to_string()));
                }
                files.next();
                Ok(Some(content.into()))
            }
        }
    }
}

async fn read_lines(lines: mpsc::Sender<Result<Bytes, Failure>>) {
    let mut input = BufReader::new(tokio::io::stdin());
    while let Some(line) = read_line(&mut input).await.transpose() {
        let failed = line.is_err();
        if lines.send(line).await.is_err() || failed {
            return;
        }
    }
}

/// A line without its end.
async fn read_line(input: &mut BufReader<Stdin>) -> Result<Option<Bytes>, Failure> {
    let mut line = Vec::new();
    // One byte for the end of the line, and one to see that it is too long.
    let mut bounded = input.take(MAX_MESSAGE as u64 + 2);
    if bounded.read_until(b'\n', &mut line).await? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    match line.len() > MAX_MESSAGE {
        true => Err(too_long(line.len() as u64, "a line of standard input")),
        false => Ok(Some(line.into())),
    }
}

fn too_long(bytes: u64, what: &str) -> Failure {
    let error = anyhow::anyhow!("{what} is too long for a message: {bytes} bytes or more");
    Failure::new(Status::Failed, error)
        .hint("a message has at most 1 MiB; `gimlet send` is for files")
}
