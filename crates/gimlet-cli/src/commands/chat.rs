//! `gimlet chat PEER`: a conversation, a line at a time, until one side leaves.

use std::pin::pin;

use gimlet::{AcceptPolicy, Endpoint, Path};
use gimlet_apps::chat::{self, Conversation, Ended};

use crate::args::PeerArgs;
use crate::describe;
use crate::event::{Event, Who};
use crate::exit::{Failure, Outcome, Status};
use crate::output::Output;
use crate::session::{self, Context, Found};
use crate::talk;
use crate::terminal::{self, Printer, Typed};

pub(super) async fn run(context: &Context, args: &PeerArgs) -> Outcome {
    let work = async |endpoint: &Endpoint| converse(context, args, endpoint).await;
    context.with(&[], AcceptPolicy::Nobody, work).await
}

async fn converse(context: &Context, args: &PeerArgs, endpoint: &Endpoint) -> Outcome {
    let begin = async {
        let (with, mut conversation) = talk::ask(context, endpoint, &args.peer, false).await?;
        let path = accepted(&with, &mut conversation).await?;
        Ok((with, conversation, path))
    };
    let (with, mut conversation, path) = session::unless_interrupted(begin).await?;
    let path = describe::path_kind(path.kind);
    let hint = "what you type goes there, Ctrl-D leaves";
    context
        .output
        .note(format_args!("Talking to {}, {path}; {hint}.", with.label));
    let (mut input, printer) = terminal::open()?;
    let mut screen = Screen {
        output: context.output,
        who: Who::new(&with),
        printer,
        typed: 0,
    };
    let mut interrupted = pin!(session::interrupted());
    let mut leaving = false;
    let ended = loop {
        tokio::select! {
            typed = input.next("> "), if !leaving => match typed {
                Typed::Line(line) if line.is_empty() => (),
                Typed::Line(line) => {
                    screen.typed = input.number();
                    if !conversation.say(&line) {
                        screen.note("Not sent: too many lines wait already.").await;
                    }
                }
                Typed::Interrupted | Typed::End => {
                    leaving = true;
                    conversation.leave();
                }
            },
            event = conversation.next() => match event {
                Some(chat::Event::Ended(how)) => break how,
                Some(event) => screen.show(event, conversation.undelivered()).await,
                None => break Ended::Left,
            },
            () = &mut interrupted, if !leaving => {
                leaving = true;
                conversation.leave();
            }
        }
    };
    let lines = conversation.undelivered();
    if lines > 0 {
        let who = screen.who.clone();
        screen.tell(&Event::Undelivered { who, lines }).await;
    }
    screen.printer.flush().await;
    drop(input);
    match ended {
        Ended::Left | Ended::TheyLeft if lines == 0 => Ok(Status::Done),
        how => Err(failed(&with, how)),
    }
}

/// Waits until the other side accepts.
async fn accepted(with: &Found, conversation: &mut Conversation) -> Result<Path, Failure> {
    while let Some(event) = conversation.next().await {
        match event {
            chat::Event::Together { path } => return Ok(path),
            chat::Event::Ended(how) => return Err(failed(with, how)),
            _ => (),
        }
    }
    Err(failed(with, Ended::Left))
}

fn failed(with: &Found, how: Ended) -> Failure {
    let status = match how {
        Ended::Unanswered | Ended::Away => Status::Unreachable,
        Ended::Left | Ended::TheyLeft | Ended::Denied | Ended::Busy => Status::Failed,
    };
    Failure::new(status, anyhow::anyhow!("{} {how}", with.label))
}

/// Where everything is shown.
struct Screen {
    output: Output,
    who: Who,
    printer: Printer,
    /// The number of the last line typed.
    typed: u64,
}

impl Screen {
    async fn show(&self, event: chat::Event, undelivered: usize) {
        let who = self.who.clone();
        let event = match event {
            chat::Event::Line(text) => Event::Message { who, text },
            chat::Event::Away => Event::Away { who },
            chat::Event::Together { path } => Event::Back {
                who,
                path: describe::path_kind(path.kind),
            },
            chat::Event::Path(path) => Event::path(who, &path),
            chat::Event::Delivered(_) if !self.output.is_json() => {
                if undelivered == 0 {
                    self.printer.mark(self.typed).await;
                }
                return;
            }
            chat::Event::Delivered(lines) => Event::Delivered { who, lines },
            _ => return,
        };
        match event {
            Event::Message { .. } => self.tell(&event).await,
            event if self.output.is_json() => self.tell(&event).await,
            event => self.note(event).await,
        }
    }

    async fn tell(&self, event: &Event) {
        self.printer.print(self.output.render(event)).await;
    }

    /// Beside the conversation: where standard output is read by a script, only lines go there.
    async fn note(&self, text: impl std::fmt::Display) {
        match self.printer.is_edited() {
            true => self.printer.print(text).await,
            false => self.output.note(text),
        }
    }
}
