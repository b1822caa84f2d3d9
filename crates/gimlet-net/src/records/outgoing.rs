//! What is on its way to a stream: sealed, and not yet taken.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use gimlet_proto::tunnel::{AFTER, BEFORE, Frame};
use tokio::io::AsyncWrite;

use super::RecordError;
use super::key::Kind;
use super::keys::Keys;

/// A KeyUpdate that asks for none in return (RFC 8446 section 4.6.3).
const KEY_UPDATE: [u8; 5] = [24, 0, 0, 1, 0];

/// See the top of this file.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    bytes: Vec<u8>,
    /// What is before has been sent.
    at: usize,
    /// The other side has asked for another key; it gets one before what is sent next.
    pub(super) owes_update: bool,
    /// close_notify was put.
    closed: bool,
}

impl Outgoing {
    pub(super) fn put(&mut self, mut frame: Frame, keys: &mut Keys) -> Result<(), RecordError> {
        self.renew(keys)?;
        for section in frame.sections_mut() {
            keys.sending.seal(Kind::Data, section)?;
        }
        let (bytes, start) = frame.into_bytes();
        self.append(bytes, start);
        Ok(())
    }

    pub(super) fn put_copy(
        &mut self,
        kind: Kind,
        content: &[u8],
        keys: &mut Keys,
    ) -> Result<(), RecordError> {
        self.renew(keys)?;
        self.append(record(kind, content, keys)?, 0);
        Ok(())
    }

    /// Takes another key where one is due, and says so under the old one.
    fn renew(&mut self, keys: &mut Keys) -> Result<(), RecordError> {
        if self.owes_update || keys.sending.is_worn() {
            self.append(record(Kind::Handshake, &KEY_UPDATE, keys)?, 0);
            keys.update_sending()?;
            self.owes_update = false;
        }
        Ok(())
    }

    /// Nearly always there is nothing before it, and its memory is taken as it is.
    fn append(&mut self, bytes: Vec<u8>, start: usize) {
        match self.unsent() {
            0 => (self.bytes, self.at) = (bytes, start),
            _ => self.bytes.extend_from_slice(&bytes[start..]),
        }
    }

    pub(super) fn unsent(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(super) fn spent(&mut self) -> Option<Vec<u8>> {
        if self.unsent() > 0 || self.bytes.capacity() == 0 {
            return None;
        }
        self.at = 0;
        Some(std::mem::take(&mut self.bytes))
    }

    #[cfg(test)]
    pub(super) fn into_unsent(mut self) -> Vec<u8> {
        self.bytes.split_off(self.at)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    pub(super) fn poll_send<S: AsyncWrite>(
        &mut self,
        mut stream: Pin<&mut S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.unsent() > 0 {
            match ready!(stream.as_mut().poll_write(cx, &self.bytes[self.at..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.at += count,
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// A record of its own.
fn record(kind: Kind, content: &[u8], keys: &mut Keys) -> Result<Vec<u8>, RecordError> {
    let mut record = [&[0; BEFORE][..], content, &[0; AFTER]].concat();
    keys.sending.seal(kind, &mut record)?;
    Ok(record)
}
