//! Starting a server: its tasks, and the channels between them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use gimlet_proto::relay::Relay;
use gimlet_proto::rendezvous::Rendezvous;
use quinn::AsyncUdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time;

use super::pumps::Pumps;
use super::running::Running;
use super::{RunError, Server, quic};
use crate::control::{self, Control};
use crate::discovery::{Corner, Corners};
use crate::door::Door;
use crate::names::NameFile;
use crate::quic_socket::QuicSocket;
use crate::responder::{self, Responder};
use crate::rounds::Rounds;
use crate::sockets::Sockets;
use crate::tunnel::{Listener, Tunnels};

impl Server {
    pub(super) fn start(self) -> Result<Running, RunError> {
        let now = time::Instant::now().into_std();
        let counters = self.handle.counters.clone();
        let mut tasks = JoinSet::new();
        let mut sockets = self.sockets;
        if let Some((tcp, tls)) = self.tcp {
            let tunnels = Tunnels::new(counters.clone());
            sockets = sockets.with_tunnels(&tunnels);
            let listener = Listener::new(tcp, tls, tunnels, &self.config, counters.clone());
            tasks.spawn(listener.run());
        }
        let mut config = self.config;
        config.rendezvous.access = self.access;
        let alt_port = sockets.alt.as_ref().and_then(|alt| alt.local_addr().ok());
        config.rendezvous.stun_ports = alt_port.iter().map(SocketAddr::port).collect();

        let corners = Corners::new(&sockets).map_err(RunError::Socket)?;
        let corners = Arc::new(corners);
        let responder = |corner| Responder::new(&config, corner, corners.clone(), counters.clone());
        for (socket, corner) in beside_main(&sockets) {
            let responder = responder(corner);
            tasks.spawn(responder::serve(socket, responder, counters.clone()));
        }
        let responder = responder(Corner::MAIN);

        let (quic_socket, quic) = QuicSocket::new(sockets.main.clone());
        let endpoint = quic::endpoint(&self.identity, self.tls, &config, quic_socket)?;
        let (control, inputs) = mpsc::channel(control::QUEUE);
        let (commands, relay_commands) = mpsc::channel(control::QUEUE);
        let (relay_events, ended) = mpsc::channel(control::QUEUE);
        let pumps = Pumps {
            sockets,
            seats: self.seats,
            local: self.local,
            quic,
            relay: Relay::new(config.relay.clone(), rand::random(), now),
            commands: relay_commands,
            events: relay_events,
            responder,
            counters: counters.clone(),
        };
        pumps.start(&mut tasks, now);

        let (names, writer) = self.names.map(NameFile::spawn_writer).unzip();
        let door = Door::new(&config, endpoint.clone(), control.clone(), counters.clone());
        let control_task = Control {
            rendezvous: Rendezvous::new(config.rendezvous, self.stored, unix_s(), now),
            inputs,
            relay: commands,
            relay_events: ended,
            names,
            events: self.handle.events,
            stats: self.handle.stats,
            limits: self.handle.limits.subscribe(),
            counters,
            links: BTreeMap::new(),
            rounds: Rounds::new(now),
        };
        let mut sessions = JoinSet::new();
        sessions.spawn(control_task.run());
        sessions.spawn(door.run());
        Ok(Running {
            endpoint,
            control,
            tasks,
            sessions,
            writer,
        })
    }
}

/// The sockets that answer STUN and nothing else.
fn beside_main(sockets: &Sockets) -> Vec<(Arc<dyn AsyncUdpSocket>, Corner)> {
    let alt = sockets.alt.iter().map(|alt| (alt.clone(), Corner::ALT));
    let mut beside: Vec<_> = alt.collect();
    let second = sockets.second.as_ref();
    if let Some([main, alt]) = second.and_then(|second| second.sockets.clone()) {
        let there = |corner| Corner {
            address: 1,
            ..corner
        };
        beside.extend([(main, there(Corner::MAIN)), (alt, there(Corner::ALT))]);
    }
    beside
}

fn unix_s() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
