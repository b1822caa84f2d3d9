//! SOCKS5 (RFC 1928) on a socket of this host, with the way out at a peer.
//!
//! CONNECT and UDP ASSOCIATE, without a password: whoever reaches the socket may use it, so it should
//! be one of the loopback interface. Names are looked up by the peer. The peer needs a way out
//! ([`Exposed::exit`](crate::forward::Exposed::exit)), whose rules decide which destinations there are.

mod association;
mod handshake;

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::forward::{
    Answer, FlowError, Goal, Link, Listener, Listening, MAX_FLOWS, Near, Place, Request, Socket,
    Traffic,
};
use handshake::{Ask, Reply};

/// How long a program may take to say what it wants.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Listens on a TCP socket of this host for programs that speak SOCKS5.
///
/// # Errors
///
/// [`io::Error`]: the socket cannot be had; `Unsupported` where it would not be a TCP socket.
pub async fn listen(link: &Link, local: &Place) -> io::Result<Listening> {
    let Place::Tcp(_) = local else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    let listener = Listener::bind(local).await?;
    let place = listener.place()?;
    Ok(Listening::start(place, run(listener, link.clone())))
}

async fn run(listener: Listener, link: Link) {
    let mut users = JoinSet::new();
    loop {
        tokio::select! {
            (socket, from) = listener.accept(), if users.len() < MAX_FLOWS => {
                if let Socket::Tcp(stream) = socket {
                    users.spawn(serve(stream, from, link.clone()));
                }
            }
            Some(_) = users.join_next() => (),
        }
    }
}

async fn serve(mut stream: TcpStream, from: String, link: Link) {
    let ask = match timeout(HANDSHAKE_TIMEOUT, handshake::read(&mut stream)).await {
        Ok(Ok(ask)) => ask,
        Ok(Err(error)) => return tracing::debug!(%error, "not a SOCKS5 client"),
        Err(_) => return,
    };
    let peer = match link.known().await {
        Ok(peer) => peer,
        Err(error) => {
            let reply = Reply::from(&FlowError::from(error));
            // Who does not wait for the answer does not get it.
            let _ = handshake::answer(&mut stream, reply, None).await;
            return;
        }
    };
    match ask {
        Ask::Connect(destination) => {
            let goal = Goal::Destination(destination.clone());
            let open = (link.announcer()).opened(peer, goal, false, Some(from));
            let request = Request::StreamTo { destination };
            let (traffic, ended) = connect(stream, &link, &request).await;
            open.closed(traffic, ended);
        }
        Ask::Associate(hint) => {
            let goal = Goal::Destinations;
            let open = (link.announcer()).opened(peer, goal, true, Some(from));
            let mut traffic = Traffic::default();
            let ended = association::run(stream, hint, &link, &mut traffic).await;
            open.closed(traffic, ended);
        }
    }
}

/// Tells the program how it went, and if it went well, copies.
async fn connect(
    mut stream: TcpStream,
    link: &Link,
    request: &Request,
) -> (Traffic, Result<(), FlowError>) {
    let opening = async {
        let mut near = Near::open(link, request).await?;
        near.ready().await?;
        Ok(near)
    };
    let near = match opening.await {
        Ok(near) => near,
        Err(failure) => {
            // Who does not wait for the answer does not get it.
            let _ = handshake::answer(&mut stream, Reply::from(&failure), None).await;
            return (Traffic::default(), Err(failure));
        }
    };
    let here = |error: io::Error| FlowError::ResetHere(error.kind());
    let told = handshake::answer(&mut stream, Reply::Done, None).await;
    let socket = match told.and_then(|()| Socket::tcp(stream)) {
        Ok(socket) => socket,
        Err(error) => return (Traffic::default(), Err(here(error))),
    };
    near.splice(socket, Answer::Had).await
}
