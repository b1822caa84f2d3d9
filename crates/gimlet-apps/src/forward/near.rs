//! The side of the users: opens a stream for each of their connections.

use std::time::Duration;

use tokio::time::timeout;

use super::event::{Goal, Traffic};
use super::failure::FlowError;
use super::link::{Link, Session};
use super::request::Request;
use super::socket::Socket;
use super::splice::{Answer, Stream, splice};
use crate::wide::Claim;

/// How long a connection may wait for its turn where the peer has as many streams open as it takes.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// A stream that is opened, and the session it is of.
#[derive(Debug)]
pub(crate) struct Near {
    session: Session,
    stream: Stream,
    claim: Claim,
    /// Packets that had come when it was opened.
    heard: u64,
}

impl Near {
    /// Opens a stream as soon as the peer is there. Whether the service is shows later.
    pub(crate) async fn open(link: &Link, request: &Request) -> Result<Self, FlowError> {
        let session = link.session().await?;
        Self::open_on(session, request).await
    }

    pub(super) async fn open_on(session: Session, request: &Request) -> Result<Self, FlowError> {
        let heard = session.heard();
        let opening = async {
            let (mut send, recv) = session.connection.open_bi().await?;
            let claim = session.claim(&recv);
            send.write_all(&request.encode()).await?;
            Ok::<_, FlowError>((Stream { send, recv }, claim))
        };
        match timeout(OPEN_TIMEOUT, opening).await {
            Ok(opened) => {
                let (stream, claim) = opened?;
                Ok(Self {
                    session,
                    stream,
                    claim,
                    heard,
                })
            }
            Err(_) => {
                session.doubt(heard);
                Err(FlowError::TimedOut)
            }
        }
    }

    /// Waits until the service is there.
    pub(crate) async fn ready(&mut self) -> Result<(), FlowError> {
        let ready = self.stream.ready().await;
        if let Err(failure) = &ready {
            self.stream.abort(failure);
            self.doubt(failure);
        }
        ready
    }

    /// Copies to the end of both directions.
    pub(crate) async fn splice(
        self,
        socket: Socket,
        answer: Answer,
    ) -> (Traffic, Result<(), FlowError>) {
        let Self {
            session,
            stream,
            claim,
            heard,
        } = self;
        let _counted = session.count();
        let stream = stream.widen(session.lanes(), claim);
        let (traffic, ended) = splice(socket, stream, answer).await;
        if ended == Err(FlowError::TimedOut) {
            session.doubt(heard);
        }
        (traffic, ended)
    }

    pub(super) fn into_parts(self) -> (Session, Stream, u64) {
        (self.session, self.stream, self.heard)
    }

    fn doubt(&self, failure: &FlowError) {
        if *failure == FlowError::TimedOut {
            self.session.doubt(self.heard);
        }
    }
}

/// Carries one connection of a program to where it is to go, and announces it. What is sent before the
/// peer has answered is on its way already.
pub(super) async fn carry(link: Link, request: Request, goal: Goal, socket: Socket, from: String) {
    let Ok(peer) = link.known().await else {
        return socket.reset_on_close();
    };
    let open = (link.announcer()).opened(peer, goal, false, Some(from));
    let near = Near::open(&link, &request).await;
    let (traffic, ended) = match near {
        Ok(near) => near.splice(socket, Answer::Awaited).await,
        Err(failure) => {
            socket.reset_on_close();
            (Traffic::default(), Err(failure))
        }
    };
    open.closed(traffic, ended);
}
