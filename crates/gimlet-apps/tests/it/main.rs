//! The application protocols as a program uses them: endpoints and a server on loopback.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod chat;
mod code;
#[cfg(unix)]
mod files;
mod forward;
mod lan;
mod pipe;
mod router;
mod socks;
mod support;
mod topic;
mod wide;
