//! Puts STUN messages together around what a fuzzer makes up: it would never find a length or a
//! checksum by itself.

const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

/// A message of this type around these attributes, cut to a multiple of four bytes.
pub(crate) fn message(kind: u16, attributes: &[u8]) -> Vec<u8> {
    let attributes = &attributes[..attributes.len() / 4 * 4];
    let mut message = kind.to_be_bytes().to_vec();
    message.extend_from_slice(&(attributes.len() as u16).to_be_bytes());
    message.extend_from_slice(&COOKIE);
    message.extend_from_slice(&[7; 12]);
    message.extend_from_slice(attributes);
    message
}

/// The message with a FINGERPRINT behind it (RFC 8489 section 14.7).
pub(crate) fn with_fingerprint(mut message: Vec<u8>) -> Vec<u8> {
    let length = (message.len() - 20 + 8) as u16;
    message[2..4].copy_from_slice(&length.to_be_bytes());
    let checksum = crc32(&message) ^ 0x5354_554e;
    message.extend_from_slice(&[0x80, 0x28, 0, 4]);
    message.extend_from_slice(&checksum.to_be_bytes());
    message
}

/// The message with a MESSAGE-INTEGRITY-SHA256 that nobody has the key of, and a FINGERPRINT.
pub(crate) fn with_seal(mut message: Vec<u8>) -> Vec<u8> {
    message.extend_from_slice(&[0x00, 0x1c, 0, 32]);
    message.extend_from_slice(&[0x5e; 32]);
    with_fingerprint(message)
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc: u32, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}
