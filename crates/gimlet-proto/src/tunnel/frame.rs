//! The WebSocket frames of a tunnel (RFC 6455 section 5): headers, and messages to be sent.
//!
//! Binary messages of one frame each are all that carries packets, so nothing is ever fragmented. A
//! [`Batch`] is filled with room for its header and for its encryption, so that it leaves from where it was written.

use super::mask::Mask;
use super::{LENGTH_LEN, MAX_MESSAGE, MAX_PACKET};

/// Longest header of ours: two bytes, a length in two more, and the client's mask. Longer lengths than
/// that are longer than a message may be.
pub(super) const MAX_HEADER: usize = 8;

/// Longest payload of a control frame (RFC 6455 section 5.5).
pub const MAX_CONTROL: usize = 125;

/// Bytes of a frame that are encrypted together: what a TLS record holds at most (RFC 8446 section 5.1).
pub const SECTION: usize = 16 * 1024;

/// Room in front of a section, for the record's header.
pub const BEFORE: usize = 5;

/// Room behind a section, for the record's type and the tag of its encryption.
pub const AFTER: usize = 1 + 16;

/// From one section to the next.
const STRIDE: usize = BEFORE + SECTION + AFTER;

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

/// A message that is being filled with packets, laid out as it will leave: every [`SECTION`] bytes of the frame are one TLS
/// record, which is encrypted where it lies, with room around it for what that adds.
///
/// ```text
///  BEFORE │ header, packets … │ AFTER │ BEFORE │ … packets … │ AFTER │ …
///         ╰──── SECTION ──────╯                ╰── SECTION ──╯
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Batch {
    bytes: Vec<u8>,
    /// Bytes of packets and their lengths.
    len: usize,
    packets: usize,
}

impl Default for Batch {
    fn default() -> Self {
        Self::within(Vec::new())
    }
}

impl Batch {
    /// An empty one, in memory that was used for another.
    pub fn within(mut memory: Vec<u8>) -> Self {
        memory.clear();
        memory.resize(BEFORE + MAX_HEADER, 0);
        Self {
            bytes: memory,
            len: 0,
            packets: 0,
        }
    }

    /// Appends a packet. Returns false, and appends nothing, where it is empty, too long, or has no
    /// room.
    pub fn push(&mut self, packet: &[u8]) -> bool {
        let fits = self.len + LENGTH_LEN + packet.len() <= MAX_MESSAGE;
        if packet.is_empty() || packet.len() > MAX_PACKET || !fits {
            return false;
        }
        self.append(&(packet.len() as u16).to_be_bytes());
        self.append(packet);
        self.packets += 1;
        true
    }

    fn append(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            let before = MAX_HEADER + self.len;
            let within = before % SECTION;
            if within == 0 {
                self.bytes.resize(before / SECTION * STRIDE + BEFORE, 0);
            }
            let (now, later) = piece.split_at(piece.len().min(SECTION - within));
            self.bytes.extend_from_slice(now);
            self.len += now.len();
            piece = later;
        }
    }

    /// Bytes of packets and their lengths.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no packet is in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Packets in it.
    pub fn packets(&self) -> usize {
        self.packets
    }

    /// The frame. A client gives the mask, which nobody may foresee.
    pub fn seal(mut self, mask: Option<[u8; 4]>) -> Frame {
        let (header, length) = header(Opcode::Binary, self.len, mask);
        self.bytes.resize(self.bytes.len() + AFTER, 0);
        let mut frame = Frame {
            bytes: self.bytes,
            start: MAX_HEADER - length,
        };
        let (mut before, mut mask) = (length, mask.map(Mask::new));
        for section in frame.sections_mut() {
            let end = section.len() - AFTER;
            if let Some(mask) = &mut mask {
                mask.apply(&mut section[BEFORE + before..end]);
            }
            before = 0;
        }
        frame.bytes[BEFORE..][frame.start..MAX_HEADER].copy_from_slice(&header[..length]);
        frame
    }
}

/// A message as it leaves, in sections that are to be encrypted.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    bytes: Vec<u8>,
    /// Where the room in front of the first section begins.
    start: usize,
}

impl Frame {
    /// Each section, with [`BEFORE`] bytes of room in front of it and [`AFTER`] behind.
    pub fn sections_mut(&mut self) -> impl Iterator<Item = &mut [u8]> {
        let end = self.bytes.len().min(STRIDE);
        let (first, rest) = self.bytes.split_at_mut(end);
        std::iter::once(&mut first[self.start..]).chain(rest.chunks_mut(STRIDE))
    }

    /// The memory, and from where on it is to be sent once all sections are encrypted.
    pub fn into_bytes(self) -> (Vec<u8>, usize) {
        (self.bytes, self.start)
    }

    /// The frame without the room: what is encrypted.
    pub fn plain(mut self) -> Vec<u8> {
        let sections = self.sections_mut();
        let plain = sections.map(|section| &section[BEFORE..section.len() - AFTER]);
        plain.collect::<Vec<_>>().concat()
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
