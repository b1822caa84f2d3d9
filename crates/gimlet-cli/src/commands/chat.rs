//! `gimlet chat PEER`: a conversation, a line at a time, until one side leaves.

use gimlet::{AcceptPolicy, Endpoint};
use tokio::sync::mpsc;

use crate::args::PeerArgs;
use crate::conversation::{Conversation, HEARD_QUEUE, Said};
use crate::describe;
use crate::event::{Event, Who};
use crate::exit::{Failure, Outcome, Status};
use crate::protocol::chat;
use crate::session::{self, Context};
use crate::terminal::{self, Typed};

pub(super) async fn run(context: &Context, args: &PeerArgs) -> Outcome {
    let work = async |endpoint: &Endpoint| talk(context, args, endpoint).await;
    context.with(&[], AcceptPolicy::Nobody, work).await
}

async fn talk(context: &Context, args: &PeerArgs, endpoint: &Endpoint) -> Outcome {
    let dial = session::dial(endpoint, &args.peer, chat::ALPN);
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
    let who = Who::new(&with);
    let (mut input, printer) = terminal::open()?;
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
                Said::Line(text) => {
                    let message = Event::Message { who: who.clone(), text };
                    printer.print(context.output.render(&message)).await;
                }
                Said::Bye => break None,
                Said::Lost(reason) => break Some(reason),
            },
            () = session::interrupted() => break None,
        }
    };
    conversation.leave().await;
    printer.flush().await;
    drop(input);
    match lost {
        None => Ok(Status::Done),
        Some(reason) => Err(Failure::new(
            Status::Failed,
            anyhow::anyhow!("lost {}: {reason}", with.label),
        )),
    }
}
