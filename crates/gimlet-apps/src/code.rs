//! `gimlet/code/1`: two people who share a few words find each other, and nobody else gets in.
//!
//! One side *offers* a code, something like `7-crystal-clock`, and tells it to the other over the
//! phone. The number leads to the offering key at the server ([`Endpoint::hold_number`]); the words stay
//! between the two. The *claimant* connects to that key and both prove to know the words by SPAKE2
//! (Ed25519 group), with a confirmation bound to both ids and to the TLS session. From then on each
//! knows the other's key for sure, and may keep it as a [contact](crate::contacts).
//!
//! The claimant opens one bidirectional stream:
//!
//! ```text
//! claimant                                    offerer
//!    share, 33 bytes           ──▶
//!                              ◀──   0, share, 33 bytes      or a refusal, one byte
//!    proof, 32 bytes           ──▶
//!                              ◀──   0, proof, 32 bytes      or a refusal, one byte
//! ```
//!
//! The claimant proves first, so that who only listens at a stolen number learns nothing to try words
//! on. A proof that is wrong is the code's one guess, and spends it. Refusals are [`Refusal`]'s.
//!
//! # What a server can do
//!
//! It can send the claimant to somebody else, and somebody else to the offerer. Neither helps: the
//! proofs of both legs differ in ids and TLS session, so that who stands between has to guess, once.
//!
//! # Who is let in
//!
//! A claimant is a stranger, so an endpoint that offers a code takes introductions of everybody
//! ([`AcceptPolicy::All`](gimlet::AcceptPolicy)), answers strangers for this protocol alone, and lets
//! the others to the key it has [met](Met). An introduction carries no secret.

mod claim;
mod exchange;
mod keeper;
mod offer;
mod phrase;
mod words;

use gimlet::{Connection, Endpoint, PeerId};

pub use claim::{ClaimError, claim};
pub use exchange::{Binding, Claiming, Malformed, Proof, Proving, Share};
pub use keeper::{Judging, Keeper, Refusal};
pub use offer::{Door, Offer, OfferError, OfferEvent, Options, offer};
pub use phrase::{Code, ParseCodeError};
pub use words::complete;

/// ALPN of codes.
pub const ALPN: &[u8] = b"gimlet/code/1";

/// First byte of an answer that goes on.
const GO_ON: u8 = 0;

/// The other side of a code, proven to know it.
#[derive(Debug, Clone)]
pub struct Met {
    /// Who it is.
    pub peer: PeerId,
    /// The connection it was proven on; use it for more, or let it go.
    pub connection: Connection,
}

/// Both ends of a connection and its TLS session, which proofs are bound to.
fn binding(endpoint: &Endpoint, connection: &Connection) -> Option<Binding> {
    let (claimant, offerer) = match connection.is_dialler() {
        true => (endpoint.peer_id(), connection.peer()),
        false => (connection.peer(), endpoint.peer_id()),
    };
    let mut context = Vec::with_capacity(64);
    context.extend_from_slice(claimant.as_bytes());
    context.extend_from_slice(offerer.as_bytes());
    let mut exporter = [0; 32];
    let exported =
        connection
            .quic()
            .export_keying_material(&mut exporter, b"gimlet code 1", &context);
    exported.ok().map(|()| Binding {
        claimant,
        offerer,
        exporter,
    })
}
