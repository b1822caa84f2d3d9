//! The server over loopback: real UDP sockets, real QUIC, a small client.

mod control;
mod lifecycle;
mod relay;
mod stun;
mod support;
