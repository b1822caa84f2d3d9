//! `gimlet serve`: the server. Its address line goes to standard output once it is ready, its log
//! to standard error.

use std::fmt;
use std::net::SocketAddr;

use gimlet_server::{Access, Config, Server};
use serde::Serialize;

use crate::args::ServeArgs;
use crate::exit::{Failure, Outcome, Status};
use crate::session::{self, Context};
use crate::settings::{Entry, Env, ServeSettings};

#[derive(Serialize)]
struct Ready {
    event: &'static str,
    address: String,
    listen: SocketAddr,
}

impl fmt::Display for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

pub(super) async fn run(context: &Context, args: &ServeArgs, env: Env<'_>) -> Outcome {
    let settings = context.settings.serve(args, env)?;
    let server =
        Server::bind(config(settings)).map_err(|error| Failure::new(Status::Failed, error))?;
    let ready = Ready {
        event: "ready",
        address: server.address().to_string(),
        listen: server.local_addr(),
    };
    let advice = "Ready. On each machine: export GIMLET_SERVER='THE LINE BELOW', then `gimlet up`.";
    context.output.note(advice);
    context.output.print(&ready)?;
    let ended = server.run(session::interrupted()).await;
    ended.map_err(|error| Failure::new(Status::Failed, error))?;
    Ok(Status::Done)
}

fn config(settings: ServeSettings) -> Config {
    let mut config = Config::default();
    config.listen = settings.listen;
    config.listen_alt = settings.listen_alt;
    config.state = Some(settings.state);
    config.advertise = settings.advertise;
    config.web_certificate = settings.certificate;
    config.access = match settings.entry {
        Entry::Open => Access::Open,
        Entry::Token(token) => Access::Tokens(vec![token]),
        Entry::OwnToken => Access::OwnToken,
    };
    config
}
