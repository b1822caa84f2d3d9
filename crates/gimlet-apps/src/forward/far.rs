//! The side of the services: what becomes of one stream.

use std::time::Duration;

use gimlet::PeerId;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::event::Goal;
use super::exposed::Exposed;
use super::failure::FlowError;
use super::far_datagrams;
use super::link::Session;
use super::place::Place;
use super::request::{READY, Request};
use super::socket::Socket;
use super::splice::{Answer, Stream, splice};

/// How long the request may take to come whole; it is in one packet.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a service may take to take the connection. The dialer waits a little longer.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves a stream to its end.
pub(super) async fn answer(exposed: &Exposed, session: Session, mut stream: Stream) {
    let request = match timeout(REQUEST_TIMEOUT, Request::read(&mut stream.recv)).await {
        Ok(Ok(request)) => request,
        Ok(Err(_)) | Err(_) => return stream.abort(&FlowError::BadRequest),
    };
    match request {
        Request::Stream { .. } | Request::StreamTo { .. } => {
            serve_stream(exposed, &session, request, stream).await;
        }
        Request::Datagrams { service, flow } => {
            far_datagrams::to_service(exposed, session, service, flow, stream).await;
        }
        Request::DatagramsTo { flow } => {
            far_datagrams::to_destinations(exposed, session, flow, stream).await;
        }
    }
}

async fn serve_stream(exposed: &Exposed, session: &Session, request: Request, mut stream: Stream) {
    let peer = session.connection.peer();
    let goal = match &request {
        Request::StreamTo { destination } => Goal::Destination(destination.clone()),
        Request::Stream { service } | Request::Datagrams { service, .. } => {
            Goal::Service(service.clone())
        }
        Request::DatagramsTo { .. } => Goal::Destinations,
    };
    let open = exposed.announcer().opened(peer, goal, false, None);
    let _counted = session.count();
    let claim = session.claim(&stream.recv);
    let dialled = match timeout(DIAL_TIMEOUT, dial(exposed, peer, &request)).await {
        Ok(Ok(socket)) => match stream.send.write_all(&[READY]).await {
            Ok(()) => Ok(socket),
            Err(error) => {
                socket.reset_on_close();
                Err(error.into())
            }
        },
        Ok(Err(failure)) => Err(failure),
        Err(_) => Err(FlowError::Unreachable),
    };
    let (traffic, ended) = match dialled {
        Ok(socket) => {
            let stream = stream.widen(session.lanes(), claim);
            splice(socket, stream, Answer::Had).await
        }
        Err(failure) => {
            stream.abort(&failure);
            (Default::default(), Err(failure))
        }
    };
    open.closed(traffic, ended);
}

async fn dial(exposed: &Exposed, peer: PeerId, request: &Request) -> Result<Socket, FlowError> {
    let failed = |error: std::io::Error| FlowError::dial(&error);
    match request {
        Request::Stream { service } => match exposed.place(peer, service)? {
            // There is one of that name, of the other kind.
            Place::Udp(_) => Err(FlowError::NotServed),
            place @ (Place::Tcp(_) | Place::Unix(_)) => Socket::dial(place).await.map_err(failed),
        },
        Request::StreamTo { destination } => {
            let addrs = exposed.exit_of(peer)?.find(destination).await?;
            // Tries one after the other.
            let stream = TcpStream::connect(&addrs[..]).await.map_err(failed)?;
            Socket::tcp(stream).map_err(failed)
        }
        Request::Datagrams { .. } | Request::DatagramsTo { .. } => Err(FlowError::BadRequest),
    }
}
