//! How a client hides what it sends from caches on the way (RFC 6455 section 5.3).

/// The key of one frame, turned to where the next byte is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mask([u8; 4]);

impl Mask {
    /// At the beginning of a frame.
    pub(super) fn new(key: [u8; 4]) -> Self {
        Self(key)
    }

    /// Puts it on or takes it off the next bytes of the frame.
    pub(super) fn apply(&mut self, bytes: &mut [u8]) {
        let word = u128::from_ne_bytes([self.0; 4].as_flattened().try_into().unwrap_or([0; 16]));
        // Whole words, which the compiler makes the processor's widest of.
        let (words, rest) = bytes.as_chunks_mut::<16>();
        for chunk in words {
            *chunk = (u128::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
        }
        for (byte, key) in rest.iter_mut().zip(self.0.iter().cycle()) {
            *byte ^= key;
        }
        self.0.rotate_left(rest.len() % 4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on_where_it_was_whatever_the_pieces_are() {
        let plain: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let key = [1, 2, 4, 8];
        let mut expected = plain.clone();
        for (n, byte) in expected.iter_mut().enumerate() {
            *byte ^= key[n % 4];
        }
        for size in 1..70 {
            let (mut masked, mut mask) = (plain.clone(), Mask::new(key));
            masked.chunks_mut(size).for_each(|piece| mask.apply(piece));
            assert_eq!(masked, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn the_example_of_the_standard() {
        // RFC 6455 section 5.7: "Hello", masked.
        let mut bytes = [0x7f, 0x9f, 0x4d, 0x51, 0x58];
        Mask::new([0x37, 0xfa, 0x21, 0x3d]).apply(&mut bytes);
        assert_eq!(&bytes, b"Hello");
    }
}
