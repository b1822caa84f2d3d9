//! The real binary over loopback: every command, its keys, its exit statuses.

// Helpers of tests are tests, too.
#![allow(clippy::unwrap_used)]

mod chat;
mod code;
mod commands;
mod contacts;
mod doctor;
#[cfg(unix)]
mod failover;
mod failures;
#[cfg(unix)]
mod files;
#[cfg(unix)]
mod forward;
#[cfg(target_os = "linux")]
mod lan;
#[cfg(unix)]
mod looks;
mod pipe;
mod serve;
#[cfg(unix)]
mod shell;
mod stats;
mod support;
#[cfg(unix)]
mod topic;
mod up;
