//! The first ten bytes of each stripe: which bulk it is of, which of how many it is.

use super::MAX_STRIPES;

/// Bytes of a header.
pub(super) const LEN: usize = 10;

/// What a stripe says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Chosen by the sender; tells bulks of one connection apart.
    pub(super) bulk: u64,
    /// Which stripe, from 0.
    pub(super) stripe: u8,
    /// How many there are.
    pub(super) stripes: u8,
}

impl Header {
    pub(super) fn encode(self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[..8].copy_from_slice(&self.bulk.to_be_bytes());
        bytes[8] = self.stripe;
        bytes[9] = self.stripes;
        bytes
    }

    /// `None` where there are too many stripes, or fewer than this one's number says.
    pub(super) fn decode(bytes: [u8; LEN]) -> Option<Self> {
        let [bulk @ .., stripe, stripes] = bytes;
        let sound = stripe < stripes && stripes <= MAX_STRIPES;
        sound.then(|| Self {
            bulk: u64::from_be_bytes(bulk),
            stripe,
            stripes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let header = Header {
            bulk: 0x0102_0304_0506_0708,
            stripe: 3,
            stripes: 16,
        };
        assert_eq!(header.encode(), [1, 2, 3, 4, 5, 6, 7, 8, 3, 16]);
        assert_eq!(Header::decode(header.encode()), Some(header));
    }

    #[test]
    fn a_stripe_beyond_the_last_and_too_many_are_refused() {
        assert_eq!(Header::decode([0, 0, 0, 0, 0, 0, 0, 1, 16, 16]), None);
        assert_eq!(Header::decode([0, 0, 0, 0, 0, 0, 0, 1, 0, 0]), None);
        assert_eq!(Header::decode([0, 0, 0, 0, 0, 0, 0, 1, 0, 33]), None);
    }
}
