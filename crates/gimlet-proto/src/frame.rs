//! Relay frames: `[8][kind][session id: 8 bytes] payload`, on the server's main UDP port.
//!
//! The session id is the same in both directions, so the server sends on what it received without
//! touching a byte, and a whole GRO batch as one GSO batch.

use crate::demux::FRAME_BYTE;
use crate::secret::{RelaySecret, SessionId};

/// Bytes before the payload.
pub const HEADER_LEN: usize = 10;

/// Bytes of a whole bind frame: header, counter, MAC.
pub const BIND_LEN: usize = HEADER_LEN + 8 + MAC_LEN;

const MAC_LEN: usize = 16;
const BIND_CONTEXT: &[u8] = b"gimlet/1 bind";

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// 0: payload for the other side: one QUIC or STUN datagram. Both directions.
    Data,
    /// 1: binds the sender's transport address to its side of the session. To the server.
    Bind,
    /// 2: the bind frame with this counter was taken. To the peer; payload is the counter.
    Bound,
    /// 3: no such session here, or the sender is not bound to it. To the peer; no payload.
    Unknown,
}

impl FrameKind {
    fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Data),
            1 => Some(Self::Bind),
            2 => Some(Self::Bound),
            3 => Some(Self::Unknown),
            _ => None,
        }
    }

    const fn byte(self) -> u8 {
        match self {
            Self::Data => 0,
            Self::Bind => 1,
            Self::Bound => 2,
            Self::Unknown => 3,
        }
    }
}

/// A frame's header, and where its payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it is.
    pub kind: FrameKind,
    /// Whose it is.
    pub session: SessionId,
    /// What follows the header.
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Reads a frame; `None` when it is too short, of another protocol or of an unknown kind.
    pub fn decode(datagram: &'a [u8]) -> Option<Self> {
        let (header, payload) = datagram.split_first_chunk::<HEADER_LEN>()?;
        let [FRAME_BYTE, kind, session @ ..] = *header else {
            return None;
        };
        Some(Self {
            kind: FrameKind::from_byte(kind)?,
            session: SessionId(session),
            payload,
        })
    }
}

/// The header of a frame.
pub fn header(kind: FrameKind, session: SessionId) -> [u8; HEADER_LEN] {
    let mut bytes = [0; HEADER_LEN];
    bytes[0] = FRAME_BYTE;
    bytes[1] = kind.byte();
    bytes[2..].copy_from_slice(&session.0);
    bytes
}

/// A bind frame. `counter` must be larger than in every bind frame before it of this side.
pub fn encode_bind(session: SessionId, counter: u64, secret: &RelaySecret) -> [u8; BIND_LEN] {
    let mut bytes = [0; BIND_LEN];
    bytes[..HEADER_LEN].copy_from_slice(&header(FrameKind::Bind, session));
    bytes[HEADER_LEN..HEADER_LEN + 8].copy_from_slice(&counter.to_be_bytes());
    let mac = bind_mac(session, counter, secret);
    bytes[HEADER_LEN + 8..].copy_from_slice(&mac.as_bytes()[..MAC_LEN]);
    bytes
}

/// The counter of a bind frame's payload if its MAC is right, compared in constant time.
pub fn verify_bind(session: SessionId, payload: &[u8], secret: &RelaySecret) -> Option<u64> {
    let (counter, mac) = payload.split_first_chunk::<8>()?;
    let counter = u64::from_be_bytes(*counter);
    let mac: &[u8; MAC_LEN] = mac.try_into().ok()?;
    let expected = bind_mac(session, counter, secret);
    constant_time_eq(mac, &expected.as_bytes()[..MAC_LEN]).then_some(counter)
}

/// A bound frame: the server's answer to a bind frame, shorter than what it answers.
pub fn encode_bound(session: SessionId, counter: u64) -> [u8; HEADER_LEN + 8] {
    let mut bytes = [0; HEADER_LEN + 8];
    bytes[..HEADER_LEN].copy_from_slice(&header(FrameKind::Bound, session));
    bytes[HEADER_LEN..].copy_from_slice(&counter.to_be_bytes());
    bytes
}

/// The counter in a bound frame's payload.
pub fn decode_bound(payload: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(payload.try_into().ok()?))
}

fn bind_mac(session: SessionId, counter: u64, secret: &RelaySecret) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new_keyed(&secret.0);
    hasher
        .update(BIND_CONTEXT)
        .update(&session.0)
        .update(&counter.to_be_bytes());
    hasher.finalize()
}

fn constant_time_eq(a: &[u8; MAC_LEN], b: &[u8]) -> bool {
    a.iter().zip(b).fold(0, |diff, (x, y)| diff | (x ^ y)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SESSION: SessionId = SessionId([1, 2, 3, 4, 5, 6, 7, 8]);
    const SECRET: RelaySecret = RelaySecret([9; 32]);

    #[test]
    fn the_layout_is_what_the_protocol_page_says() {
        assert_eq!(
            header(FrameKind::Data, SESSION),
            [8, 0, 1, 2, 3, 4, 5, 6, 7, 8]
        );
        let bind = encode_bind(SESSION, 5, &SECRET);
        assert_eq!(
            bind[..18],
            [8, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 5]
        );
        assert_eq!(
            encode_bound(SESSION, 5),
            [8, 2, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 5]
        );
    }

    #[test]
    fn a_bind_frame_verifies_only_as_it_was_made() {
        let bind = encode_bind(SESSION, 5, &SECRET);
        let frame = Frame::decode(&bind).unwrap();
        assert_eq!(verify_bind(SESSION, frame.payload, &SECRET), Some(5));
        assert_eq!(verify_bind(SessionId([0; 8]), frame.payload, &SECRET), None);
        assert_eq!(
            verify_bind(SESSION, frame.payload, &RelaySecret([8; 32])),
            None
        );
        for bit in 0..frame.payload.len() * 8 {
            let mut forged = frame.payload.to_vec();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(verify_bind(SESSION, &forged, &SECRET), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_decode_to_a_frame_or_to_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Some(frame) = Frame::decode(&bytes) {
                prop_assert_eq!(&header(frame.kind, frame.session)[..], &bytes[..HEADER_LEN]);
                let _ = verify_bind(frame.session, frame.payload, &SECRET);
                let _ = decode_bound(frame.payload);
            }
        }
    }
}
