//! Real UDP sockets as quinn wants them.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use quinn::{AsyncUdpSocket, Runtime, TokioRuntime};
use socket2::{Domain, Protocol, Socket, Type};

/// Kernel buffer asked for each way: some 20 ms at 3 Gbit/s. The system may give less.
const KERNEL_BUFFER: usize = 8 << 20;

/// Binds a UDP socket. An unspecified IPv6 address takes IPv4 as well if `dual_stack`.
///
/// # Errors
///
/// What the system says; [`io::ErrorKind::AddrInUse`] when the port is taken.
///
/// # Panics
///
/// Outside a tokio runtime.
pub fn bind(addr: SocketAddr, dual_stack: bool) -> io::Result<Arc<dyn AsyncUdpSocket>> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(!dual_stack)?;
    }
    for grow in [Socket::set_recv_buffer_size, Socket::set_send_buffer_size] {
        if let Err(error) = grow(&socket, KERNEL_BUFFER) {
            tracing::debug!(%error, "socket buffer stays at the system's default");
        }
    }
    socket.bind(&addr.into())?;
    TokioRuntime.wrap_udp_socket(socket.into())
}

/// The sockets of a peer: IPv4, and IPv6 where the system has it, on the same port if it is free.
///
/// # Errors
///
/// When not even the IPv4 socket can be had.
///
/// # Panics
///
/// Outside a tokio runtime.
pub fn bind_peer(port: u16) -> io::Result<Vec<Arc<dyn AsyncUdpSocket>>> {
    let v4 = bind((Ipv4Addr::UNSPECIFIED, port).into(), false)?;
    let port = v4.local_addr()?.port();
    let v6 = bind((Ipv6Addr::UNSPECIFIED, port).into(), false)
        .or_else(|_| bind((Ipv6Addr::UNSPECIFIED, 0).into(), false));
    match v6 {
        Ok(v6) => Ok(vec![v4, v6]),
        Err(error) => {
            tracing::debug!(%error, "no IPv6 here");
            Ok(vec![v4])
        }
    }
}
