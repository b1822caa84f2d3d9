//! One stream at full speed, the same over every kind of connection.

use std::time::Instant;

use anyhow::ensure;

/// Bytes of one write.
const BUFFER: usize = 64 * 1024;

/// Sends `bytes` on a stream and waits until the receiver has counted them; the seconds that took.
pub(super) async fn send(connection: &quinn::Connection, bytes: u64) -> anyhow::Result<f64> {
    let connection = connection.clone();
    // A task, because the future that a pool's caller waits for is not run by the pool.
    tokio::spawn(async move {
        let (mut send, mut recv) = connection.open_bi().await?;
        let buffer = vec![0x5a; BUFFER];
        let started = Instant::now();
        let mut left = bytes;
        while left > 0 {
            let now = left.min(BUFFER as u64);
            send.write_all(&buffer[..now as usize]).await?;
            left -= now;
        }
        send.finish()?;
        let counted = recv.read_to_end(8).await?;
        ensure!(counted == bytes.to_be_bytes(), "not every byte arrived");
        Ok(started.elapsed().as_secs_f64())
    })
    .await?
}

/// Takes streams and answers each with its length, until the connection ends.
pub(super) async fn drain(connection: quinn::Connection) {
    while let Ok((mut send, mut recv)) = connection.accept_bi().await {
        let mut bytes = 0u64;
        while let Ok(Some(chunk)) = recv.read_chunk(usize::MAX, true).await {
            bytes += chunk.bytes.len() as u64;
        }
        // A sender that is gone does not wait for it.
        let _ = send.write_all(&bytes.to_be_bytes()).await;
        let _ = send.finish();
    }
}
