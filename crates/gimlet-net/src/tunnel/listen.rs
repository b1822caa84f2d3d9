//! Where tunnels come in.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// Connections that the system keeps until the server looks at them.
const BACKLOG: i32 = 1024;

/// Listens for TCP. An unspecified IPv6 address takes IPv4 as well.
///
/// # Errors
///
/// What the system says; [`io::ErrorKind::AddrInUse`] when the port is taken.
///
/// # Panics
///
/// Outside a tokio runtime.
pub fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // A server that was stopped leaves connections behind that would keep its port for a minute.
    socket.set_reuse_address(cfg!(unix))?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
