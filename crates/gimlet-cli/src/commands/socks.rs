//! `gimlet socks LOCAL PEER`: a SOCKS5 socket of this host with the way out at a peer.

use gimlet::{AcceptPolicy, Endpoint};
use gimlet_apps::forward::Place;
use gimlet_apps::socks;

use super::forward::cannot_listen;
use super::forward::links::Links;
use crate::args::SocksArgs;
use crate::exit::{Failure, Outcome, Status};
use crate::session::{self, Context};

pub(super) async fn run(context: &Context, args: &SocksArgs) -> Outcome {
    let Place::Tcp(_) = args.local else {
        let error = anyhow::anyhow!("SOCKS needs a TCP socket to listen on");
        return Err(Failure::new(Status::Usage, error).hint("write PORT or ADDR:PORT"));
    };
    super::raise_descriptor_limit();
    let work = async |endpoint: &Endpoint| {
        tokio::select! {
            done = serve(context, endpoint, args) => done,
            () = session::interrupted() => Ok(Status::Done),
        }
    };
    context.with(&[], AcceptPolicy::Nobody, work).await
}

/// Listens until interrupted.
async fn serve(context: &Context, endpoint: &Endpoint, args: &SocksArgs) -> Outcome {
    let mut links = Links::new(context, endpoint);
    let nth = links.to(&args.peer).await?;
    let socket = socks::listen(links.link(nth), &args.local).await;
    let socket = socket.map_err(|error| cannot_listen(&args.local, error))?;
    let ready = links.serves(nth, None, socket.place());
    context.output.print(&ready)?;
    links.tell().await
}
