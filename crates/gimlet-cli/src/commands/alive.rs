//! `gimlet alive PEER`: whether somebody is signed in, once or from now on.

use std::fmt;

use gimlet::{AcceptPolicy, Endpoint, Presence};
use serde::Serialize;

use crate::args::AliveArgs;
use crate::exit::{Failure, Outcome, Status};
use crate::session::{self, Context};

/// What was found.
#[derive(Debug, Serialize)]
struct Alive {
    peer: String,
    #[serde(skip)]
    label: String,
    alive: bool,
}

pub(super) async fn run(context: &Context, args: &AliveArgs) -> Outcome {
    match args.watch {
        true => {
            // Being interrupted is how watching ends, and no failure.
            let work = async |endpoint: &Endpoint| watch(context, args, endpoint).await;
            context.with(&[], AcceptPolicy::Nobody, work).await
        }
        false => {
            let work = async |endpoint: &Endpoint| ask(context, args, endpoint).await;
            context.dialling(work).await
        }
    }
}

async fn ask(context: &Context, args: &AliveArgs, endpoint: &Endpoint) -> Outcome {
    let found = context.find(endpoint, &args.peer).await?;
    let alive = endpoint.is_alive(found.peer).await;
    let alive = Alive {
        peer: found.peer.to_string(),
        label: found.label,
        alive: alive.map_err(Failure::request)?,
    };
    context.output.print(&alive)?;
    Ok(match alive.alive {
        true => Status::Done,
        false => Status::Unreachable,
    })
}

/// Tells every change until interrupted.
async fn watch(context: &Context, args: &AliveArgs, endpoint: &Endpoint) -> Outcome {
    let found = session::unless_interrupted(context.find(endpoint, &args.peer)).await?;
    let watching = endpoint.watch(found.peer).await;
    let mut watching = watching.map_err(Failure::request)?;
    let mut told = Presence::Unknown;
    let follow = async {
        while let Some(presence) = watching.changed().await {
            // A peer that signs in anew without having left is no news; nor is that we are offline.
            if presence == told || presence == Presence::Unknown {
                continue;
            }
            told = presence;
            context.output.print(&Alive {
                peer: found.peer.to_string(),
                label: found.label.clone(),
                alive: presence == Presence::Online,
            })?;
        }
        Ok(Status::Done)
    };
    tokio::select! {
        done = follow => done,
        () = session::interrupted() => Ok(Status::Done),
    }
}

impl fmt::Display for Alive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.alive {
            true => write!(f, "{} is online.", self.label),
            false => write!(f, "{} is not online.", self.label),
        }
    }
}
