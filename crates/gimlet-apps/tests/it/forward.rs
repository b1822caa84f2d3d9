//! Forwarding between two endpoints: TCP and Unix sockets, their ends, and peers that go away.

mod absence;
mod access;
mod datagrams;
mod streams;
pub(crate) mod world;
