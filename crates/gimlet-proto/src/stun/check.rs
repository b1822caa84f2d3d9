//! Connectivity checks between peers: authenticated Binding requests and their answers.
//!
//! A check may be padded with the PADDING attribute of RFC 5780 to prove that a path carries
//! full-size datagrams; its answer is then exactly as long, and never longer.

use std::fmt;
use std::net::SocketAddr;

use stun_rs::attributes::discovery::Padding;
use stun_rs::attributes::ice::{IceControlled, IceControlling, Priority, UseCandidate};
use stun_rs::attributes::stun::{Fingerprint, MessageIntegritySha256, UserName, XorMappedAddress};
use stun_rs::methods::BINDING;
use stun_rs::{HMACKey, MessageClass, StunMessage, StunMessageBuilder};

use super::binding::{decode, encode, fingerprint_holds, mapped_address};
use super::layout::{FINGERPRINT_LEN, INTEGRITY_LEN, TransactionId, is_sealed, transaction_of};
use crate::secret::Credentials;

/// Longest check understood, and the longest that is sent: one Ethernet frame's worth.
const MAX_CHECK: usize = 1500;

/// Shortest answer: with XOR-MAPPED-ADDRESS of an IPv6 address and without padding. Every request is longer.
pub const MIN_ANSWER: usize = 20 + 24 + INTEGRITY_LEN + FINGERPRINT_LEN;

/// The key of one side's MESSAGE-INTEGRITY-SHA256. Making one is costly, so make it once a session.
#[derive(Clone)]
pub struct Key(HMACKey);

impl Key {
    /// The key of what is sent to, and answered by, the owner of `credentials`.
    pub fn new(credentials: &Credentials) -> Self {
        let key = HMACKey::new_short_term(credentials.password_text());
        Self(key.expect("hexadecimal digits are a valid password"))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// What turns checks into messages from one side to the other. Costly like [`Key`].
#[derive(Debug, Clone)]
pub struct Seal {
    user: UserName,
    key: Key,
}

impl Seal {
    /// For checks to `receiver` from the side with the fragment of `sender`.
    pub fn new(receiver: &Credentials, sender: &Credentials) -> Self {
        let user = format!("{}:{}", receiver.fragment_text(), sender.fragment_text());
        Self {
            user: UserName::new(user).expect("hexadecimal digits and a colon are a valid name"),
            key: Key::new(receiver),
        }
    }

    /// The key that the answers carry.
    pub fn key(&self) -> &Key {
        &self.key
    }
}

/// The role a check claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckRole {
    /// ICE-CONTROLLING.
    Controlling {
        /// Its value; Gimlet counts nominations in the low half.
        tie_breaker: u64,
        /// Whether USE-CANDIDATE is set: the sender wants this path used.
        nominate: bool,
    },
    /// ICE-CONTROLLED.
    Controlled {
        /// Its value.
        tie_breaker: u64,
    },
}

/// A connectivity check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check {
    /// Matches its answer.
    pub transaction: TransactionId,
    /// RFC 8445 section 7.1.1.
    pub priority: u32,
    /// RFC 8445 section 7.1.3.
    pub role: CheckRole,
}

/// An answer to a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Of the check.
    pub transaction: TransactionId,
    /// Where the check came from; none through the relay, where that means nothing.
    pub mapped: Option<SocketAddr>,
}

/// What a peer may send. Believe nothing of it before [`verify`](Incoming::verify).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming<'a> {
    datagram: &'a [u8],
    integrity: MessageIntegritySha256,
    /// Its content.
    pub body: Body,
}

/// Content of [`Incoming`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A check.
    Request {
        /// The receiver's fragment from USERNAME: whose session it is for.
        receiver: [u8; 8],
        /// The sender's fragment from USERNAME.
        sender: [u8; 8],
        /// The check.
        check: Check,
    },
    /// The answer to a check.
    Success(Answer),
    /// A refusal.
    Error(TransactionId),
}

impl Incoming<'_> {
    /// Bytes of the datagram.
    pub fn size(&self) -> usize {
        self.datagram.len()
    }

    /// Whether the sender knows the password of `key`.
    pub fn verify(&self, key: &Key) -> bool {
        stun_rs::get_input_text::<MessageIntegritySha256>(self.datagram)
            .is_some_and(|input| self.integrity.validate(&input, &key.0))
    }
}

/// Encodes a check of `size` bytes, rounded up to a multiple of four; it is never shorter than its content.
pub fn encode_check(check: &Check, seal: &Seal, size: usize) -> Vec<u8> {
    let (tie_breaker, nominate) = match check.role {
        CheckRole::Controlling {
            tie_breaker,
            nominate,
        } => (tie_breaker, nominate),
        CheckRole::Controlled { tie_breaker } => (tie_breaker, false),
    };
    let mut content = 20 + 4 + seal.user.as_str().len().next_multiple_of(4) + 8 + 12;
    let mut message = StunMessageBuilder::new(BINDING, MessageClass::Request)
        .with_transaction_id(check.transaction.0.into())
        .with_attribute(seal.user.clone())
        .with_attribute(Priority::new(check.priority));
    message = match check.role {
        CheckRole::Controlling { .. } => message.with_attribute(IceControlling::new(tie_breaker)),
        CheckRole::Controlled { .. } => message.with_attribute(IceControlled::new(tie_breaker)),
    };
    if nominate {
        content += 4;
        message = message.with_attribute(UseCandidate::default());
    }
    seal_message(message, content, &seal.key, size)
}

/// Encodes the answer to a check of `size` bytes: as long as the check.
pub fn encode_answer(answer: &Answer, key: &Key, size: usize) -> Vec<u8> {
    let mut message = StunMessageBuilder::new(BINDING, MessageClass::SuccessResponse)
        .with_transaction_id(answer.transaction.0.into());
    let mut content = 20;
    if let Some(mapped) = answer.mapped {
        content += if mapped.is_ipv4() { 12 } else { 24 };
        message = message.with_attribute(XorMappedAddress::from(mapped));
    }
    seal_message(message, content, key, size)
}

/// Adds PADDING up to `size`, integrity and fingerprint.
fn seal_message(message: StunMessageBuilder, content: usize, key: &Key, size: usize) -> Vec<u8> {
    let size = size.min(MAX_CHECK).next_multiple_of(4);
    let short = size.saturating_sub(content + INTEGRITY_LEN + FINGERPRINT_LEN);
    let message = match short.checked_sub(4) {
        Some(fill) => {
            let padding = Padding::new("\0".repeat(fill)).expect("shorter than 64,000 bytes");
            message.with_attribute(padding)
        }
        None => message,
    };
    encode(
        message
            .with_attribute(MessageIntegritySha256::new(key.0.clone()))
            .with_attribute(Fingerprint::default())
            .build(),
    )
}

/// Decodes what peers send each other; `None` for anything else, whole or in part.
pub fn decode_check(datagram: &[u8]) -> Option<Incoming<'_>> {
    if datagram.len() > MAX_CHECK {
        return None;
    }
    let (message, attributes) = decode(datagram)?;
    let sound = message.method() == BINDING
        && is_sealed(datagram, &attributes)
        && fingerprint_holds(datagram, &message, &attributes);
    if !sound {
        return None;
    }
    let integrity = message.get::<MessageIntegritySha256>()?;
    let integrity = integrity.as_message_integrity_sha256().ok()?.clone();
    let transaction = transaction_of(datagram)?;
    let body = match message.class() {
        MessageClass::Request => decode_request(&message, transaction)?,
        MessageClass::SuccessResponse => Body::Success(Answer {
            transaction,
            mapped: mapped_address(&message),
        }),
        MessageClass::ErrorResponse => Body::Error(transaction),
        MessageClass::Indication => return None,
    };
    Some(Incoming {
        datagram,
        integrity,
        body,
    })
}

fn decode_request(message: &StunMessage, transaction: TransactionId) -> Option<Body> {
    let user = message.get::<UserName>()?.as_user_name().ok()?;
    let (receiver, sender) = user.as_str().split_once(':')?;
    let priority = message.get::<Priority>()?.as_priority().ok()?.as_u32();
    let controlling = message
        .get::<IceControlling>()
        .and_then(|a| a.as_ice_controlling().ok());
    let controlled = message
        .get::<IceControlled>()
        .and_then(|a| a.as_ice_controlled().ok());
    let nominate = message.get::<UseCandidate>().is_some();
    let role = match (controlling, controlled) {
        (Some(value), None) => CheckRole::Controlling {
            tie_breaker: value.as_u64(),
            nominate,
        },
        (None, Some(value)) if !nominate => CheckRole::Controlled {
            tie_breaker: value.as_u64(),
        },
        _ => return None,
    };
    Some(Body::Request {
        receiver: fragment(receiver)?,
        sender: fragment(sender)?,
        check: Check {
            transaction,
            priority,
            role,
        },
    })
}

/// The receiver's fragment of an incoming check, to find its session by. Nothing is verified.
pub fn fragment_of(datagram: &[u8]) -> Option<[u8; 8]> {
    match decode_check(datagram)?.body {
        Body::Request { receiver, .. } => Some(receiver),
        Body::Success(_) | Body::Error(_) => None,
    }
}

fn fragment(text: &str) -> Option<[u8; 8]> {
    let digits: &[u8; 16] = text.as_bytes().try_into().ok()?;
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; 8];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}
