//! The `gimlet` command: one binary for the server, the peers and their tools.
//!
//! Arguments are read in two stages: [`args`] is what was typed, [`settings`] is what holds after
//! environment and configuration file had their say. Each command is a module of [`commands`].

mod args;
mod attempts;
mod changes;
mod cli;
mod commands;
mod deal;
mod describe;
mod event;
mod exit;
mod failure;
mod logging;
mod output;
mod people;
mod policy;
mod progress;
mod service;
mod session;
mod settings;
mod talk;
mod terminal;
mod transfer;
mod width;

fn main() -> std::process::ExitCode {
    cli::main()
}
