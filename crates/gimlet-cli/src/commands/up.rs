//! `gimlet up`: stay signed in and answer.

mod desk;
mod guest;

use std::sync::Arc;

use gimlet::{Endpoint, SignInError};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::args::UpArgs;
use crate::changes::Changes;
use crate::commands::expose::offer::Offer;
use crate::event::Event;
use crate::exit::{Failure, Outcome, Status};
use crate::policy::{self, Policy, Question};
use crate::session::{self, Context};
use desk::Desk;
use gimlet_apps::chat::{self, Reception};
use gimlet_apps::{bench, echo, forward};
use guest::Guest;

/// Sessions answered at a time. Each costs a few tasks and buffers; more are sent away.
const MAX_GUESTS: usize = 256;

/// Events that may wait to be printed.
const EVENT_QUEUE: usize = 64;

pub(super) async fn run(context: &Context, args: &UpArgs) -> Outcome {
    let accept = context.settings.accept(&args.accept)?;
    let Policy { policy, questions } = policy::new(accept);
    let offer = Offer::of_file(&context.settings.expose(), args.socks)?;
    let mut alpns = vec![echo::ALPN, bench::ALPN, chat::ALPN];
    alpns.extend(offer.as_ref().map(|_| forward::ALPN));
    let work = async |endpoint: &Endpoint| {
        answer(context, args, endpoint, offer.as_ref(), questions).await
    };
    context.with(&alpns, policy, work).await
}

/// Answers until interrupted.
async fn answer(
    context: &Context,
    args: &UpArgs,
    endpoint: &Endpoint,
    offer: Option<&Offer>,
    questions: Option<mpsc::Receiver<Question>>,
) -> Outcome {
    let ready = Event::ready(&session::unless_interrupted(context.ready(endpoint)).await?);
    let mut changes = Changes::of(endpoint).knowing(context.all_contacts()?);
    let exposed = match offer {
        Some(offer) => Some(Arc::new(offer.resolve(context, endpoint).await?)),
        None => None,
    };
    let mut desk = Desk::open(context.output, questions)?;
    desk.print(&ready).await?;
    let (events_by, mut events) = mpsc::channel(EVENT_QUEUE);
    let mut guests = JoinSet::new();
    let name = context.settings.name.as_ref();
    let reception = Reception::new(name.map_or("", |name| name.as_str()));
    loop {
        tokio::select! {
            connection = endpoint.accept() => {
                let Some(connection) = connection else { break };
                match guests.len() < MAX_GUESTS {
                    true => {
                        let found = changes.who(&connection);
                        let (reception, events_by) = (reception.clone(), events_by.clone());
                        let guest = Guest::new(connection, found, args.echo, reception, events_by);
                        guests.spawn(guest.exposing(exposed.clone()).host());
                    }
                    false => connection.close(gimlet_apps::BUSY, b"busy"),
                }
            }
            Some(_) = guests.join_next() => (),
            Some(event) = events.recv() => desk.print(&event).await?,
            event = changes.next() => {
                desk.print(&event).await?;
                if event.is_final() {
                    return Err(Failure::sign_in(SignInError::Replaced));
                }
            }
            () = desk.ask() => (),
            () = session::interrupted() => break,
        }
    }
    Ok(Status::Done)
}
