//! Behaviour discovery (RFC 5780): requests for an answer from another address or port, or to another
//! port, and who gets what.
//!
//! An answer only ever goes to the address that the request came from, so a server that serves these
//! can be made to send to nobody else than one that does not.

use std::net::{IpAddr, SocketAddr};

use stun_rs::StunMessage;

use super::binding::BINDING_REQUEST;
use super::layout::{self, HEADER, Raw, TransactionId};

/// CHANGE-REQUEST (RFC 5780 section 7.2).
pub(super) const CHANGE_REQUEST: u16 = 0x0003;
/// PADDING (section 7.6).
const PADDING: u16 = 0x0026;
/// RESPONSE-PORT (section 7.5).
pub(super) const RESPONSE_PORT: u16 = 0x0027;

const CHANGE_IP: u8 = 4;
const CHANGE_PORT: u8 = 2;

/// What of its own endpoint a server shall change for an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Change {
    /// Answer from the other address.
    pub ip: bool,
    /// Answer from the other port.
    pub port: bool,
}

/// What a server knows of itself when it answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Vantage {
    /// Where the request arrived; `None` where the system does not tell.
    pub here: Option<SocketAddr>,
    /// Its other address, if it has one of the same family.
    pub other_ip: Option<IpAddr>,
    /// Its other port, if it has one.
    pub other_port: Option<u16>,
}

/// An answer and how to send it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The datagram.
    pub bytes: Vec<u8>,
    /// Where to: the address the request came from, at its port or the one it named.
    pub to: SocketAddr,
    /// From where, seen from where the request arrived.
    pub from: Change,
    /// Whether it is what any STUN server says. All else costs more, and is limited more tightly.
    pub is_plain: bool,
}

/// Encodes a request that asks for discovery: 28 bytes, and 8 more with `response_port`.
///
/// Without any change it asks for RESPONSE-ORIGIN and OTHER-ADDRESS alone.
pub fn encode_probe(
    transaction: TransactionId,
    change: Change,
    response_port: Option<u16>,
) -> Vec<u8> {
    let mut flags = 0;
    if change.ip {
        flags |= CHANGE_IP;
    }
    if change.port {
        flags |= CHANGE_PORT;
    }
    let mut request = super::encode_binding_request(transaction);
    request.extend_from_slice(&[0, 3, 0, 4, 0, 0, 0, flags]);
    if let Some(port) = response_port {
        request.extend_from_slice(&[0, 0x27, 0, 4]);
        request.extend_from_slice(&port.to_be_bytes());
        request.extend_from_slice(&[0, 0]);
    }
    request[3] = (request.len() - HEADER) as u8;
    request
}

/// The transaction of a Binding request, whoever it is for: a peer finds its own hairpinned probe.
pub fn transaction_of_request(datagram: &[u8]) -> Option<TransactionId> {
    let is_request = datagram.starts_with(&BINDING_REQUEST);
    is_request.then(|| layout::transaction_of(datagram))?
}

/// RESPONSE-ORIGIN and OTHER-ADDRESS of a response, in canonical form.
pub(super) fn addresses(message: &StunMessage) -> (Option<SocketAddr>, Option<SocketAddr>) {
    use stun_rs::attributes::discovery::{OtherAddress, ResponseOrigin};
    let canonical = |addr: &SocketAddr| SocketAddr::new(addr.ip().to_canonical(), addr.port());
    let origin = message
        .get::<ResponseOrigin>()
        .and_then(|a| a.as_response_origin().ok())
        .map(|a| canonical(a.socket_address()));
    let other = message
        .get::<OtherAddress>()
        .and_then(|a| a.as_other_address().ok())
        .map(|a| canonical(a.socket_address()));
    (origin, other)
}

/// What a request asks for beyond its mapped address.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wish {
    /// It has CHANGE-REQUEST or RESPONSE-PORT. PADDING alone asks for nothing.
    pub(super) asks: bool,
    pub(super) change: Change,
    pub(super) response_port: Option<u16>,
}

impl Wish {
    /// `None` for what RFC 5780 forbids: PADDING together with RESPONSE-PORT, malformed values.
    pub(super) fn of(attributes: &[Raw<'_>]) -> Option<Self> {
        let mut wish = Self::default();
        let mut padded = false;
        for attribute in attributes {
            match attribute.kind {
                CHANGE_REQUEST => {
                    let [_, _, _, flags] = attribute.value else {
                        return None;
                    };
                    wish.change.ip |= flags & CHANGE_IP != 0;
                    wish.change.port |= flags & CHANGE_PORT != 0;
                }
                RESPONSE_PORT => {
                    // Its two bytes of padding are inside or behind the value, as one reads the RFC.
                    let ([high, low] | [high, low, _, _]) = attribute.value else {
                        return None;
                    };
                    let port = u16::from_be_bytes([*high, *low]);
                    (port != 0).then_some(())?;
                    wish.response_port = Some(port);
                }
                PADDING => padded = true,
                _ => (),
            }
            wish.asks |= matches!(attribute.kind, CHANGE_REQUEST | RESPONSE_PORT);
        }
        (!(padded && wish.response_port.is_some())).then_some(wish)
    }
}

impl Vantage {
    /// Whether it can answer so.
    pub(super) fn can(&self, change: Change) -> bool {
        (!change.ip || self.other_ip.is_some()) && (!change.port || self.other_port.is_some())
    }

    /// Where an answer with this change comes from.
    pub(super) fn origin(&self, change: Change) -> Option<SocketAddr> {
        let here = self.here?;
        let ip = self.other_ip.filter(|_| change.ip).unwrap_or(here.ip());
        let port = self.other_port.filter(|_| change.port);
        Some(SocketAddr::new(ip, port.unwrap_or(here.port())))
    }

    /// Where it would answer from with all changed that can be; `None` if nothing can.
    pub(super) fn other(&self) -> Option<SocketAddr> {
        let all = Change {
            ip: self.other_ip.is_some(),
            port: self.other_port.is_some(),
        };
        (all != Change::default()).then(|| self.origin(all))?
    }
}

/// Whether an attribute is one of these that a server of RFC 5780 understands.
pub(super) fn is_understood(kind: u16) -> bool {
    matches!(kind, CHANGE_REQUEST | PADDING | RESPONSE_PORT)
}
