//! The WebSocket frames of a tunnel (RFC 6455 section 5): headers, and messages to be sent.
//!
//! Binary messages of one frame each are all that carries packets, so nothing is ever fragmented. A
//! [`Batch`] is filled behind room for its header, so that it leaves as it was written.

use super::mask::Mask;
use super::{LENGTH_LEN, MAX_MESSAGE, MAX_PACKET};

/// Longest header of ours: two bytes, a length in two more, and the client's mask. Longer lengths than
/// that are longer than a message may be.
pub(super) const MAX_HEADER: usize = 8;

/// Longest payload of a control frame (RFC 6455 section 5.5).
pub const MAX_CONTROL: usize = 125;

/// The whole of a message in one frame, and no reserved bit.
pub(super) const FIN: u8 = 0x80;

/// Of the second byte: a mask follows.
pub(super) const MASKED: u8 = 0x80;

/// Of the second byte: the length is in the next two.
pub(super) const LONG: u8 = 126;

/// Which end of a WebSocket: the client masks what it sends, the server does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Who connected.
    Client,
    /// Who was connected to.
    Server,
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// A message of packets.
    Binary,
    /// The sender is done.
    Close,
    /// Asks for a Pong.
    Ping,
    /// Answers a Ping.
    Pong,
}

impl Opcode {
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }
}

/// A message that is being filled with packets.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Room for a header, and then packets.
    bytes: Vec<u8>,
}

impl Batch {
    /// An empty one, in memory that was used for another.
    pub fn within(mut memory: Vec<u8>) -> Self {
        memory.clear();
        memory.resize(MAX_HEADER, 0);
        Self { bytes: memory }
    }

    /// Appends a packet. Returns false, and appends nothing, where it is empty, too long, or has no
    /// room.
    pub fn push(&mut self, packet: &[u8]) -> bool {
        let fits = self.len() + LENGTH_LEN + packet.len() <= MAX_MESSAGE;
        if packet.is_empty() || packet.len() > MAX_PACKET || !fits {
            return false;
        }
        self.bytes.resize(self.bytes.len().max(MAX_HEADER), 0);
        self.bytes
            .extend_from_slice(&(packet.len() as u16).to_be_bytes());
        self.bytes.extend_from_slice(packet);
        true
    }

    /// The packets, each behind its length.
    pub fn message(&self) -> &[u8] {
        self.bytes.get(MAX_HEADER..).unwrap_or_default()
    }

    /// Bytes of [`message`](Self::message).
    pub fn len(&self) -> usize {
        self.message().len()
    }

    /// Whether no packet is in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The frame: memory, and from where on it is to be sent. A client gives the mask, which nobody may
    /// foresee.
    pub fn seal(mut self, mask: Option<[u8; 4]>) -> (Vec<u8>, usize) {
        let (header, length) = header(Opcode::Binary, self.len(), mask);
        self.bytes.resize(self.bytes.len().max(MAX_HEADER), 0);
        if let Some(key) = mask {
            Mask::new(key).apply(&mut self.bytes[MAX_HEADER..]);
        }
        let start = MAX_HEADER - length;
        self.bytes[start..MAX_HEADER].copy_from_slice(&header[..length]);
        (self.bytes, start)
    }
}

/// A control frame, its payload cut to [`MAX_CONTROL`] bytes.
pub fn control(opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let payload = &payload[..payload.len().min(MAX_CONTROL)];
    let (header, length) = header(opcode, payload.len(), mask);
    let mut frame = [&header[..length], payload].concat();
    if let Some(key) = mask {
        Mask::new(key).apply(&mut frame[length..]);
    }
    frame
}

/// A header, and how long it is.
fn header(opcode: Opcode, payload: usize, mask: Option<[u8; 4]>) -> ([u8; MAX_HEADER], usize) {
    let mut header = [0; MAX_HEADER];
    header[0] = FIN | opcode.code();
    let mut length = 2;
    if payload < usize::from(LONG) {
        header[1] = payload as u8;
    } else {
        header[1] = LONG;
        // No message is longer than that.
        header[2..4].copy_from_slice(&(payload as u16).to_be_bytes());
        length = 4;
    }
    if let Some(key) = mask {
        header[1] |= MASKED;
        header[length..length + 4].copy_from_slice(&key);
        length += 4;
    }
    (header, length)
}
