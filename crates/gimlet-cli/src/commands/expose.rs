//! `gimlet expose NAME ADDR:PORT`: services of this host that peers may use.

pub(super) mod offer;

use std::sync::Arc;

use gimlet::{AcceptPolicy, Endpoint, SignInError};
use gimlet_apps::Router;
use gimlet_apps::forward::{self, Exposed};
use tokio::sync::broadcast::error::RecvError;

use super::forward::event::Line;
use super::forward::links::print;
use crate::args::{Accept, ExposeArgs};
use crate::changes::Changes;
use crate::event::Event;
use crate::exit::{Failure, Outcome, Status};
use crate::session::{self, Context};
use offer::Offer;

pub(super) async fn run(context: &Context, args: &ExposeArgs) -> Outcome {
    let offer = Offer::read(args, &context.settings.expose())?;
    let accept = context.settings.accept(&args.accept)?;
    let policy = match accept.accept {
        Accept::All => AcceptPolicy::All,
        Accept::Known => AcceptPolicy::Known(Arc::new(accept.known)),
        Accept::Ask => {
            let error = anyhow::anyhow!("expose runs by itself and asks nobody");
            return Err(Failure::new(Status::Usage, error)
                .hint("use --accept known, --accept all, or --allow for each service"));
        }
    };
    super::raise_descriptor_limit();
    let work = async |endpoint: &Endpoint| {
        tokio::select! {
            done = serve(context, endpoint, &offer) => done,
            () = session::interrupted() => Ok(Status::Done),
        }
    };
    context.with(&[forward::ALPN], policy, work).await
}

/// Serves until interrupted.
async fn serve(context: &Context, endpoint: &Endpoint, offer: &Offer) -> Outcome {
    let ready = context.ready(endpoint).await?;
    let mut changes = Changes::of(endpoint).knowing(context.all_contacts()?);
    let exposed: Arc<Exposed> = Arc::new(offer.resolve(context, endpoint).await?);
    let mut flows = exposed.events();
    context.output.print(&Event::ready(&ready))?;
    for line in offer.lines() {
        print(context.output, &line)?;
    }
    let router = Router::new().on(forward::ALPN, move |connection| {
        exposed.clone().serve(connection)
    });
    let mut serving = std::pin::pin!(router.serve(endpoint));
    loop {
        tokio::select! {
            () = &mut serving => return Ok(Status::Done),
            event = changes.next() => {
                context.output.print(&event)?;
                if event.is_final() {
                    return Err(Failure::sign_in(SignInError::Replaced));
                }
            }
            event = flows.recv() => match event {
                Ok(event) => {
                    let found = changes.known(event.peer());
                    if let Some(line) = Line::flow(&found, event) {
                        print(context.output, &line)?;
                    }
                }
                Err(RecvError::Lagged(_)) => (),
                Err(RecvError::Closed) => return Ok(Status::Done),
            },
        }
    }
}
