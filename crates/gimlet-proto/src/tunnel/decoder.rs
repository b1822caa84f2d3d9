//! Takes the frames of a WebSocket apart, whatever pieces they come in.
//!
//! Packets are passed on as soon as they are whole, and not message by message: a frame is only how
//! they came. Bytes are copied once, from where they were decrypted into an [`Assembly`].
//!
//! # Invariants
//!
//! - No more is kept than one header, one control frame, and an assembly of [`MAX_MESSAGE`] bytes.
//! - After an error nothing more is to be read: where frames begin is not known any more.

use super::frame::{FIN, LONG, MASKED, MAX_CONTROL, MAX_HEADER, Opcode, Role};
use super::mask::Mask;
use super::{LENGTH_LEN, MAX_MESSAGE, MAX_PACKET, MessageError};

/// What no end of a tunnel would send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A reserved bit, or an opcode that is not known.
    #[error("reserved bits or an unknown opcode: {first:#04x}")]
    Reserved {
        /// The first byte of the frame.
        first: u8,
    },
    /// A message, or control frame, in several frames.
    #[error("a fragment of a message")]
    Fragment,
    /// A message of text.
    #[error("a message of text")]
    Text,
    /// A client that does not mask, or a server that does.
    #[error("the mask is missing, or is one too many")]
    Mask,
    /// A length that could have been said in fewer bytes.
    #[error("a length is not in its shortest form")]
    Length,
    /// A control frame of more than [`MAX_CONTROL`] bytes.
    #[error("a control frame is too long")]
    Control,
    /// The message.
    #[error(transparent)]
    Message(#[from] MessageError),
}

/// What is not packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// A Pong with these bytes is asked for.
    Ping(Vec<u8>),
    /// A sign of life.
    Pong,
    /// The other side is done.
    Close,
}

/// Packets, each behind its length, of which the last may not be whole yet.
#[derive(Debug, Default)]
pub struct Assembly {
    bytes: Vec<u8>,
    /// So many of the bytes are whole packets.
    whole: usize,
}

impl Assembly {
    /// Bytes of whole packets.
    pub fn whole(&self) -> usize {
        self.whole
    }

    /// Whether nothing more is taken until [`split`](Self::split).
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= MAX_MESSAGE
    }

    /// Whether it has memory to fill.
    pub fn has_memory(&self) -> bool {
        self.bytes.capacity() > 0
    }

    /// Gives it memory, in place of what it had.
    pub fn fill_within(&mut self, mut memory: Vec<u8>) {
        memory.clear();
        memory.extend_from_slice(&self.bytes);
        self.bytes = memory;
    }

    /// The whole packets. What is not whole goes on in other memory, which is asked for if need be.
    pub fn split(&mut self, memory: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
        let mut whole = std::mem::take(&mut self.bytes);
        let end = std::mem::take(&mut self.whole).min(whole.len());
        if end < whole.len() {
            self.bytes = memory();
            self.bytes.clear();
            self.bytes.extend_from_slice(&whole[end..]);
            whole.truncate(end);
        }
        whole
    }

    /// Appends what there is room for; how much that was.
    fn append(&mut self, piece: &[u8], mask: Option<&mut Mask>) -> Result<usize, MessageError> {
        let start = self.bytes.len();
        let count = piece.len().min(MAX_MESSAGE.saturating_sub(start));
        self.bytes.extend_from_slice(&piece[..count]);
        if let Some(mask) = mask {
            mask.apply(&mut self.bytes[start..]);
        }
        while let Some(length) = self.bytes[self.whole..].first_chunk::<LENGTH_LEN>() {
            let found = usize::from(u16::from_be_bytes(*length));
            if !(1..=MAX_PACKET).contains(&found) {
                return Err(MessageError::Packet { found });
            }
            let next = self.whole + LENGTH_LEN + found;
            if next > self.bytes.len() {
                break;
            }
            self.whole = next;
        }
        Ok(count)
    }

    fn ends_with_packet(&self) -> bool {
        self.whole == self.bytes.len()
    }
}

#[derive(Debug)]
enum State {
    /// In a header, of which so much is there.
    Header {
        bytes: [u8; MAX_HEADER],
        have: usize,
    },
    /// In a binary message with so much to come.
    Packets { left: usize, mask: Option<Mask> },
    /// In a control frame.
    Control {
        opcode: Opcode,
        payload: Vec<u8>,
        left: usize,
        mask: Option<Mask>,
    },
}

impl State {
    const BETWEEN_FRAMES: Self = Self::Header {
        bytes: [0; MAX_HEADER],
        have: 0,
    };
}

/// Takes frames apart as they arrive; see the top of this file.
#[derive(Debug)]
pub struct Decoder {
    role: Role,
    state: State,
}

impl Decoder {
    /// Decodes what comes to this end.
    pub fn new(role: Role) -> Self {
        let state = State::BETWEEN_FRAMES;
        Self { role, state }
    }

    /// Reads on: how many bytes were taken, and the control frame that they ended with, if any. All
    /// is taken but behind a control frame, and while the assembly [is full](Assembly::is_full).
    ///
    /// # Errors
    ///
    /// [`FrameError`], what is wrong; the tunnel is to be ended.
    pub fn read(
        &mut self,
        input: &[u8],
        assembly: &mut Assembly,
    ) -> Result<(usize, Option<Control>), FrameError> {
        let mut taken = 0;
        loop {
            let rest = &input[taken..];
            match &mut self.state {
                State::Header { bytes, have } => {
                    let Some(byte) = rest.first() else {
                        break;
                    };
                    bytes[*have] = *byte;
                    (taken, *have) = (taken + 1, *have + 1);
                    if let Some(next) = begin(self.role, &bytes[..*have])? {
                        self.state = next;
                    }
                }
                State::Packets { left: 0, .. } => {
                    if !assembly.ends_with_packet() {
                        return Err(MessageError::Truncated.into());
                    }
                    self.state = State::BETWEEN_FRAMES;
                }
                State::Packets { left, mask } => {
                    let piece = &rest[..rest.len().min(*left)];
                    let count = assembly.append(piece, mask.as_mut())?;
                    if count == 0 {
                        break;
                    }
                    (taken, *left) = (taken + count, *left - count);
                }
                State::Control {
                    opcode,
                    payload,
                    left: 0,
                    mask,
                } => {
                    if let Some(mask) = mask {
                        mask.apply(payload);
                    }
                    let payload = std::mem::take(payload);
                    let control = match opcode {
                        Opcode::Ping => Control::Ping(payload),
                        Opcode::Pong | Opcode::Binary => Control::Pong,
                        Opcode::Close => Control::Close,
                    };
                    self.state = State::BETWEEN_FRAMES;
                    return Ok((taken, Some(control)));
                }
                State::Control { payload, left, .. } => {
                    if rest.is_empty() {
                        break;
                    }
                    let count = rest.len().min(*left);
                    payload.extend_from_slice(&rest[..count]);
                    (taken, *left) = (taken + count, *left - count);
                }
            }
        }
        Ok((taken, None))
    }
}

/// What follows a header, if it is whole. Wrong ones are refused at the first byte that is.
fn begin(role: Role, header: &[u8]) -> Result<Option<State>, FrameError> {
    let &[first, ref rest @ ..] = header else {
        return Ok(None);
    };
    let opcode = opcode(first)?;
    let Some((&second, rest)) = rest.split_first() else {
        return Ok(None);
    };
    if (second & MASKED != 0) != (role == Role::Server) {
        return Err(FrameError::Mask);
    }
    let short = second & !MASKED;
    if opcode != Opcode::Binary && usize::from(short) > MAX_CONTROL {
        return Err(FrameError::Control);
    }
    let (left, rest) = match (short, rest) {
        (..LONG, rest) => (usize::from(short), rest),
        (LONG, [high, low, rest @ ..]) => {
            let left = usize::from(u16::from_be_bytes([*high, *low]));
            if left < usize::from(LONG) {
                return Err(FrameError::Length);
            }
            (left, rest)
        }
        (LONG, _) => return Ok(None),
        // Said in eight bytes: at least this much.
        (_, _) => {
            let found = usize::from(u16::MAX) + 1;
            return Err(MessageError::Message { found }.into());
        }
    };
    if left > MAX_MESSAGE {
        return Err(MessageError::Message { found: left }.into());
    }
    let mask = match (role, rest.first_chunk()) {
        (Role::Client, _) => None,
        (Role::Server, Some(key)) => Some(Mask::new(*key)),
        (Role::Server, None) => return Ok(None),
    };
    Ok(Some(match opcode {
        Opcode::Binary => State::Packets { left, mask },
        Opcode::Close | Opcode::Ping | Opcode::Pong => State::Control {
            opcode,
            payload: Vec::with_capacity(left),
            left,
            mask,
        },
    }))
}

fn opcode(first: u8) -> Result<Opcode, FrameError> {
    match (first & FIN != 0, first & !FIN) {
        (true, 2) => Ok(Opcode::Binary),
        (true, 8) => Ok(Opcode::Close),
        (true, 9) => Ok(Opcode::Ping),
        (true, 10) => Ok(Opcode::Pong),
        (true, 1) => Err(FrameError::Text),
        (false, 1 | 2 | 8 | 9 | 10) | (_, 0) => Err(FrameError::Fragment),
        (_, _) => Err(FrameError::Reserved { first }),
    }
}

#[cfg(test)]
mod tests;
