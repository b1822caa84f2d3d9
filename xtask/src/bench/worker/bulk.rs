//! Streams at full speed, the same over every kind of connection.

use std::time::Instant;

use anyhow::ensure;

/// Bytes of one write.
const BUFFER: usize = 64 * 1024;

/// Sends `bytes` in all on so many streams at once and waits until the receiver has counted them; the
/// seconds that took.
pub(super) async fn send(
    connection: &quinn::Connection,
    bytes: u64,
    streams: u8,
) -> anyhow::Result<f64> {
    let started = Instant::now();
    let each = bytes / u64::from(streams.max(1));
    let sending: Vec<_> = (0..streams.max(1))
        .map(|_| tokio::spawn(send_one(connection.clone(), each)))
        .collect();
    for one in sending {
        one.await??;
    }
    Ok(started.elapsed().as_secs_f64())
}

async fn send_one(connection: quinn::Connection, bytes: u64) -> anyhow::Result<()> {
    let (mut send, mut recv) = connection.open_bi().await?;
    let buffer = vec![0x5a; BUFFER];
    let mut left = bytes;
    while left > 0 {
        let now = left.min(BUFFER as u64);
        send.write_all(&buffer[..now as usize]).await?;
        left -= now;
    }
    send.finish()?;
    let counted = recv.read_to_end(8).await?;
    ensure!(counted == bytes.to_be_bytes(), "not every byte arrived");
    Ok(())
}

/// Takes streams and answers each with its length, until the connection ends.
pub(super) async fn drain(connection: quinn::Connection) {
    while let Ok((send, recv)) = connection.accept_bi().await {
        tokio::spawn(drain_one(send, recv));
    }
}

async fn drain_one(mut send: quinn::SendStream, mut recv: quinn::RecvStream) {
    let mut bytes = 0u64;
    while let Ok(Some(chunk)) = recv.read_chunk(usize::MAX, true).await {
        bytes += chunk.bytes.len() as u64;
    }
    // A sender that is gone does not wait for it.
    let _ = send.write_all(&bytes.to_be_bytes()).await;
    let _ = send.finish();
}
