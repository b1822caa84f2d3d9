//! What the system dropped from a socket because its receive buffer was full.

use std::io;
use std::sync::Arc;

use socket2::Socket;

/// Tells how many datagrams a socket has lost. Holds the socket open.
#[derive(Debug, Clone)]
pub struct Drops {
    #[cfg_attr(
        not(target_os = "linux"),
        expect(dead_code, reason = "only Linux tells")
    )]
    socket: Arc<Socket>,
}

impl Drops {
    pub(super) fn of(socket: &Socket) -> io::Result<Self> {
        let socket = Arc::new(socket.try_clone()?);
        Ok(Self { socket })
    }

    /// Since the socket was opened, modulo 2^32; `None` where the system does not tell. What it joined (GRO)
    /// counts once. One system call, whatever else is open on this host.
    #[cfg(target_os = "linux")]
    #[allow(unsafe_code, reason = "no crate wraps this socket option")]
    pub fn total(&self) -> Option<u32> {
        use std::os::fd::AsRawFd;

        // `SK_MEMINFO_DROPS` of linux/sock_diag.h, and what comes after it.
        const DROPS: usize = 8;
        const FIELDS: usize = 9;
        let mut info = [0_u32; FIELDS];
        let size = size_of_val(&info) as libc::socklen_t;
        let mut length = size;
        // SAFETY: the descriptor is open as long as `self` is, `info` is `length` bytes that may be written, and
        // the call keeps neither pointer.
        let failed = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_MEMINFO,
                info.as_mut_ptr().cast(),
                &mut length,
            )
        };
        (failed == 0 && length == size).then_some(info[DROPS])
    }

    /// Since the socket was opened, modulo 2^32; `None` where the system does not tell.
    #[cfg(not(target_os = "linux"))]
    pub fn total(&self) -> Option<u32> {
        None
    }
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn what_a_full_buffer_does_not_take_is_counted() {
        let socket = Socket::from(UdpSocket::bind("127.0.0.1:0").unwrap());
        let drops = Drops::of(&socket).unwrap();
        assert_eq!(drops.total(), Some(0));
        socket.set_recv_buffer_size(4096).unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = socket.local_addr().unwrap().as_socket().unwrap();
        for _ in 0..100 {
            sender.send_to(&[0; 1000], to).unwrap();
        }
        socket.set_nonblocking(true).unwrap();
        let mut kept = 0;
        while socket
            .recv(&mut [std::mem::MaybeUninit::uninit(); 1000])
            .is_ok()
        {
            kept += 1;
        }
        assert!(kept < 100);
        assert_eq!(drops.total(), Some(100 - kept));
    }
}
