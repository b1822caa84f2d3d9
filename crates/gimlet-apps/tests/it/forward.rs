//! Forwarding between two endpoints: TCP and Unix sockets, their ends, and peers that go away.

mod access;
mod absence;
mod datagrams;
mod streams;
pub(crate) mod world;
