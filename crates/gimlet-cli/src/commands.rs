//! One module a command.

mod alive;
mod bench;
mod chat;
mod contacts;
mod doctor;
mod expose;
mod forward;
mod id;
mod lan;
mod list;
mod ping;
mod pipe;
mod publish;
mod punch;
mod recv;
mod send;
mod serve;
mod shell;
mod socks;
mod stats;
mod subscribe;
mod up;
mod whoami;

use crate::args::Command;
use crate::exit::Outcome;
use crate::session::Context;
use crate::settings::Env;

/// Runs the command typed.
pub(crate) async fn run(command: Command, context: &Context, env: Env<'_>) -> Outcome {
    match command {
        Command::Serve(args) => serve::run(context, &args, env).await,
        Command::Id => id::run(context),
        Command::Whoami => whoami::run(context).await,
        Command::Lan(args) => lan::run(context, &args).await,
        Command::List => list::run(context).await,
        Command::Up(args) => up::run(context, &args).await,
        Command::Punch(args) => punch::run(context, &args).await,
        Command::Ping(args) => ping::run(context, &args).await,
        Command::Bench(args) => bench::run(context, &args).await,
        Command::Chat(args) => chat::run(context, &args).await,
        Command::Pipe(args) => pipe::run(context, &args).await,
        Command::Expose(args) => expose::run(context, &args).await,
        Command::Forward(args) => forward::run(context, &args).await,
        Command::Socks(args) => socks::run(context, &args).await,
        Command::Contacts(args) => contacts::run(context, &args),
        Command::Send(args) => send::run(context, &args).await,
        Command::Recv(args) => recv::run(context, &args).await,
        Command::Shell(args) => shell::run(context, &args).await,
        Command::Publish(args) => publish::run(context, &args).await,
        Command::Subscribe(args) => subscribe::run(context, &args).await,
        Command::Alive(args) => alive::run(context, &args).await,
        Command::Doctor(args) => doctor::run(context, &args).await,
        Command::Stats(args) => stats::run(context, &args).await,
    }
}

/// Lets this process have as many descriptors as the system allows it: each forwarded connection is one,
/// and the usual limit is a relic of `select`.
fn raise_descriptor_limit() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::debug!(%error, "descriptor limit not raised");
        }
    }
}
