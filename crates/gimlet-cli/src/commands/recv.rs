//! `gimlet recv`: files and folders from a peer, into a folder.

use std::collections::HashMap;
use std::sync::Arc;

use gimlet::{Connection, Endpoint, PeerId};
use gimlet_apps::files::{self, ReceiveOptions, Reporter};
use tokio::task::{AbortHandle, JoinSet};

use crate::args::RecvArgs;
use crate::changes::Changes;
use crate::deal;
use crate::exit::{Outcome, Status};
use crate::policy;
use crate::session::{self, Context, Found};
use crate::transfer::{self, Board, Ended, MAX_TRANSFERS, News, Side};

pub(super) async fn run(context: &Context, args: &RecvArgs) -> Outcome {
    let options = ReceiveOptions::into_folder(&args.dir).overwrite(args.overwrite);
    let board = Arc::new(Board::new(context.output));
    if let Some(code) = &args.code {
        let receive = async |found: &Found, connection: &Connection| {
            receive(&board, &options, found, connection).await
        };
        let work = async |endpoint: &Endpoint| {
            let met = deal::claim(context, endpoint, code, args.keep.as_ref()).await?;
            let peer = met.peer.to_string();
            let done = transfer::persist(context, endpoint, &peer, &board, receive).await;
            let go_on = format!("the code is used; `gimlet recv --from {peer}` goes on with it");
            let done = done.map_err(|failure| failure.hint(go_on));
            done.map(|status| (status, met.peer))
        };
        let (status, met) = context.dialling(work).await?;
        deal::ask_to_keep(context, met, args.keep.as_ref()).await;
        return Ok(status);
    }
    match &args.from {
        Some(peer) => {
            let receive = async |found: &Found, connection: &Connection| {
                receive(&board, &options, found, connection).await
            };
            context
                .dialling(async |endpoint| {
                    transfer::persist(context, endpoint, peer, &board, receive).await
                })
                .await
        }
        None => {
            let policy = policy::without_asking(context.settings.accept(&args.accept)?)?;
            let work = async |endpoint: &Endpoint| {
                let wait = wait(context, endpoint, &board, &options, args.forever);
                session::unless_interrupted(wait).await
            };
            context.with(&[files::ALPN], policy, work).await
        }
    }
}

/// Receives from whoever connects, until one has sent everything.
async fn wait(
    context: &Context,
    endpoint: &Endpoint,
    board: &Arc<Board>,
    options: &ReceiveOptions,
    forever: bool,
) -> Outcome {
    board.news(&News::ready(&context.ready(endpoint).await?))?;
    let mut changes = Changes::of(endpoint).knowing(context.all_contacts()?);
    let mut outcome = None;
    let mut running: JoinSet<(Found, Ended)> = JoinSet::new();
    let mut of_peer: HashMap<PeerId, (AbortHandle, Connection)> = HashMap::new();
    loop {
        tokio::select! {
            connection = endpoint.accept(), if outcome.is_none() => {
                let Some(connection) = connection else { break };
                let found = changes.who(&connection);
                // One who comes again has lost the connection before, and that may not know it yet.
                if let Some((before, lost)) = of_peer.remove(&found.peer) {
                    before.abort();
                    lost.close(files::GONE, b"superseded");
                }
                if running.len() >= MAX_TRANSFERS {
                    connection.close(gimlet_apps::BUSY, b"busy");
                    continue;
                }
                let (board, options) = (board.clone(), options.clone());
                let (peer, kept) = (found.peer, connection.clone());
                let abort = running.spawn(async move {
                    let ended = receive(&board, &options, &found, &connection).await;
                    (found, ended)
                });
                of_peer.insert(peer, (abort, kept));
            }
            Some(ended) = running.join_next() => {
                let Ok((found, ended)) = ended else { continue };
                of_peer.remove(&found.peer);
                match ended {
                    Ended::Done(summary) if !forever => outcome = Some(transfer::status(&summary)),
                    Ended::Done(_) => (),
                    Ended::Interrupted(why) => board.news(&News::interrupted(&found, &why, false))?,
                    Ended::Failed { failure, theirs } if theirs || forever => {
                        anstream::eprintln!("{failure}");
                    }
                    Ended::Failed { failure, .. } => outcome = Some(Err(failure)),
                }
            }
            // Only so that what it is told is known when somebody connects.
            _ = changes.next() => (),
        }
        if running.is_empty() && outcome.is_some() {
            break;
        }
    }
    outcome.unwrap_or(Ok(Status::Done))
}

async fn receive(
    board: &Board,
    options: &ReceiveOptions,
    found: &Found,
    connection: &Connection,
) -> Ended {
    let (reporter, reports) = Reporter::new();
    let receive = files::receive(connection, options, &reporter);
    match board
        .watch(Side::Receiving, found, connection, reports, receive)
        .await
    {
        Ok(done) => Ended::received(done, &found.label),
        Err(error) => Ended::unprintable(error),
    }
}
