//! Keeps this endpoint signed in: one control session at a time, made again with back-off.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gimlet_proto::address::ServerAddress;
use gimlet_proto::message::{RequestId, ToPeer, ToServer};
use gimlet_proto::name::Name;
use gimlet_proto::stun::TransactionId;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::endpoint::Shared;
use crate::error::{RequestError, SignInError};
use crate::event::{EndpointEvent, SignedIn};

mod climb;
mod dial;
mod session;

pub(crate) use dial::{ServerPlace, places};

/// Messages waiting for the control session. Requests of one process are few; a full queue means
/// the server has stopped reading.
const MAX_OUTGOING: usize = 256;

/// Events waiting for the engine.
const MAX_EVENTS: usize = 256;

/// How long a caller waits for the answer to a request, a reconnect included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// First and longest pause between attempts. With the attempt itself, a peer is back within 5 s of
/// its server's return; 20,000 peers of one server then make at most some 10,000 attempts a second.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));

/// Pause after a refusal that only a person can change, so that an operator's fix takes effect.
const DEFINITE_PAUSE: Duration = Duration::from_secs(30);

/// Whether this endpoint is signed in.
#[derive(Debug, Clone)]
pub(crate) enum ControlState {
    /// The first attempt is under way.
    Connecting,
    /// Yes.
    Online(SignedIn),
    /// No; unless the reason is definite, the next attempt is coming.
    Failed(SignInError),
}

/// Somebody answers a Binding request over UDP.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StunAnswer {
    pub(crate) from: ServerPlace,
    pub(crate) transaction: TransactionId,
    /// Where it sees us.
    pub(crate) observed: SocketAddr,
}

/// What the engine hears.
#[derive(Debug)]
pub(crate) enum ControlEvent {
    /// Signed in.
    Online {
        /// Where the server is, from which of our sockets.
        server: ServerPlace,
        /// Its other STUN ports.
        stun_ports: Vec<u16>,
        /// Where it sees us.
        observed: SocketAddr,
        /// The round trip to it.
        rtt: Duration,
    },
    /// A message that is not the answer to a request.
    Message(ToPeer),
    /// The session is over.
    Offline,
}

/// What the session is to send.
pub(crate) enum Outgoing {
    /// A message without an answer.
    Message(ToServer),
    /// A request.
    Request {
        /// Makes the message, given its id.
        make: Box<dyn FnOnce(RequestId) -> ToServer + Send>,
        /// Where the answer goes.
        reply: oneshot::Sender<ToPeer>,
    },
}

/// What signing in takes.
#[derive(Debug, Clone)]
pub(crate) struct ControlConfig {
    pub(crate) servers: Vec<ServerAddress>,
    pub(crate) name: Option<Name>,
    pub(crate) lease: Duration,
    /// Whether peers may be introduced to us.
    pub(crate) reachable: bool,
    pub(crate) software: String,
}

/// The caller's end of the control task.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    outgoing: mpsc::Sender<Outgoing>,
    state: watch::Receiver<ControlState>,
    /// Set once to end the task; so does dropping every `Control`.
    stop: Arc<watch::Sender<bool>>,
    /// Counts moves of this host.
    moves: Arc<watch::Sender<u64>>,
}

impl Control {
    /// Starts the task. It ends on sign-out, or when every `Control` is dropped.
    pub(crate) fn start(
        shared: Arc<Shared>,
        config: ControlConfig,
    ) -> (Self, mpsc::Receiver<ControlEvent>) {
        let (outgoing, from_callers) = mpsc::channel(MAX_OUTGOING);
        let (events, to_engine) = mpsc::channel(MAX_EVENTS);
        let initial = match config.servers.is_empty() {
            true => ControlState::Failed(SignInError::NoServer),
            false => ControlState::Connecting,
        };
        let (publish, state) = watch::channel(initial);
        let (stop, stopped) = watch::channel(false);
        let (moves, moved) = watch::channel(0);
        let task = Task {
            shared,
            config,
            outgoing: from_callers,
            events,
            state: publish,
            stopped,
            moved,
        };
        tokio::spawn(task.run());
        (
            Self {
                outgoing,
                state,
                stop: Arc::new(stop),
                moves: Arc::new(moves),
            },
            to_engine,
        )
    }

    /// The current state.
    pub(crate) fn state(&self) -> ControlState {
        self.state.borrow().clone()
    }

    /// Waits for the first attempt to end, however it ends.
    pub(crate) async fn online(&self) -> Result<SignedIn, SignInError> {
        let mut state = self.state.clone();
        let settled = state
            .wait_for(|state| !matches!(state, ControlState::Connecting))
            .await;
        match settled.as_deref() {
            Ok(ControlState::Online(signed_in)) => Ok(signed_in.clone()),
            Ok(ControlState::Failed(error)) => Err(error.clone()),
            Ok(ControlState::Connecting) | Err(_) => Err(SignInError::SignedOut),
        }
    }

    /// This host's network changed: whether the session still works is found out at once, and if
    /// there is none, the next attempt begins now.
    pub(crate) fn moved(&self) {
        self.moves.send_modify(|moves| *moves += 1);
    }

    /// Sends a message, or drops it when the queue is full: all of them are repeated or repaired.
    pub(crate) fn send(&self, message: impl Into<ToServer>) {
        if self
            .outgoing
            .try_send(Outgoing::Message(message.into()))
            .is_err()
        {
            tracing::debug!("control queue is full or closed");
        }
    }

    /// Sends a request and waits for its answer. Before sign-in it waits with it, so that the
    /// request rides right behind the sign-in.
    pub(crate) async fn request(
        &self,
        make: impl FnOnce(RequestId) -> ToServer + Send + 'static,
    ) -> Result<ToPeer, RequestError> {
        let mut state = self.state.clone();
        let failed = async {
            let failed = state
                .wait_for(|state| matches!(state, ControlState::Failed(_)))
                .await;
            match failed.as_deref() {
                Ok(ControlState::Failed(error)) => error.clone(),
                Ok(ControlState::Connecting | ControlState::Online(_)) | Err(_) => {
                    SignInError::SignedOut
                }
            }
        };
        let (reply, answer) = oneshot::channel();
        let request = Outgoing::Request {
            make: Box::new(make),
            reply,
        };
        let exchange = async {
            self.outgoing.send(request).await.ok()?;
            answer.await.ok()
        };
        tokio::select! {
            biased;
            error = failed => Err(error.into()),
            answer = tokio::time::timeout(REQUEST_TIMEOUT, exchange) => match answer {
                Ok(Some(answer)) => Ok(answer),
                Ok(None) | Err(_) => Err(RequestError::TimedOut),
            },
        }
    }

    /// Says goodbye; returns when the server has heard it or cannot.
    pub(crate) async fn sign_out(&self) {
        self.stop.send_replace(true);
        let mut state = self.state.clone();
        let over = |state: &ControlState| {
            matches!(
                state,
                ControlState::Failed(SignInError::SignedOut | SignInError::NoServer)
            )
        };
        // An error means the task is gone already.
        let _ = state.wait_for(over).await;
    }
}

struct Task {
    shared: Arc<Shared>,
    config: ControlConfig,
    outgoing: mpsc::Receiver<Outgoing>,
    events: mpsc::Sender<ControlEvent>,
    state: watch::Sender<ControlState>,
    stopped: watch::Receiver<bool>,
    moved: watch::Receiver<u64>,
}

/// How a session or an attempt ended.
enum End {
    /// For good.
    SignedOut,
    /// Try again.
    Failed(SignInError),
    /// Try again at once: the server did not answer from where we are now.
    Silent(SignInError),
}

impl Task {
    async fn run(mut self) {
        if self.config.servers.is_empty() {
            // There is nothing to do; dropping the queues tells callers.
            return;
        }
        let mut pause = BACKOFF.0;
        for server in self.config.servers.clone().iter().cycle() {
            let (error, at_once) = match self.attempt(server).await {
                End::SignedOut => break,
                End::Failed(error) => (error, false),
                End::Silent(error) => (error, true),
            };
            if matches!(&*self.state.borrow(), ControlState::Online(_)) {
                pause = BACKOFF.0;
            }
            let (definite, replaced) = (error.is_definite(), error == SignInError::Replaced);
            if !self.failed(error).await {
                break;
            }
            if replaced {
                // Coming back would only drive the other one out in turn.
                stop(&mut self.stopped).await;
                break;
            }
            let wait = match (definite, at_once) {
                (true, _) => DEFINITE_PAUSE,
                (false, true) => Duration::ZERO,
                (false, false) => jittered(pause),
            };
            pause = (pause * 2).min(BACKOFF.1);
            tokio::select! {
                () = tokio::time::sleep(wait) => (),
                () = moved(&mut self.moved) => pause = BACKOFF.0,
                () = stop(&mut self.stopped) => break,
            }
        }
        self.state
            .send_replace(ControlState::Failed(SignInError::SignedOut));
    }

    /// One attempt, and the session if it succeeds.
    async fn attempt(&mut self, server: &ServerAddress) -> End {
        let started = Instant::now();
        let dialled = loop {
            tokio::select! {
                dialled = dial::dial(&self.shared, server) => break dialled,
                () = moved(&mut self.moved) => (),
                () = stop(&mut self.stopped) => return End::SignedOut,
            }
        };
        match dialled {
            Ok(mut control) => self.session(&mut control, server, started).await,
            Err(error) => End::Failed(error),
        }
    }

    /// Tells everyone; false when nobody is left to tell.
    async fn failed(&mut self, error: SignInError) -> bool {
        tracing::debug!(%error, "not signed in");
        let was_online = matches!(&*self.state.borrow(), ControlState::Online(_));
        self.state.send_replace(ControlState::Failed(error.clone()));
        self.shared
            .announce(EndpointEvent::SignedOut { reason: error });
        !was_online || self.events.send(ControlEvent::Offline).await.is_ok()
    }
}

/// Waits until the task is told to end.
async fn stop(stopped: &mut watch::Receiver<bool>) {
    // An error means that every `Control` is gone, which says the same.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Waits until then; for ever, if that is never.
async fn sleep_until(at: Option<std::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Waits until this host's network changes.
async fn moved(moved: &mut watch::Receiver<u64>) {
    if moved.changed().await.is_err() {
        // Every `Control` is gone; the task is about to hear of it.
        std::future::pending().await
    }
}

fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.5..1.5))
}
