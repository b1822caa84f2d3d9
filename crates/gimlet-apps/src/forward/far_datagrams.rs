//! The side of the services, datagrams: a socket for each flow.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until, timeout};

use super::carrier::Carrier;
use super::destination::{Destination, Host};
use super::event::{Goal, Traffic};
use super::exit::Exit;
use super::exposed::Exposed;
use super::failure::FlowError;
use super::link::Session;
use super::near_datagrams::{IDLE_TIMEOUT, MAX_PACKET};
use super::place::Place;
use super::request::{FlowId, READY};
use super::service::ServiceName;
use super::splice::Stream;
use super::table::Table;

/// Hosts of which a flow to several destinations takes answers: those it spoke to last, as a NAT that
/// filters by address.
const MAX_CORRESPONDENTS: usize = 256;

/// Names that such a flow remembers the addresses of.
const MAX_NAMES: usize = 64;

/// How long a name may take; the packets behind it wait.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves a flow to a service, to its end.
pub(super) async fn to_service(
    exposed: &Exposed,
    session: Session,
    service: ServiceName,
    flow: FlowId,
    mut stream: Stream,
) {
    let peer = session.connection.peer();
    let open = (exposed.announcer()).opened(peer, Goal::Service(service.clone()), true, None);
    let mut traffic = Traffic::default();
    let begun = async {
        let place = exposed.place(peer, &service)?;
        let socket = socket_to(place).await?;
        Ok((socket, begin(&session, flow, &mut stream).await?))
    };
    let ended = match begun.await {
        Ok((socket, enrolled)) => {
            let carrier = Carrier::answer(session.connection, enrolled, stream);
            with_service(&socket, carrier, &mut traffic).await
        }
        Err(failure) => {
            stream.abort(&failure);
            Err(failure)
        }
    };
    open.closed(traffic, ended);
}

/// Takes the flow's place, then tells the peer: its datagrams come right after.
async fn begin(
    session: &Session,
    flow: FlowId,
    stream: &mut Stream,
) -> Result<super::exchange::Enrolled, FlowError> {
    let enrolled = session.exchange.enroll(flow)?;
    stream.send.write_all(&[READY]).await?;
    Ok(enrolled)
}

async fn socket_to(place: &Place) -> Result<UdpSocket, FlowError> {
    let Place::Udp(place) = place else {
        return Err(FlowError::NotServed);
    };
    let found = tokio::net::lookup_host(place).await;
    let mut addrs = found.map_err(|_| FlowError::Unresolved)?;
    let addr = addrs.next().ok_or(FlowError::Unresolved)?;
    let socket = UdpSocket::bind(unspecified(addr)).await;
    let socket = socket.map_err(|_| FlowError::Unreachable)?;
    let connected = socket.connect(addr).await;
    connected.map_err(|_| FlowError::Unreachable)?;
    Ok(socket)
}

fn unspecified(like: SocketAddr) -> SocketAddr {
    let ip: IpAddr = match like {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    SocketAddr::new(ip, 0)
}

async fn with_service(
    socket: &UdpSocket,
    mut carrier: Carrier,
    traffic: &mut Traffic,
) -> Result<(), FlowError> {
    let mut buffer = vec![0; MAX_PACKET];
    let mut idle_at = Instant::now() + IDLE_TIMEOUT;
    loop {
        tokio::select! {
            packet = carrier.recv() => {
                let Some(packet) = packet? else { return Ok(()) };
                // A service that is not there now may be at the next packet.
                let _ = socket.send(&packet).await;
                traffic.received += packet.len() as u64;
                idle_at = Instant::now() + IDLE_TIMEOUT;
            }
            // Errors are about what was sent before: nobody listens there.
            Ok(length) = socket.recv(&mut buffer) => {
                carrier.send(&buffer[..length]);
                traffic.sent += length as u64;
                traffic.dropped = carrier.dropped();
                idle_at = Instant::now() + IDLE_TIMEOUT;
            }
            () = sleep_until(idle_at) => return Ok(()),
        }
    }
}

/// Serves a flow to whatever destinations its packets name, to its end.
pub(super) async fn to_destinations(
    exposed: &Exposed,
    session: Session,
    flow: FlowId,
    mut stream: Stream,
) {
    let peer = session.connection.peer();
    let open = exposed
        .announcer()
        .opened(peer, Goal::Destinations, true, None);
    let mut traffic = Traffic::default();
    let begun = async {
        let exit = exposed.exit_of(peer)?;
        let sockets = Sockets::bind().await?;
        Ok((exit, sockets, begin(&session, flow, &mut stream).await?))
    };
    let ended = match begun.await {
        Ok((exit, sockets, enrolled)) => {
            let carrier = Carrier::answer(session.connection, enrolled, stream);
            let mut outside = Outside::new(exit, sockets);
            outside.run(carrier, &mut traffic).await
        }
        Err(failure) => {
            stream.abort(&failure);
            Err(failure)
        }
    };
    open.closed(traffic, ended);
}

/// One socket a family, as far as the host has it.
struct Sockets {
    v4: Option<UdpSocket>,
    v6: Option<UdpSocket>,
}

impl Sockets {
    async fn bind() -> Result<Self, FlowError> {
        let v4 = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await.ok();
        let v6 = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).await.ok();
        match v4.is_some() || v6.is_some() {
            true => Ok(Self { v4, v6 }),
            false => Err(FlowError::Unreachable),
        }
    }

    fn towards(&self, addr: SocketAddr) -> Option<&UdpSocket> {
        match addr {
            SocketAddr::V4(_) => self.v4.as_ref(),
            SocketAddr::V6(_) => self.v6.as_ref(),
        }
    }
}

/// What a flow to several destinations knows of the world outside.
struct Outside<'a> {
    exit: &'a Exit,
    sockets: Sockets,
    correspondents: Table<SocketAddr, ()>,
    names: Table<(String, u16), SocketAddr>,
}

impl<'a> Outside<'a> {
    fn new(exit: &'a Exit, sockets: Sockets) -> Self {
        Self {
            exit,
            sockets,
            correspondents: Table::new(MAX_CORRESPONDENTS),
            names: Table::new(MAX_NAMES),
        }
    }

    async fn run(&mut self, mut carrier: Carrier, traffic: &mut Traffic) -> Result<(), FlowError> {
        let (mut buffer_v4, mut buffer_v6) = (vec![0; MAX_PACKET], vec![0; MAX_PACKET]);
        let mut packet_out = Vec::new();
        let mut refused = 0;
        loop {
            let (from, data) = tokio::select! {
                packet = carrier.recv() => {
                    let Some(packet) = packet? else { return Ok(()) };
                    traffic.received += packet.len() as u64;
                    refused += u64::from(!self.send(&packet).await);
                    traffic.dropped = refused + carrier.dropped();
                    continue;
                }
                (length, from) = receive(&self.sockets.v4, &mut buffer_v4) => {
                    (from, &buffer_v4[..length])
                }
                (length, from) = receive(&self.sockets.v6, &mut buffer_v6) => {
                    (from, &buffer_v6[..length])
                }
            };
            // Who was not spoken to is not listened to.
            if self.correspondents.touch(now(), &from).is_none() {
                continue;
            }
            packet_out.clear();
            Destination::from(from).encode(&mut packet_out);
            packet_out.extend_from_slice(data);
            carrier.send(&packet_out);
            traffic.sent += data.len() as u64;
            traffic.dropped = refused + carrier.dropped();
        }
    }

    /// Sends a packet where it says; whether it may go there.
    async fn send(&mut self, packet: &Bytes) -> bool {
        let Some((destination, data)) = Destination::decode(packet) else {
            return false;
        };
        let Some(addr) = self.find(destination).await else {
            return false;
        };
        let Some(socket) = self.sockets.towards(addr) else {
            return false;
        };
        self.correspondents.insert(now(), addr, ());
        socket.send_to(data, addr).await.is_ok()
    }

    async fn find(&mut self, destination: Destination) -> Option<SocketAddr> {
        let name = match &destination.host {
            Host::Ip(_) => None,
            Host::Name(name) => Some((name.clone(), destination.port)),
        };
        if let Some(&mut known) = name.as_ref().and_then(|name| self.names.touch(now(), name)) {
            return Some(known);
        }
        let found = timeout(LOOKUP_TIMEOUT, self.exit.find(&destination)).await;
        let addrs = found.ok()?.ok()?;
        let usable = |addr: &SocketAddr| self.sockets.towards(*addr).is_some();
        let addr = addrs.into_iter().find(usable)?;
        if let Some(name) = name {
            self.names.insert(now(), name, addr);
        }
        Some(addr)
    }
}

/// The next packet; never where there is no socket. Errors are about what was sent before.
async fn receive(socket: &Option<UdpSocket>, buffer: &mut [u8]) -> (usize, SocketAddr) {
    let Some(socket) = socket else {
        return std::future::pending().await;
    };
    loop {
        if let Ok(received) = socket.recv_from(buffer).await {
            return received;
        }
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}
