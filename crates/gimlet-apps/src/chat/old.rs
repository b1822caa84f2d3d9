//! `gimlet/chat/1`: a conversation, a line at a time.
//!
//! The dialer opens one bidirectional stream. Each side sends records: kind (one byte), length (two
//! bytes, big-endian), then that many bytes.
//!
//! | kind | meaning | bytes |
//! | --- | --- | --- |
//! | 0 | hello, first record of each side | the name to show, UTF-8, may be empty |
//! | 1 | a line | UTF-8 without the line end |
//!
//! Records of unknown kinds are skipped. Finishing the stream is leaving; the other side, once it has
//! read everything, finishes too, and then either may close the connection.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};




/// Longest line sent, in bytes: a screenful, far below the 65,535 a record can hold.
pub const MAX_LINE: usize = 16 * 1024;

const HELLO: u8 = 0;
const LINE: u8 = 1;

/// What the other side said.
#[derive(Debug, PartialEq, Eq)]
pub enum Record {
    /// How it wants to be shown. Nothing vouches for this name; the server's does.
    Hello(String),
    /// A line.
    Line(String),
}

/// Says hello: the first record of each side.
pub async fn hello<W: AsyncWrite + Unpin>(send: &mut W, name: &str) -> io::Result<()> {
    write(send, HELLO, name).await
}

/// Sends a line, in pieces if it is longer than [`MAX_LINE`].
pub async fn line<W: AsyncWrite + Unpin>(send: &mut W, text: &str) -> io::Result<()> {
    let mut rest = text;
    loop {
        let (piece, more) = rest.split_at(fitting(rest));
        write(send, LINE, piece).await?;
        if more.is_empty() {
            return Ok(());
        }
        rest = more;
    }
}

async fn write<W: AsyncWrite + Unpin>(send: &mut W, kind: u8, text: &str) -> io::Result<()> {
    let text = &text.as_bytes()[..fitting(text)];
    let mut record = Vec::with_capacity(3 + text.len());
    record.push(kind);
    record.extend_from_slice(&(text.len() as u16).to_be_bytes());
    record.extend_from_slice(text);
    send.write_all(&record).await
}

/// How many bytes of the text fit in a record, cut between characters.
fn fitting(text: &str) -> usize {
    let mut end = text.len().min(MAX_LINE);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    end
}

/// Reads the next record; `None` when the other side has left. Not cancel safe: give it a task.
pub async fn read<R: AsyncRead + Unpin>(recv: &mut R) -> io::Result<Option<Record>> {
    loop {
        let mut kind = [0];
        if recv.read(&mut kind).await? == 0 {
            return Ok(None);
        }
        let length = recv.read_u16().await?;
        let mut bytes = vec![0; usize::from(length)];
        recv.read_exact(&mut bytes).await?;
        let text = || String::from_utf8_lossy(&bytes).into_owned();
        match kind[0] {
            HELLO => return Ok(Some(Record::Hello(text()))),
            LINE => return Ok(Some(Record::Line(text()))),
            _ => (),
        }
    }
}

