//! Cross-crate scenarios. One binary, a module a topic.
#![allow(
    clippy::unwrap_used,
    reason = "a failed unwrap fails the test, which is what it is for"
)]

mod bench;
mod corpus;
mod discovery;
mod doctor;
mod failover;
mod failures;
mod far;
mod forward;
mod glare;
mod hostile;
mod large;
mod leaving;
mod liar;
mod movement;
mod operator;
mod quotas;
mod restart;
mod search;
mod servers;
mod sites;
mod stats;
mod stun_clients;
mod switching;
mod talking;
mod timing;
mod trials;
mod tunnel;
