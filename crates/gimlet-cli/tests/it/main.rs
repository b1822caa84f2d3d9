//! The real binary over loopback: every command, its keys, its exit statuses.

mod chat;
mod commands;
mod failures;
mod pipe;
mod serve;
#[cfg(unix)]
mod shell;
mod support;
mod up;
