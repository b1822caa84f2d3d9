//! `gimlet pipe`: standard input to the peer, the peer to standard output, binary safe.

use std::io;
use std::time::Duration;

use tokio::time::timeout;

use crate::args::PipeArgs;
use crate::exit::{Failure, Outcome, Status};
use crate::output::Output;
use crate::policy;
use crate::session::{self, Context};
use gimlet::{CloseReason, Connection, Endpoint, RecvStream, SendStream};
use gimlet_apps::pipe;

/// How long a peer that connected may take to open its stream.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) async fn run(context: &Context, args: &PipeArgs) -> Outcome {
    match &args.peer {
        Some(peer) => {
            context
                .dialling(async |endpoint| dial(context, endpoint, peer).await)
                .await
        }
        None => {
            let policy = policy::without_asking(context.settings.accept(&args.accept)?)?;
            let work = async |endpoint: &Endpoint| {
                session::unless_interrupted(listen(context.output, endpoint)).await
            };
            context.with(&[pipe::ALPN], policy, work).await
        }
    }
}

async fn dial(context: &Context, endpoint: &Endpoint, peer: &str) -> Outcome {
    let (_, connection) = context.dial(endpoint, peer, pipe::ALPN).await?;
    let (mut send, recv) = connection.open_bi().await?;
    pipe::greet(&mut send).await?;
    copy(&mut send, recv).await?;
    // Everything of the peer's is here: it may close, and does once it has everything of ours.
    let mut all_here = connection.open_uni().await?;
    all_here.finish().map_err(io::Error::other)?;
    match connection.closed().await {
        CloseReason::Peer { code: 0, .. } => Ok(Status::Done),
        closed => Err(lost(closed)),
    }
}

async fn listen(output: Output, endpoint: &Endpoint) -> Outcome {
    let signed_in = session::online(endpoint).await?;
    let name = signed_in
        .name
        .map_or_else(|| endpoint.peer_id().to_string(), |name| name.to_string());
    output.note(format_args!(
        "Listening; on the other side: gimlet pipe {name}"
    ));
    loop {
        let Some(connection) = endpoint.accept().await else {
            let error = anyhow::anyhow!("the endpoint closed");
            return Err(Failure::new(Status::Failed, error));
        };
        // Who connects and says nothing doesn't use up the one session.
        let Some((mut send, recv)) = greeted(&connection).await else {
            connection.close(gimlet_apps::NOT_SERVED, b"no greeting");
            continue;
        };
        copy(&mut send, recv).await?;
        // Our last bytes are the peer's before we close: it tells when it has them.
        connection.accept_uni().await.map_err(lost)?;
        connection.close(0, b"");
        return Ok(Status::Done);
    }
}

async fn greeted(connection: &Connection) -> Option<(SendStream, RecvStream)> {
    let greeting = async {
        let (send, mut recv) = connection.accept_bi().await.ok()?;
        pipe::expect_greeting(&mut recv).await.ok()?;
        Some((send, recv))
    };
    timeout(GREETING_TIMEOUT, greeting).await.ok().flatten()
}

/// Moves both directions at once, each to its own end.
async fn copy(send: &mut SendStream, recv: RecvStream) -> Result<(), Failure> {
    let mut out = tokio::io::stdout();
    tokio::try_join!(
        pipe::pump(tokio::io::stdin(), send),
        pipe::pump(recv, &mut out),
    )?;
    Ok(())
}

fn lost(error: impl std::fmt::Display) -> Failure {
    let error = anyhow::anyhow!("lost the peer before everything had arrived: {error}");
    Failure::new(Status::Failed, error)
}
