//! Cross-crate scenarios. One binary, a module a topic.

mod bench;
mod failures;
mod glare;
mod restart;
mod sites;
mod switching;
mod timing;
