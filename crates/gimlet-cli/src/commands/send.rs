//! `gimlet send`: files and folders to a peer, or to whoever comes for them.

use std::sync::Arc;

use gimlet::{AcceptPolicy, Connection, Endpoint, PeerId};
use gimlet_apps::files::{self, Offer, Reporter};
use tokio::task::JoinSet;

use crate::args::SendArgs;
use crate::changes::Changes;
use crate::deal::{self, Deal};
use crate::exit::{Failure, Outcome, Status};
use crate::policy;
use crate::session::{self, Context, Found};
use crate::transfer::{self, Board, Ended, MAX_TRANSFERS, News, Side};

pub(super) async fn run(context: &Context, args: &SendArgs) -> Outcome {
    let offer = (Offer::of(args.paths.clone()).await)
        .map_err(|error| Failure::new(Status::Failed, error))?;
    let board = Arc::new(Board::new(context.output));
    match &args.to {
        Some(peer) => {
            let serve = async |found: &Found, connection: &Connection| {
                serve(&board, &offer, found, connection).await
            };
            context
                .dialling(async |endpoint| {
                    transfer::persist(context, endpoint, peer, &board, serve).await
                })
                .await
        }
        None if args.code.code => {
            let keep = args.code.keep.as_ref();
            let work = async |endpoint: &Endpoint| {
                let serve = hand_over(context, endpoint, &board, &offer, args);
                session::unless_interrupted(serve).await
            };
            // A claimant is a stranger; who is served is told by the code.
            let met = context.with(&deal::ALPNS, AcceptPolicy::All, work).await?;
            deal::ask_to_keep(context, met, keep).await;
            Ok(Status::Done)
        }
        None => {
            let policy = policy::without_asking(context.settings.accept(&args.accept)?)?;
            let work = async |endpoint: &Endpoint| {
                let wait = wait(context, endpoint, &board, &offer, args.count);
                session::unless_interrupted(wait).await
            };
            context.with(&[files::ALPN], policy, work).await
        }
    }
}

/// Serves whoever has the code, until that one has everything; who it was.
async fn hand_over(
    context: &Context,
    endpoint: &Endpoint,
    board: &Arc<Board>,
    offer: &Offer,
    args: &SendArgs,
) -> Result<PeerId, Failure> {
    let mut deal = Deal::offer(context, endpoint, &args.code).await?;
    let mut changes = Changes::of(endpoint).knowing(context.all_contacts()?);
    let mut running: JoinSet<Ended> = JoinSet::new();
    loop {
        tokio::select! {
            // Who has the code is known before it comes for the files.
            biased;
            told = deal.follow(context, args.code.keep.as_ref()) => told?,
            connection = endpoint.accept() => {
                let Some(connection) = connection else { return Err(lost()) };
                let found = changes.who(&connection);
                let Some(connection) = deal.admit(connection).await else { continue };
                // One who comes again has lost the connection before.
                running.abort_all();
                let (board, offer) = (board.clone(), offer.clone());
                running.spawn(async move { serve(&board, &offer, &found, &connection).await });
            }
            Some(ended) = running.join_next() => match (ended, deal.met()) {
                (Ok(Ended::Done(summary)), Some(met)) => {
                    transfer::status(&summary)?;
                    return Ok(met);
                }
                (Ok(Ended::Failed { failure, .. }), _) => return Err(failure),
                // It comes again, or the person here ends it.
                (Ok(Ended::Done(_) | Ended::Interrupted(_)) | Err(_), _) => (),
            },
            // Only so that what it is told is known when somebody connects.
            _ = changes.next() => (),
        }
    }
}

fn lost() -> Failure {
    Failure::new(Status::Failed, anyhow::anyhow!("the endpoint was closed"))
}

/// Serves whoever connects.
async fn wait(
    context: &Context,
    endpoint: &Endpoint,
    board: &Arc<Board>,
    offer: &Offer,
    count: Option<u32>,
) -> Outcome {
    board.news(&News::ready(&context.ready(endpoint).await?))?;
    let mut changes = Changes::of(endpoint).knowing(context.all_contacts()?);
    let mut left = count;
    let mut running: JoinSet<Ended> = JoinSet::new();
    while left != Some(0) {
        tokio::select! {
            connection = endpoint.accept() => {
                let Some(connection) = connection else { break };
                if running.len() >= MAX_TRANSFERS {
                    connection.close(gimlet_apps::BUSY, b"busy");
                    continue;
                }
                let found = changes.who(&connection);
                let (board, offer) = (board.clone(), offer.clone());
                running.spawn(async move { serve(&board, &offer, &found, &connection).await });
            }
            Some(ended) = running.join_next() => match ended {
                Ok(Ended::Done(_)) => left = left.map(|left| left - 1),
                Ok(Ended::Interrupted(_)) | Err(_) => (),
                Ok(Ended::Failed { failure, theirs: true }) => anstream::eprintln!("{failure}"),
                Ok(Ended::Failed { failure, theirs: false }) => return Err(failure),
            },
            // Only so that what it is told is known when somebody connects.
            _ = changes.next() => (),
        }
    }
    Ok(Status::Done)
}

async fn serve(board: &Board, offer: &Offer, found: &Found, connection: &Connection) -> Ended {
    let (reporter, reports) = Reporter::new();
    let serve = offer.serve(connection, &reporter);
    match board
        .watch(Side::Sending, found, connection, reports, serve)
        .await
    {
        Ok(done) => Ended::sent(done, &found.label),
        Err(error) => Ended::unprintable(error),
    }
}
