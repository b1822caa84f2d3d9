//! One module a command.

mod bench;
mod chat;
mod doctor;
mod id;
mod list;
mod ping;
mod pipe;
mod punch;
mod serve;
mod shell;
mod stats;
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
        Command::List => list::run(context).await,
        Command::Up(args) => up::run(context, &args).await,
        Command::Punch(args) => punch::run(context, &args).await,
        Command::Ping(args) => ping::run(context, &args).await,
        Command::Bench(args) => bench::run(context, &args).await,
        Command::Chat(args) => chat::run(context, &args).await,
        Command::Pipe(args) => pipe::run(context, &args).await,
        Command::Shell(args) => shell::run(context, &args).await,
        Command::Doctor(args) => doctor::run(context, &args).await,
        Command::Stats(args) => stats::run(context, &args).await,
    }
}
