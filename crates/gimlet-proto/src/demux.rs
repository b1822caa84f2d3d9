//! Tells apart what shares one UDP port by the first byte (RFC 9443's ranges).

/// What a datagram is, judged by its first byte alone. Each consumer checks the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 0..=3: STUN (RFC 8489).
    Stun,
    /// 8: a Gimlet relay frame, see [`crate::frame`].
    Frame,
    /// 64..=255: QUIC (RFC 9000), short and long headers.
    Quic,
}

/// First byte of every Gimlet relay frame.
pub const FRAME_BYTE: u8 = 8;

/// Classifies a datagram; `None` for what nobody here speaks, and for an empty one.
pub fn classify(datagram: &[u8]) -> Option<Kind> {
    match *datagram.first()? {
        0..=3 => Some(Kind::Stun),
        FRAME_BYTE => Some(Kind::Frame),
        64..=255 => Some(Kind::Quic),
        4..=7 | 9..=63 => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_first_byte_has_one_meaning() {
        assert_eq!(classify(&[]), None);
        for byte in 0..=255u8 {
            let expected = match byte {
                0..=3 => Some(Kind::Stun),
                8 => Some(Kind::Frame),
                64.. => Some(Kind::Quic),
                _ => None,
            };
            assert_eq!(classify(&[byte, 1, 2]), expected, "{byte}");
        }
    }
}
