//! A socket of this host that leads to a service of the peer.

use std::io;
use std::sync::Arc;

use tokio::net::UdpSocket;
use tokio::task::{JoinHandle, JoinSet};

use super::MAX_FLOWS;
use super::event::Goal;
use super::link::Link;
use super::near;
use super::near_datagrams;
use super::place::Place;
use super::request::Request;
use super::service::ServiceName;
use super::socket::Listener;

/// Takes connections or datagrams until it is dropped, which also ends those under way.
#[derive(Debug)]
#[must_use = "dropping it ends it"]
pub struct Listening {
    place: Place,
    task: JoinHandle<()>,
}

impl Listening {
    /// Where it listens, with the port that the system chose for port 0.
    pub fn place(&self) -> &Place {
        &self.place
    }

    pub(crate) fn start(place: Place, work: impl Future<Output = ()> + Send + 'static) -> Self {
        let task = tokio::spawn(work);
        Self { place, task }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Listens on a socket of this host and carries what comes to a service of the peer. A datagram socket
/// leads to a service over UDP, a stream socket to one over TCP or a Unix socket.
///
/// It goes on listening while the peer is away: a connection made then waits 10 s for it at most and
/// is reset.
///
/// # Errors
///
/// [`io::Error`]: the socket cannot be had.
pub async fn listen(link: &Link, local: &Place, service: ServiceName) -> io::Result<Listening> {
    let link = link.clone();
    if let Place::Udp(local) = local {
        let socket = Arc::new(UdpSocket::bind(local).await?);
        let place = Place::Udp(socket.local_addr()?.to_string());
        let work = near_datagrams::run(socket, link, service);
        return Ok(Listening::start(place, work));
    }
    let listener = Listener::bind(local).await?;
    let place = listener.place()?;
    Ok(Listening::start(place, streams(listener, link, service)))
}

async fn streams(listener: Listener, link: Link, service: ServiceName) {
    let mut flows = JoinSet::new();
    loop {
        tokio::select! {
            // Further ones wait in the system's queue.
            (socket, from) = listener.accept(), if flows.len() < MAX_FLOWS => {
                let request = Request::Stream { service: service.clone() };
                let goal = Goal::Service(service.clone());
                flows.spawn(near::carry(link.clone(), request, goal, socket, from));
            }
            Some(_) = flows.join_next() => (),
        }
    }
}
