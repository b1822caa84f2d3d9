//! `gimlet chat PEER`: a conversation, a line at a time, until one side leaves.

use std::pin::pin;

use gimlet::{AcceptPolicy, Endpoint};
use tokio::sync::mpsc;

use crate::args::PeerArgs;
use crate::conversation::{Conversation, HEARD_QUEUE, Said};
use crate::describe;
use crate::event::{Event, Who};
use crate::exit::{Failure, Outcome, Status};
use crate::output::Output;
use crate::session::{self, Context};
use crate::terminal::{self, Printer, Typed};
use gimlet_apps::chat;

pub(super) async fn run(context: &Context, args: &PeerArgs) -> Outcome {
    let work = async |endpoint: &Endpoint| talk(context, args, endpoint).await;
    context.with(&[], AcceptPolicy::Nobody, work).await
}

async fn talk(context: &Context, args: &PeerArgs, endpoint: &Endpoint) -> Outcome {
    let dial = context.dial(endpoint, &args.peer, chat::ALPN);
    let (with, connection) = session::unless_interrupted(dial).await?;
    let my_name = context
        .settings
        .name
        .as_ref()
        .map_or("", |name| name.as_str());
    let (heard_by, mut heard) = mpsc::channel(HEARD_QUEUE);
    let mut conversation = Conversation::begin(connection, with.clone(), 0, my_name).await?;
    conversation.listen(heard_by);
    let path = describe::path_kind(conversation.connection.path().kind);
    let hint = "what you type goes there, Ctrl-D leaves";
    context
        .output
        .note(format_args!("Talking to {}, {path}; {hint}.", with.label));
    let (mut input, printer) = terminal::open()?;
    let screen = Screen {
        output: context.output,
        who: Who::new(&with),
        printer,
    };
    let lost = loop {
        tokio::select! {
            typed = input.next("> ") => match typed {
                Typed::Line(line) if line.is_empty() => (),
                Typed::Line(line) => {
                    if let Err(error) = conversation.say(&line).await {
                        break Some(error.to_string());
                    }
                }
                Typed::Interrupted | Typed::End => break None,
            },
            Some(heard) = heard.recv() => match heard.said {
                Said::Line(text) => screen.show(text).await,
                Said::Bye => break None,
                Said::Lost(reason) => break Some(reason),
            },
            () = session::interrupted() => break None,
        }
    };
    let mut leaving = pin!(conversation.leave());
    loop {
        tokio::select! {
            () = &mut leaving => break,
            Some(heard) = heard.recv() => if let Said::Line(text) = heard.said {
                screen.show(text).await;
            }
        }
    }
    screen.printer.flush().await;
    drop(input);
    match lost {
        None => Ok(Status::Done),
        Some(reason) => Err(Failure::new(
            Status::Failed,
            anyhow::anyhow!("lost {}: {reason}", with.label),
        )),
    }
}

/// Where the other side's lines are shown.
struct Screen {
    output: Output,
    who: Who,
    printer: Printer,
}

impl Screen {
    async fn show(&self, text: String) {
        let who = self.who.clone();
        let message = Event::Message { who, text };
        self.printer.print(self.output.render(&message)).await;
    }
}
