//! Cross-crate scenarios. One binary, a module a topic.

mod timing;
