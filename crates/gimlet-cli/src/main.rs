//! The `gimlet` command: one binary for the server, the peers and their tools.
//!
//! Arguments are read in two stages: [`args`] is what was typed, [`settings`] is what holds after
//! environment and configuration file had their say. Each command is a module of [`commands`].

mod args;
mod cli;
mod commands;
mod exit;
mod logging;
mod output;
mod protocol;
mod seam;
mod session;
mod settings;
mod terminal;

fn main() -> std::process::ExitCode {
    cli::main()
}
