//! Real UDP sockets as quinn wants them.

mod drops;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use quinn::{AsyncUdpSocket, Runtime, TokioRuntime};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::runtime::Handle;

pub use drops::Drops;

/// Kernel buffer asked for each way: some 20 ms at 3 Gbit/s. The system may give less.
const KERNEL_BUFFER: usize = 8 << 20;

/// Of a socket for one sender, which has nobody's bursts to take but that one's.
#[cfg(target_os = "linux")]
const ASIDE_BUFFER: usize = 2 << 20;

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
    let socket = open(addr, dual_stack)?;
    socket.bind(&addr.into())?;
    TokioRuntime.wrap_udp_socket(socket.into())
}

/// Binds a UDP socket for each of these runtimes, all to one address, each with what tells its losses. The system spreads
/// senders over them, each sender always to the same one. Systems other than Linux give one socket, for the first: only there
/// `SO_REUSEPORT` spreads.
///
/// # Errors
///
/// As [`bind`]: also if another process shares the port in the same way.
pub fn bind_shards(
    addr: SocketAddr,
    dual_stack: bool,
    runtimes: &[Handle],
) -> io::Result<Vec<(Arc<dyn AsyncUdpSocket>, Drops)>> {
    let first = open(addr, dual_stack)?;
    first.bind(&addr.into())?;
    let mut sockets = vec![first];
    // After it was bound: so it took a port that nobody shares, and shares it from now on, be it with
    // nothing but what `bind_aside` binds.
    #[cfg(target_os = "linux")]
    {
        sockets[0].set_reuse_port(true)?;
        let here = sockets[0].local_addr()?;
        for _ in 1..runtimes.len() {
            let further = open(addr, dual_stack)?;
            further.set_reuse_port(true)?;
            further.bind(&here)?;
            sockets.push(further);
        }
    }
    let registered = sockets.into_iter().zip(runtimes);
    registered
        .map(|(socket, runtime)| {
            let _entered = runtime.enter();
            counted(socket)
        })
        .collect()
}

/// A socket, and what tells its losses.
fn counted(socket: Socket) -> io::Result<(Arc<dyn AsyncUdpSocket>, Drops)> {
    let drops = Drops::of(&socket)?;
    Ok((TokioRuntime.wrap_udp_socket(socket.into())?, drops))
}

/// Binds one more socket to the address of [`bind_shards`], for what comes from `peer` alone: a receive buffer that
/// only `peer` can fill. `here` is of the same family as the sockets there, with the address that `peer` sends to.
///
/// # Errors
///
/// What the system says; [`io::ErrorKind::Unsupported`] on systems other than Linux.
///
/// # Panics
///
/// Outside a tokio runtime.
pub fn bind_aside(
    here: SocketAddr,
    peer: SocketAddr,
) -> io::Result<(Arc<dyn AsyncUdpSocket>, Drops)> {
    #[cfg(target_os = "linux")]
    {
        let socket = open(here, true)?;
        socket.set_recv_buffer_size(ASIDE_BUFFER)?;
        socket.set_reuse_port(true)?;
        // Between these two it gets what comes from others too, for a microsecond.
        socket.bind(&here.into())?;
        socket.connect(&peer.into())?;
        counted(socket)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (here, peer);
        Err(io::ErrorKind::Unsupported.into())
    }
}

fn open(addr: SocketAddr, dual_stack: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(!dual_stack)?;
    }
    for grow in [Socket::set_recv_buffer_size, Socket::set_send_buffer_size] {
        if let Err(error) = grow(&socket, KERNEL_BUFFER) {
            tracing::debug!(%error, "socket buffer stays at the system's default");
        }
    }
    Ok(socket)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn shards_share_a_port_that_nobody_else_gets() {
        let addr = SocketAddr::from(([127, 0, 0, 1], 0));
        let runtimes = [(); 3].map(|()| Handle::current());
        let shards = bind_shards(addr, false, &runtimes).unwrap();
        let here = shards[0].0.local_addr().unwrap();
        assert!(
            shards
                .iter()
                .all(|(shard, _)| shard.local_addr().unwrap() == here)
        );
        assert_eq!(shards.len(), if cfg!(target_os = "linux") { 3 } else { 1 });
        for count in [1, 2] {
            let error = bind_shards(here, false, &runtimes[..count]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_socket_aside_gets_what_its_peer_sends_and_nothing_else() {
        for (listen, mapped) in [("127.0.0.1:0", false), ("[::]:0", true)] {
            let runtimes = [(); 2].map(|()| Handle::current());
            let Ok(shards) = bind_shards(listen.parse().unwrap(), true, &runtimes) else {
                panic!("{listen}: not even loopback");
            };
            let port = shards[0].0.local_addr().unwrap().port();
            let on_wire = std::net::Ipv4Addr::LOCALHOST;
            let seen = |ip: std::net::Ipv4Addr| match mapped {
                true => ip.to_ipv6_mapped().into(),
                false => std::net::IpAddr::from(ip),
            };
            let bind = || std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            let (loud, other) = (bind(), bind());
            let peer = SocketAddr::new(seen(on_wire), loud.local_addr().unwrap().port());
            let (aside, _) = bind_aside(SocketAddr::new(seen(on_wire), port), peer).unwrap();
            other.send_to(b"other", (on_wire, port)).unwrap();
            loud.send_to(b"loud", (on_wire, port)).unwrap();
            let mut buffer = [0; 64];
            let mut meta = [quinn::udp::RecvMeta::default()];
            let mut bufs = [io::IoSliceMut::new(&mut buffer)];
            let received =
                std::future::poll_fn(|cx| aside.poll_recv(cx, &mut bufs, &mut meta)).await;
            assert_eq!(received.unwrap(), 1);
            assert_eq!((meta[0].addr, &buffer[..meta[0].len]), (peer, &b"loud"[..]));
        }
    }
}
