//! `gimlet serve`: the server. Its address line goes to standard output once it is ready, its log
//! to standard error.

use std::fmt;
#[cfg(unix)]
use std::io::IsTerminal;
use std::net::SocketAddr;

use gimlet_server::{Access, Config, Server, ServerHandle};
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
    let reload = reload(context, server.handle());
    let advice = "Ready. On each machine: export GIMLET_SERVER='THE LINE BELOW', then `gimlet up`.";
    context.output.note(advice);
    context.output.print(&ready)?;
    let ended = tokio::select! {
        ended = server.run(session::interrupted()) => ended,
        () = reload => Ok(()),
    };
    ended.map_err(|error| Failure::new(Status::Failed, error))?;
    Ok(Status::Done)
}

/// Catches SIGHUP from now on, and reads the limits again at each. Never ends. A file with a mistake
/// changes nothing. On a terminal the signal means that it was closed, and keeps its meaning: to end.
fn reload(context: &Context, handle: ServerHandle) -> impl Future<Output = ()> {
    #[cfg(unix)]
    let mut hangup = {
        use tokio::signal::unix::{SignalKind, signal};
        let caught = (!std::io::stdin().is_terminal()).then(|| signal(SignalKind::hangup()));
        caught.and_then(Result::ok)
    };
    async move {
        #[cfg(unix)]
        if let Some(hangup) = &mut hangup {
            while hangup.recv().await.is_some() {
                match context.settings.limits_now() {
                    Ok(limits) => {
                        handle.set_limits(limits);
                        context.output.note("limits read again");
                    }
                    Err(error) => context.output.note(format_args!("limits stay: {error:#}")),
                }
            }
        }
        #[cfg(not(unix))]
        let _ = (context, handle);
        std::future::pending().await
    }
}

fn config(settings: ServeSettings) -> Config {
    let mut config = Config::default();
    config.listen = settings.listen;
    config.listen_alt = settings.listen_alt;
    config.listen_tls = settings.listen_tls;
    config.state = Some(settings.state);
    config.advertise = settings.advertise;
    config.rendezvous.tell_observed = settings.tell_addresses;
    config.web_certificate = settings.certificate;
    config.access = match settings.entry {
        Entry::Open => Access::Open,
        Entry::Token(token) => Access::Tokens(vec![token]),
        Entry::OwnToken => Access::OwnToken,
        Entry::Keys(keys) => Access::Keys(keys),
    };
    config.with_limits(settings.limits)
}
