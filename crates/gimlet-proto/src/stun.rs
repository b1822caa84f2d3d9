//! STUN (RFC 8489) as Gimlet speaks it: plain Binding and behaviour discovery (RFC 5780) for anybody,
//! and authenticated connectivity checks between peers (RFC 8445).
//!
//! The only module that names `stun-rs`. That crate verifies integrity only where it is present,
//! accepts trailing bytes and repeated FINGERPRINTs, so every decoder here first checks the exact
//! layout by itself, and treats `stun-rs` as the parser of attribute values alone.

mod binding;
mod check;
mod discovery;
mod layout;
#[cfg(test)]
mod tests;

pub use binding::{
    BindingResponse, answer_binding, answer_discovery, decode_binding_error,
    decode_binding_response, encode_binding_request,
};
pub use check::{
    Answer, Body, Check, CheckRole, Incoming, Key, MIN_ANSWER, Seal, decode_check, encode_answer,
    encode_check, fragment_of,
};
pub use discovery::{Change, Reply, Vantage, encode_probe, transaction_of_request};
pub use layout::{TransactionId, is_stun, transaction_of};
