//! `gimlet pipe`: standard input to the peer, the peer to standard output, binary safe.

use crate::args::PipeArgs;
use crate::exit::{Failure, Outcome, Status};
use crate::policy;
use crate::session::{self, Context};
use gimlet::Endpoint;
use gimlet_apps::pipe::{self, PipeError};
use tokio::io::{stdin, stdout};

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
                session::unless_interrupted(listen(context, endpoint)).await
            };
            context.with(&[pipe::ALPN], policy, work).await
        }
    }
}

async fn dial(context: &Context, endpoint: &Endpoint, peer: &str) -> Outcome {
    let (_, connection) = context.dial(endpoint, peer, pipe::ALPN).await?;
    let moved = pipe::dial(&connection, stdin(), stdout()).await;
    moved.map(|_| Status::Done).map_err(failed)
}

async fn listen(context: &Context, endpoint: &Endpoint) -> Outcome {
    let name = context.ready(endpoint).await?.called();
    context.output.note(format_args!(
        "Listening; on the other side: gimlet pipe {name}"
    ));
    loop {
        let Some(connection) = endpoint.accept().await else {
            let error = anyhow::anyhow!("the endpoint closed");
            return Err(Failure::new(Status::Failed, error));
        };
        // Who connects and says nothing doesn't use up the one session.
        let Ok(pipe) = pipe::accept(&connection).await else {
            connection.close(gimlet_apps::NOT_SERVED, b"no greeting");
            continue;
        };
        let moved = pipe.run(stdin(), stdout()).await;
        return moved.map(|_| Status::Done).map_err(failed);
    }
}

fn failed(error: PipeError) -> Failure {
    match error {
        // As it is: that a reader of ours has left needs no words.
        PipeError::Output(error) => error.into(),
        error => Failure::new(Status::Failed, error),
    }
}
