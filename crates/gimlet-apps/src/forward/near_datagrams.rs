//! The side of the users, datagrams: a flow for each of their sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::MAX_FLOWS;
use super::carrier::Carrier;
use super::event::{Goal, Traffic};
use super::failure::FlowError;
use super::link::Link;
use super::request::Request;
use super::service::ServiceName;
use super::table::Table;

/// Silence both ways after which a flow is over: RFC 4787 (REQ-5) wants two minutes of a NAT, and this
/// is one. A sender that comes later gets a new flow.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// Flows of one socket; the one that was silent longest makes room. Half of what a peer has, so that
/// those which are ending don't keep new ones out.
const MAX_USERS: usize = MAX_FLOWS / 2;

/// Packets of a flow that may wait until it is open.
const MAX_WAITING: usize = 64;

/// Largest UDP packet there is.
pub(super) const MAX_PACKET: usize = 65_535;

/// Sorts what comes by sender, for ever.
pub(super) async fn run(socket: Arc<UdpSocket>, link: Link, service: ServiceName) {
    let mut flows: Table<SocketAddr, mpsc::Sender<Bytes>> = Table::new(MAX_USERS);
    let mut tasks = JoinSet::new();
    let mut buffer = vec![0; MAX_PACKET];
    loop {
        let received = tokio::select! {
            received = socket.recv_from(&mut buffer) => received,
            Some(_) = tasks.join_next() => continue,
        };
        // Errors are about what was sent before: a user's socket that is closed.
        let Ok((length, user)) = received else {
            continue;
        };
        let packet = Bytes::copy_from_slice(&buffer[..length]);
        let now = Instant::now().into_std();
        let packet = match flows.touch(now, &user) {
            Some(flow) => match flow.try_send(packet) {
                // A full queue loses it.
                Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => continue,
                Err(mpsc::error::TrySendError::Closed(packet)) => packet,
            },
            None => packet,
        };
        let (flow, packets) = mpsc::channel(MAX_WAITING);
        // Empty as it is, it has room.
        let _ = flow.try_send(packet);
        // Dropping the one that makes room ends its flow.
        flows.insert(now, user, flow);
        tasks.spawn(carry(
            socket.clone(),
            user,
            packets,
            link.clone(),
            service.clone(),
        ));
    }
}

/// Carries the packets of one user, and announces it.
async fn carry(
    socket: Arc<UdpSocket>,
    user: SocketAddr,
    packets: mpsc::Receiver<Bytes>,
    link: Link,
    service: ServiceName,
) {
    let Ok(peer) = link.known().await else {
        return;
    };
    let goal = Goal::Service(service.clone());
    let open = (link.announcer()).opened(peer, goal, true, Some(user.to_string()));
    let mut traffic = Traffic::default();
    let ended = exchange(&socket, user, packets, &link, service, &mut traffic).await;
    open.closed(traffic, ended);
}

async fn exchange(
    socket: &UdpSocket,
    user: SocketAddr,
    mut packets: mpsc::Receiver<Bytes>,
    link: &Link,
    service: ServiceName,
    traffic: &mut Traffic,
) -> Result<(), FlowError> {
    let session = link.session().await?;
    let request = |flow| Request::Datagrams { service, flow };
    let mut carrier = Carrier::open(session, request).await?;
    let mut idle_at = Instant::now() + IDLE_TIMEOUT;
    loop {
        tokio::select! {
            packet = packets.recv() => {
                let Some(packet) = packet else { return Ok(()) };
                carrier.send(&packet);
                traffic.sent += packet.len() as u64;
                traffic.dropped = carrier.dropped();
            }
            packet = carrier.recv() => {
                let Some(packet) = packet? else { return Ok(()) };
                // What the user's socket does not take is lost.
                let _ = socket.send_to(&packet, user).await;
                traffic.received += packet.len() as u64;
            }
            () = sleep_until(idle_at) => return Ok(()),
        }
        idle_at = Instant::now() + IDLE_TIMEOUT;
    }
}
