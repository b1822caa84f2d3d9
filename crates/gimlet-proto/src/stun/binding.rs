//! Plain Binding: asking a server how it sees us, and answering any STUN client.

use std::net::SocketAddr;

use stun_rs::attributes::discovery::{OtherAddress, ResponseOrigin};
use stun_rs::attributes::stun::{
    ErrorCode, Fingerprint, MappedAddress, UnknownAttributes, XorMappedAddress,
};
use stun_rs::methods::BINDING;
use stun_rs::{
    MessageClass, MessageDecoderBuilder, MessageEncoderBuilder, StunMessage, StunMessageBuilder,
};

use super::discovery::{self, Reply, Vantage, Wish};
use super::layout::{self, FINGERPRINT, HEADER, Raw, TransactionId, is_stun};

/// What a server said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BindingResponse {
    /// Of the request.
    pub transaction: TransactionId,
    /// Where the server saw the request come from, in canonical form.
    pub mapped: SocketAddr,
    /// Where the server says it answers from.
    pub origin: Option<SocketAddr>,
    /// Where it can answer from as well (RFC 5780).
    pub other: Option<SocketAddr>,
}

/// Encodes a Binding request without attributes: 20 bytes.
pub fn encode_binding_request(transaction: TransactionId) -> Vec<u8> {
    encode(
        StunMessageBuilder::new(BINDING, MessageClass::Request)
            .with_transaction_id(transaction.0.into())
            .build(),
    )
}

/// Decodes a server's success response; `None` for anything else.
///
/// It is not authenticated: compare the transaction id with that of the request.
pub fn decode_binding_response(datagram: &[u8]) -> Option<BindingResponse> {
    let (message, attributes) = decode(datagram)?;
    if (message.method(), message.class()) != (BINDING, MessageClass::SuccessResponse) {
        return None;
    }
    fingerprint_holds(datagram, &message, &attributes).then_some(())?;
    let mapped = mapped_address(&message)?;
    let (origin, other) = discovery::addresses(&message);
    Some(BindingResponse {
        transaction: layout::transaction_of(datagram)?,
        mapped: SocketAddr::new(mapped.ip().to_canonical(), mapped.port()),
        origin,
        other,
    })
}

/// The transaction of a server's error response; `None` for anything else. Not authenticated either.
pub fn decode_binding_error(datagram: &[u8]) -> Option<TransactionId> {
    let (message, attributes) = decode(datagram)?;
    let is_error = (message.method(), message.class()) == (BINDING, MessageClass::ErrorResponse);
    (is_error && fingerprint_holds(datagram, &message, &attributes))
        .then(|| layout::transaction_of(datagram))?
}

/// XOR-MAPPED-ADDRESS, or MAPPED-ADDRESS from servers of old.
pub(super) fn mapped_address(message: &StunMessage) -> Option<SocketAddr> {
    let xored = message
        .get::<XorMappedAddress>()
        .and_then(|a| a.as_xor_mapped_address().ok())
        .map(|a| *a.socket_address());
    let plain = || {
        let attribute = message.get::<MappedAddress>()?.as_mapped_address().ok()?;
        Some(*attribute.socket_address())
    };
    xored.or_else(plain)
}

/// Answers a Binding request of any client with where it came from; `None` where RFC 8489 wants
/// silence: not a Binding request, malformed, or with a wrong FINGERPRINT.
///
/// The response carries XOR-MAPPED-ADDRESS alone, 32 or 44 bytes, and FINGERPRINT if the request
/// did. An attribute that must be understood and is not gets error 420, and so do requests to answer
/// from or to elsewhere. Clients of RFC 3489, without the magic cookie, get MAPPED-ADDRESS: some
/// libraries in use still send that.
pub fn answer_binding(request: &[u8], source: SocketAddr) -> Option<Vec<u8>> {
    answer(request, source, None).map(|reply| reply.bytes)
}

/// The same for a server with another port or address (RFC 5780): answers from there, and tells about
/// it whoever asks. With another *address* it tells a bare request too.
pub fn answer_discovery(request: &[u8], source: SocketAddr, vantage: &Vantage) -> Option<Reply> {
    answer(request, source, Some(vantage))
}

fn answer(request: &[u8], source: SocketAddr, vantage: Option<&Vantage>) -> Option<Reply> {
    let source = SocketAddr::new(source.ip().to_canonical(), source.port());
    if !is_stun(request) {
        return answer_classic(request, source);
    }
    if request[..2] != BINDING_REQUEST || request.len() > MAX_REQUEST {
        return None;
    }
    let attributes = layout::attributes(request)?;
    let wish = match vantage {
        Some(_) => Wish::of(&attributes)?,
        None => Wish::default(),
    };
    let impossible = vantage.is_some_and(|vantage| !vantage.can(wish.change));
    let is_unknown = |a: &&Raw<'_>| match discovery::is_understood(a.kind) && vantage.is_some() {
        true => impossible && a.kind == discovery::CHANGE_REQUEST,
        false => !is_understood(a),
    };
    let unknown: Vec<u16> = attributes
        .iter()
        .filter(is_unknown)
        .map(|a| a.kind)
        .take(MAX_UNKNOWN)
        .collect();
    let with_fingerprint = attributes.iter().any(|a| a.kind == FINGERPRINT);
    if with_fingerprint {
        let (message, attributes) = decode(request)?;
        fingerprint_holds(request, &message, &attributes).then_some(())?;
    }
    let class = match unknown.is_empty() {
        true => MessageClass::SuccessResponse,
        false => MessageClass::ErrorResponse,
    };
    let transaction: [u8; 12] = request[8..HEADER].try_into().ok()?;
    let mut response =
        StunMessageBuilder::new(BINDING, class).with_transaction_id(transaction.into());
    let mut reply = plain(Vec::new(), source);
    if unknown.is_empty() {
        response = response.with_attribute(XorMappedAddress::from(source));
        let told = vantage.filter(|vantage| wish.asks || vantage.other_ip.is_some());
        if let Some(vantage) = told {
            reply = Reply {
                to: SocketAddr::new(source.ip(), wish.response_port.unwrap_or(source.port())),
                from: wish.change,
                is_plain: false,
                ..reply
            };
            if let Some(origin) = vantage.origin(wish.change) {
                response = response.with_attribute(ResponseOrigin::from(origin));
            }
            if let Some(other) = vantage.other() {
                response = response.with_attribute(OtherAddress::from(other));
            }
        }
    } else {
        let error = stun_rs::ErrorCode::new(420, "Unknown Attribute").ok()?;
        let mut list = UnknownAttributes::default();
        unknown.iter().for_each(|&kind| list.add(kind));
        response = response
            .with_attribute(ErrorCode::from(error))
            .with_attribute(list);
    }
    if with_fingerprint {
        response = response.with_attribute(Fingerprint::default());
    }
    reply.bytes = encode(response.build());
    Some(reply)
}

fn plain(bytes: Vec<u8>, to: SocketAddr) -> Reply {
    Reply {
        bytes,
        to,
        from: discovery::Change::default(),
        is_plain: true,
    }
}

/// Message type of a Binding request.
pub(super) const BINDING_REQUEST: [u8; 2] = [0, 1];

/// Longest request answered: with the 1,500 bytes of PADDING that RFC 5780 clients send.
const MAX_REQUEST: usize = 1600;

/// Most attributes listed in an error: with them it has 76 bytes at most, and answers are rate-limited.
const MAX_UNKNOWN: usize = 8;

/// Attributes a request may carry without changing the answer. Credentials are among them: this
/// server asks for none.
fn is_understood(attribute: &Raw<'_>) -> bool {
    const MAPPED_ADDRESS: u16 = 0x0001;
    const USERNAME: u16 = 0x0006;
    const INTEGRITY: u16 = 0x0008;
    const REALM: u16 = 0x0014;
    const NONCE: u16 = 0x0015;
    match attribute.kind {
        MAPPED_ADDRESS | USERNAME | INTEGRITY | REALM | NONCE | layout::INTEGRITY_SHA256 => true,
        discovery::CHANGE_REQUEST => attribute.value == [0; 4],
        kind => kind >= 0x8000,
    }
}

/// RFC 3489 section 8.1. Its transaction id is the sixteen bytes after the length.
fn answer_classic(request: &[u8], to: SocketAddr) -> Option<Reply> {
    let SocketAddr::V4(source) = to else {
        return None;
    };
    let (header, rest) = request.split_at_checked(HEADER)?;
    let bare = rest.is_empty() || rest == [0, 3, 0, 4, 0, 0, 0, 0];
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if header[..2] != BINDING_REQUEST || length != rest.len() || !bare {
        return None;
    }
    let mut response = vec![1, 1, 0, 12];
    response.extend_from_slice(&header[4..]);
    response.extend_from_slice(&[0, 1, 0, 8, 0, 1]);
    response.extend_from_slice(&source.port().to_be_bytes());
    response.extend_from_slice(&source.ip().octets());
    Some(plain(response, to))
}

/// Parses a message whose layout is sound.
pub(super) fn decode(datagram: &[u8]) -> Option<(StunMessage, Vec<Raw<'_>>)> {
    let attributes = is_stun(datagram).then(|| layout::attributes(datagram))??;
    let (message, size) = MessageDecoderBuilder::default()
        .build()
        .decode(datagram)
        .ok()?;
    (size == datagram.len()).then_some((message, attributes))
}

/// Whether FINGERPRINT is absent, or present once, last and right.
pub(super) fn fingerprint_holds(
    datagram: &[u8],
    message: &StunMessage,
    attributes: &[Raw<'_>],
) -> bool {
    match attributes.iter().filter(|a| a.kind == FINGERPRINT).count() {
        0 => true,
        1 => {
            let last = attributes.last().is_some_and(|a| a.kind == FINGERPRINT);
            let attribute = message
                .get::<Fingerprint>()
                .and_then(|a| a.as_fingerprint().ok());
            let input = stun_rs::get_input_text::<Fingerprint>(datagram);
            last && attribute
                .zip(input)
                .is_some_and(|(a, input)| a.validate(&input))
        }
        _ => false,
    }
}

/// Encodes what this module built, which always fits: everything in it is bounded.
pub(super) fn encode(message: StunMessage) -> Vec<u8> {
    let mut buffer = vec![0; 2048];
    let size = MessageEncoderBuilder::default()
        .build()
        .encode(&mut buffer, &message)
        .expect("the attributes set here are valid and fit the buffer");
    buffer.truncate(size);
    buffer
}
