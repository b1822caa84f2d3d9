//! Cross-crate scenarios. One binary, a module a topic.

mod bench;
mod failures;
mod glare;
mod liar;
mod restart;
mod sites;
mod switching;
mod timing;
