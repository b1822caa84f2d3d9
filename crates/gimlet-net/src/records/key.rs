//! One direction's key and the number of its next record.
//!
//! TLS 1.3 encrypts a record as QUIC does a packet: the nonce is the number, combined with an IV, and the header
//! is authenticated with it (RFC 8446 section 5.2, RFC 9001 section 5.3). So the packet keys that rustls makes for QUIC, which
//! work in place, are what seals and opens here, by whichever library was chosen for the suite.

use std::fmt;

use gimlet_proto::tunnel::{AFTER, BEFORE};
use rustls::quic::PacketKey;
use rustls::{ConnectionTrafficSecrets, Tls13CipherSuite};

use super::{MAX_CONTENT, RecordError};

/// Bytes of a tag, for every suite of TLS 1.3 that rustls has.
const TAG: usize = 16;

/// Most bytes of a record after its header (RFC 8446 section 5.2).
pub(super) const MAX_PAYLOAD: usize = MAX_CONTENT + 256;

/// The outer kind of everything encrypted, and the version of old (RFC 8446 section 5.2).
const OUTER: [u8; 3] = [23, 3, 3];

/// What a record holds (RFC 8446 section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Alert,
    Handshake,
    Data,
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Self::Alert => 21,
            Self::Handshake => 22,
            Self::Data => 23,
        }
    }

    fn of(code: u8) -> Option<Self> {
        let mut all = [Self::Alert, Self::Handshake, Self::Data].into_iter();
        all.find(|kind| kind.code() == code)
    }
}

/// See the top of this file.
pub(super) struct Key {
    aead: Box<dyn PacketKey>,
    next: u64,
    /// So many records it may encrypt.
    pub(super) limit: u64,
}

impl Key {
    pub(super) fn new(
        suite: &'static Tls13CipherSuite,
        (next, secrets): (u64, ConnectionTrafficSecrets),
    ) -> Result<Self, RecordError> {
        let (key, iv) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv }
            | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
            | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (key, iv),
            _ => return Err(RecordError::Keys),
        };
        let quic = suite.quic.ok_or(RecordError::Keys)?;
        let aead = quic.packet_key(key, iv);
        if aead.tag_len() != TAG {
            return Err(RecordError::Keys);
        }
        let limit = suite.common.confidentiality_limit;
        Ok(Self { aead, next, limit })
    }

    /// Whether another is due before the next record.
    pub(super) fn is_worn(&self) -> bool {
        self.next >= self.limit
    }

    /// Encrypts a record: [`BEFORE`] bytes of room, content, [`AFTER`] bytes of room.
    pub(super) fn seal(&mut self, kind: Kind, record: &mut [u8]) -> Result<(), RecordError> {
        let Some((header, payload)) = record.split_first_chunk_mut::<BEFORE>() else {
            return Err(RecordError::Keys);
        };
        let length = u16::try_from(payload.len()).map_err(|_| RecordError::TooLong)?;
        let Some(at) = payload.len().checked_sub(AFTER) else {
            return Err(RecordError::Keys);
        };
        payload[at] = kind.code();
        header[..3].copy_from_slice(&OUTER);
        header[3..].copy_from_slice(&length.to_be_bytes());
        let (inner, room) = payload.split_at_mut(at + 1);
        let tag = self.aead.encrypt_in_place(self.next, header, inner);
        room.copy_from_slice(tag.map_err(|_| RecordError::Keys)?.as_ref());
        self.next += 1;
        Ok(())
    }

    /// Decrypts what follows a header; its kind and how much of it is content.
    pub(super) fn open(
        &mut self,
        header: &[u8; BEFORE],
        payload: &mut [u8],
    ) -> Result<(Kind, usize), RecordError> {
        let inner = self.aead.decrypt_in_place(self.next, header, payload);
        let inner = inner.map_err(|_| RecordError::Forged)?;
        self.next += 1;
        // Zeros behind the kind are padding.
        let content = inner.iter().rposition(|byte| *byte != 0);
        let content = content.ok_or(RecordError::Unexpected)?;
        let kind = Kind::of(inner[content]).ok_or(RecordError::Unexpected)?;
        if content > MAX_CONTENT {
            return Err(RecordError::TooLong);
        }
        Ok((kind, content))
    }
}

/// The length that a header says, if it is one of an encrypted record.
pub(super) fn length(header: &[u8; BEFORE]) -> Result<usize, RecordError> {
    let [kind, _, _, high, low] = *header;
    if kind != OUTER[0] {
        return Err(RecordError::Unexpected);
    }
    match usize::from(u16::from_be_bytes([high, low])) {
        length @ ..=MAX_PAYLOAD => Ok(length),
        _ => Err(RecordError::TooLong),
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").finish_non_exhaustive()
    }
}
