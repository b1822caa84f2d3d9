//! How TCP is told to treat what a tunnel sends.

use std::io;

use tokio::net::TcpStream;

/// Bytes that the system may hold which it has not sent yet: what leaves in 10 ms at 100 Mbit/s, and two
/// whole messages, so that it never runs dry between two writes. What is beyond waits in the
/// [`Outbox`](super::Outbox), which drops the oldest; the system drops nothing and would let megabytes
/// grow old.
pub const MAX_UNSENT: u32 = 128 * 1024;

/// Has a connection send at once what it is given, and take no more than it can send soon. The second
/// only where the system can be told (Linux, Android).
///
/// # Errors
///
/// What the system says.
pub fn prepare(tcp: &TcpStream) -> io::Result<()> {
    // Packets are joined where they wait; the system must not hold them back as well.
    tcp.set_nodelay(true)?;
    #[cfg(any(target_os = "android", target_os = "linux"))]
    socket2::SockRef::from(tcp).set_tcp_notsent_lowat(MAX_UNSENT)?;
    Ok(())
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// Bytes that a connection takes while nobody reads at its other end.
    async fn taken(prepared: bool) -> usize {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tcp = TcpStream::connect(listener.local_addr().unwrap()).await;
        let tcp = tcp.unwrap();
        let (other, _) = listener.accept().await.unwrap();
        // What has left the sender is small and the same for both.
        let other = socket2::SockRef::from(&other);
        other.set_recv_buffer_size(4096).unwrap();
        // As far as the system's own growth would go on a fast line.
        let system = socket2::SockRef::from(&tcp);
        system.set_send_buffer_size(4 << 20).unwrap();
        if prepared {
            prepare(&tcp).unwrap();
            assert_eq!(system.tcp_notsent_lowat().unwrap(), MAX_UNSENT);
            assert!(tcp.nodelay().unwrap());
        }
        tcp.writable().await.unwrap();
        let (block, mut taken) = ([0; 4096], 0);
        while let Ok(count) = tcp.try_write(&block) {
            taken += count;
        }
        taken
    }

    #[tokio::test]
    async fn the_system_holds_little_that_it_cannot_send() {
        let (prepared, as_it_comes) = (taken(true).await, taken(false).await);
        // Above the limit, what the other end took and one piece of a write.
        let most = 4 * MAX_UNSENT as usize;
        assert!(prepared <= most, "{prepared}");
        assert!(as_it_comes > 2 * most, "{as_it_comes}");
    }
}
