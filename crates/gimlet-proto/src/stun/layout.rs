//! The outer shape of a STUN message: header, length, and where each attribute lies.

use std::fmt;

/// RFC 8489 section 5.
const MAGIC_COOKIE: [u8; 4] = 0x2112_A442_u32.to_be_bytes();

/// Header length.
pub(super) const HEADER: usize = 20;

/// Matches a response to its request (RFC 8489 section 5).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransactionId(pub [u8; 12]);

impl fmt::Debug for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TransactionId(")?;
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))?;
        f.write_str(")")
    }
}

/// Whether a datagram is a STUN message of RFC 8489 by its header alone: top bits, cookie, and a
/// length that is exactly the datagram's.
pub fn is_stun(datagram: &[u8]) -> bool {
    let Some((header, attributes)) = datagram.split_at_checked(HEADER) else {
        return false;
    };
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    header[0] < 0x40
        && header[4..8] == MAGIC_COOKIE
        && length == attributes.len()
        && length.is_multiple_of(4)
}

/// The transaction id of a STUN message; `None` for anything else.
pub fn transaction_of(datagram: &[u8]) -> Option<TransactionId> {
    let id = is_stun(datagram).then(|| datagram[8..HEADER].try_into().ok())??;
    Some(TransactionId(id))
}

/// One attribute as it lies in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Raw<'a> {
    pub(super) kind: u16,
    /// Offset of its header in the message.
    pub(super) at: usize,
    pub(super) value: &'a [u8],
}

/// Walks the attributes; `None` where one does not fit its message or there are more than
/// [`MAX_ATTRIBUTES`]. The message must pass [`is_stun`].
pub(super) fn attributes(message: &[u8]) -> Option<Vec<Raw<'_>>> {
    let mut found = Vec::with_capacity(10);
    let mut at = HEADER;
    while at < message.len() {
        let header = message.get(at..at + 4)?;
        let kind = u16::from_be_bytes([header[0], header[1]]);
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let value = message.get(at + 4..at + 4 + length)?;
        if found.len() == MAX_ATTRIBUTES {
            return None;
        }
        found.push(Raw { kind, at, value });
        at += 4 + length.next_multiple_of(4);
    }
    // The last attribute's padding counts too.
    (at == message.len()).then_some(found)
}

/// More attributes than any client sends. Bounds the work a datagram can cause.
const MAX_ATTRIBUTES: usize = 32;

/// MESSAGE-INTEGRITY-SHA256.
pub(super) const INTEGRITY_SHA256: u16 = 0x001C;
/// FINGERPRINT.
pub(super) const FINGERPRINT: u16 = 0x8028;
/// Bytes of a FINGERPRINT attribute.
pub(super) const FINGERPRINT_LEN: usize = 8;
/// Bytes of a full-length MESSAGE-INTEGRITY-SHA256 attribute.
pub(super) const INTEGRITY_LEN: usize = 36;

/// Whether the message ends in exactly one full-length MESSAGE-INTEGRITY-SHA256 and exactly one
/// FINGERPRINT, so that nothing but the FINGERPRINT is left unauthenticated.
pub(super) fn is_sealed(message: &[u8], attributes: &[Raw<'_>]) -> bool {
    let count = |kind| attributes.iter().filter(|a| a.kind == kind).count();
    let [.., integrity, fingerprint] = attributes else {
        return false;
    };
    (integrity.kind, integrity.value.len()) == (INTEGRITY_SHA256, INTEGRITY_LEN - 4)
        && (fingerprint.kind, fingerprint.value.len()) == (FINGERPRINT, FINGERPRINT_LEN - 4)
        && integrity.at + INTEGRITY_LEN + FINGERPRINT_LEN == message.len()
        && (count(INTEGRITY_SHA256), count(FINGERPRINT)) == (1, 1)
}
