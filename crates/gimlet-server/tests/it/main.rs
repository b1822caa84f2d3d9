//! The server over loopback: real UDP sockets, real QUIC, a small client.

#![allow(clippy::unwrap_used)]

mod annexes;
mod attackers;
mod control;
mod discovery;
mod door;
mod lifecycle;
mod relay;
mod restart;
mod shards;
mod stun;
mod support;
mod throttling;
mod tunnel;
