//! `gimlet subscribe PEER`: what a peer publishes, a message a line.

mod line;
mod position;

use std::io::{self, IsTerminal, Write};
use std::pin::pin;

use gimlet::{AcceptPolicy, Endpoint};
use gimlet_apps::topic::{Message, Start, Subscription, Update};

use crate::args::SubscribeArgs;
use crate::describe;
use crate::exit::{Failure, Outcome, Status};
use crate::output::{Output, printable};
use crate::session::{self, Context, Found};
use line::Line;
use position::PositionFile;

pub(super) async fn run(context: &Context, args: &SubscribeArgs) -> Outcome {
    let file = args.position.clone().map(PositionFile::new);
    let known = file.as_ref().map(PositionFile::read).transpose()?.flatten();
    let start = match (known, args.new) {
        (Some(position), _) => Start::After(position),
        (None, true) => Start::New,
        (None, false) => Start::Kept,
    };
    let work = async |endpoint: &Endpoint| {
        let found = context.find(endpoint, &args.peer);
        let with = session::unless_interrupted(found).await?;
        let subscription = Subscription::start(endpoint, with.peer, args.topic.clone(), start);
        let mut reader = Reader {
            output: context.output,
            args,
            with,
            file,
            left: args.count,
        };
        reader.read(subscription).await
    };
    context.with(&[], AcceptPolicy::Nobody, work).await
}

/// Takes what comes.
struct Reader<'a> {
    output: Output,
    args: &'a SubscribeArgs,
    with: Found,
    file: Option<PositionFile>,
    /// How many messages are still wanted.
    left: Option<u64>,
}

impl Reader<'_> {
    async fn read(&mut self, mut subscription: Subscription) -> Outcome {
        let mut failed = None;
        let mut interrupted = pin!(session::interrupted());
        while self.left != Some(0) {
            let update = tokio::select! {
                update = subscription.next() => update,
                () = &mut interrupted => break,
            };
            let Some(update) = update else { break };
            if let Err(failure) = self.take(update) {
                failed = Some(failure);
                break;
            }
        }
        subscription.unsubscribe().await;
        match failed {
            Some(failure) => Err(failure),
            None => Ok(Status::Done),
        }
    }

    fn take(&mut self, update: Update) -> Result<(), Failure> {
        match update {
            Update::Message(message) => {
                let position = message.position;
                self.print(message)?;
                if let Some(file) = &self.file {
                    file.write(position)?;
                }
                self.left = self.left.map(|left| left - 1);
            }
            Update::Placed(position) => {
                if let Some(file) = &self.file {
                    file.write(position)?;
                }
            }
            Update::Connected { path } => self.tell(&Line::Connected {
                peer: self.with.peer.to_string(),
                label: self.with.label.clone(),
                path: describe::path_kind(path.kind),
            })?,
            Update::Path(path) => self.tell(&Line::Path {
                peer: self.with.peer.to_string(),
                label: self.with.label.clone(),
                path: describe::path_kind(path.kind),
            })?,
            Update::Missed { count } => self.tell(&Line::Missed {
                peer: self.with.peer.to_string(),
                topic: self.args.topic.to_string(),
                count,
            })?,
            Update::Disconnected { reason } => self.tell(&Line::Disconnected {
                peer: self.with.peer.to_string(),
                label: self.with.label.clone(),
                reason: reason.to_string(),
            })?,
            // Later versions may tell more.
            _ => (),
        }
        Ok(())
    }

    fn print(&self, message: Message) -> Result<(), Failure> {
        if self.output.is_json() {
            let topic = self.args.topic.to_string();
            let line = Line::message(self.with.peer.to_string(), topic, message);
            return Ok(self.output.print(&line)?);
        }
        let mut out = io::stdout().lock();
        match out.is_terminal() {
            // What a peer says must not steer the terminal.
            true => writeln!(
                out,
                "{}",
                printable(&String::from_utf8_lossy(&message.payload))
            )?,
            false => {
                out.write_all(&message.payload)?;
                out.write_all(b"\n")?;
            }
        }
        Ok(out.flush()?)
    }

    /// For programs on standard output, for people beside it.
    fn tell(&self, line: &Line) -> Result<(), Failure> {
        match self.output.is_json() {
            true => Ok(self.output.print(line)?),
            false => {
                self.output.note(line);
                Ok(())
            }
        }
    }
}
