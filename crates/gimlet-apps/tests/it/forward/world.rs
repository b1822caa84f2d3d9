//! A host with services, a host that uses them, and the sockets at both ends.

use std::sync::Arc;

use gimlet::Endpoint;
use gimlet_apps::forward::{self, Event, Exposed, FlowError, Link, Listening, Place, Traffic};
use gimlet_apps::{Router, forward::Goal};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

use crate::support::{peer, server};

/// Both hosts, joined.
pub(crate) struct World {
    pub(crate) link: Link,
    pub(crate) exposed: Arc<Exposed>,
    _serving: Serving,
}

/// An endpoint that serves until this is dropped.
pub(crate) struct Serving {
    pub(crate) endpoint: Endpoint,
    task: JoinHandle<()>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers for what is exposed.
pub(crate) fn serve(endpoint: Endpoint, exposed: &Arc<Exposed>) -> Serving {
    let router = router(exposed.clone());
    let serving = endpoint.clone();
    let task = tokio::spawn(async move { router.serve(&serving).await });
    Serving { endpoint, task }
}

pub(crate) fn router(exposed: Arc<Exposed>) -> Router {
    Router::new().on(forward::ALPN, move |connection| {
        exposed.clone().serve(connection)
    })
}

impl World {
    pub(crate) async fn new(exposed: Exposed) -> Self {
        let server = server();
        let exposed = Arc::new(exposed);
        let alpns = router(exposed.clone()).alpns();
        let serving = serve(peer(&server, alpns).await, &exposed);
        let host = serving.endpoint.peer_id();
        let user = peer(&server, Vec::new()).await;
        let link = Link::new(user, host);
        Self {
            link,
            exposed,
            _serving: serving,
        }
    }

    /// A local socket that leads to a service.
    pub(crate) async fn forward(&self, local: &str, service: &str) -> Listening {
        let (local, service) = (local.parse().unwrap(), service.parse().unwrap());
        forward::listen(&self.link, &local, service).await.unwrap()
    }

    /// A connection to a service, through a socket that stays.
    pub(crate) async fn connect(&self, service: &str) -> (TcpStream, Listening) {
        let listening = self.forward("127.0.0.1:0", service).await;
        let stream = TcpStream::connect(address(&listening)).await.unwrap();
        (stream, listening)
    }
}

/// Where a listening socket is, as the system writes it.
pub(crate) fn address(listening: &Listening) -> String {
    match listening.place() {
        Place::Tcp(place) | Place::Udp(place) => place.clone(),
        Place::Unix(path) => path.display().to_string(),
    }
}

/// A listening socket, and the place of a service behind it.
pub(crate) async fn service() -> (TcpListener, Place) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = Place::Tcp(listener.local_addr().unwrap().to_string());
    (listener, place)
}

/// The end of the next flow to end.
pub(crate) async fn closed(
    events: &mut broadcast::Receiver<Event>,
) -> (Goal, Traffic, Option<FlowError>) {
    loop {
        if let Event::Closed {
            flow,
            traffic,
            failure,
        } = events.recv().await.unwrap()
        {
            return (flow.goal, traffic, failure);
        }
    }
}
