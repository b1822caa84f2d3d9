//! One control session: sign-in first, then messages both ways until it ends.

mod climbing;
mod ending;
mod probe;

use std::collections::HashMap;
use std::pin::pin;
use std::time::Duration;

use gimlet_net::prompt::Prompts;
use gimlet_net::transport::CONTROL_WINDOW;
use gimlet_proto::address::ServerAddress;
use gimlet_proto::message::{
    NatReport, RequestId, SignIn, SignedIn as SignedInMessage, ToPeer, ToServer,
};
use gimlet_proto::wire;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::climb::Climb;
use super::dial::{Dialled, OpenTunnel};
use super::link::{End, Task, dismissed, sleep_until};
use super::{ControlEvent, Outgoing};
use crate::error::SignInError;
use crate::event::{SignedIn, Transport};
use ending::{lost, refusal};
use probe::{DOUBT_PATIENCE, PROBE_PATIENCE, Probe};

/// The sign-in is the first request.
const SIGN_IN: RequestId = 0;

/// How long the server may take to answer the sign-in.
const SIGN_IN_TIMEOUT: Duration = Duration::from_secs(5);

/// Requests awaiting their answer. More than any program has at once; the oldest callers time out.
const MAX_PENDING: usize = 1024;

/// Bytes read at once.
const READ: usize = 16 * 1024;

struct Session<'a> {
    task: &'a mut Task,
    control: &'a mut Dialled,
    send: quinn::SendStream,
    reader: wire::Reader,
    pending: HashMap<RequestId, oneshot::Sender<ToPeer>>,
    next_id: RequestId,
    started: Instant,
    /// When the lease is refreshed next; `None` before sign-in.
    refresh_at: Option<Instant>,
    lease: Duration,
    probe: Option<Probe>,
    /// Behind what was said last.
    prompts: Prompts,
    /// The way from a tunnel to UDP.
    climb: Climb,
    /// What was last said to everybody.
    said: Option<(SignedIn, Vec<u16>)>,
}

impl Task {
    pub(super) async fn session(
        &mut self,
        control: &mut Dialled,
        server: &ServerAddress,
        started: Instant,
    ) -> End {
        let (send, recv) = match control.connection.open_bi().await {
            Ok(streams) => streams,
            Err(error) => return End::Failed(lost(error)),
        };
        let sign_in = SignIn {
            id: SIGN_IN,
            token: server.token.clone(),
            name: self.config.name.clone(),
            lease_s: self.config.lease.as_secs() as u32,
            reachable: self.config.reachable,
            software: self.config.software.clone(),
        };
        let connection = control.connection.clone();
        let climb = match control.tunnel {
            Some(_) => Climb::new(control.places.clone(), Instant::now().into_std()),
            None => Climb::off(),
        };
        let mut session = Session {
            lease: self.config.lease,
            task: self,
            control,
            climb,
            said: None,
            send,
            reader: wire::Reader::default(),
            pending: HashMap::new(),
            next_id: SIGN_IN + 1,
            started,
            refresh_at: None,
            probe: None,
            prompts: Prompts::new(CONTROL_WINDOW),
        };
        let end = match session.write(sign_in.into()).await {
            Ok(()) => session.run(recv).await,
            Err(end) => end,
        };
        connection.close(0u8.into(), b"");
        // The way to the server goes with us: its end leaves before.
        tokio::task::yield_now().await;
        end
    }
}

impl Session<'_> {
    async fn run(&mut self, mut recv: quinn::RecvStream) -> End {
        let sign_in_by = self.started + SIGN_IN_TIMEOUT;
        let mut buffer = vec![0; READ];
        let mut nat = self.task.shared.nat.subscribe();
        let mut wish = self.task.wish.clone();
        let mut nudges = self.task.nudges.clone();
        let mut moves = nudges.borrow_and_update().moves;
        let mut answers = self.task.shared.stun_answers.subscribe();
        let tunnel = self.control.tunnel.as_ref().map(OpenTunnel::ended);
        let mut tunnel = pin!(async move {
            match tunnel {
                Some(ended) => ended.await,
                None => std::future::pending().await,
            }
        });
        loop {
            let signed_in = self.refresh_at.is_some();
            let refresh_at = self.refresh_at.unwrap_or(sign_in_by);
            let probe_at = self.probe.map_or(refresh_at, |probe| probe.repeat_at);
            let climb_at = self.climb.poll_timeout(Instant::now().into_std());
            let ended = tokio::select! {
                read = recv.read(&mut buffer) => match read {
                    Ok(Some(count)) => self.read(&buffer[..count]).await,
                    Ok(None) => Err(End::Failed(self.closed_reason().await)),
                    Err(_) => Err(End::Failed(self.closed_reason().await)),
                },
                outgoing = self.task.outgoing.recv() => match outgoing {
                    Some(outgoing) => self.send(outgoing).await,
                    None => Err(self.goodbye().await),
                },
                () = dismissed(&mut wish) => Err(self.goodbye().await),
                Ok(()) = nudges.changed(), if signed_in => {
                    let now = nudges.borrow_and_update().moves;
                    let moved = std::mem::replace(&mut moves, now) != now;
                    if moved {
                        self.climb.restart(Instant::now().into_std());
                    }
                    // Doubts do not begin anew what is under way, or it would never end.
                    match (moved, self.probe) {
                        (true, _) => self.begin_probe(PROBE_PATIENCE.0).await,
                        (false, None) => self.begin_probe(DOUBT_PATIENCE).await,
                        (false, Some(_)) => Ok(()),
                    }
                }
                () = self.prompts.due() => {
                    self.prompts.send(&self.control.connection);
                    Ok(())
                }
                () = &mut tunnel, if self.control.tunnel.is_some() => self.tunnel_ended(),
                answer = answers.recv(), if climb_at.is_some() => {
                    self.answered(answer.ok());
                    self.climb().await
                }
                () = sleep_until(climb_at), if signed_in && climb_at.is_some() => {
                    self.climb().await
                }
                () = tokio::time::sleep_until(probe_at), if self.probe.is_some() => {
                    self.repeat_probe().await
                }
                Ok(()) = nat.changed(), if signed_in => self.refresh().await,
                () = tokio::time::sleep_until(refresh_at) => match signed_in {
                    true => self.refresh().await,
                    false => Err(End::Failed(SignInError::Lost {
                        detail: "the sign-in was not answered".to_owned(),
                    })),
                },
            };
            if let Err(end) = ended {
                return end;
            }
        }
    }

    async fn read(&mut self, bytes: &[u8]) -> Result<(), End> {
        self.reader.extend(bytes);
        while let Some(message) = self
            .reader
            .poll::<ToPeer>()
            .map_err(|e| self.malformed(e))?
        {
            match message {
                ToPeer::SignedIn(message) if message.id == SIGN_IN => self.online(message).await?,
                ToPeer::Failed(failed) if failed.id == SIGN_IN => {
                    return Err(End::Failed(refusal(failed.reason)));
                }
                message => self.dispatch(message).await?,
            }
        }
        Ok(())
    }

    async fn online(&mut self, message: SignedInMessage) -> Result<(), End> {
        self.lease = Duration::from_secs(u64::from(message.lease_s.max(3)));
        self.refresh_at = Some(Instant::now() + self.lease / 3);
        let signed_in = SignedIn {
            observed: message.observed,
            server: self.control.place.addr,
            transport: match self.control.tunnel {
                Some(_) => Transport::Tls,
                None => Transport::Udp,
            },
            name: message.name,
            lease: self.lease,
            elapsed: self.started.elapsed(),
            clock_ahead_s: self.task.shared.network.clock_ahead_s(message.time_s),
        };
        self.say(signed_in, message.stun_ports).await
    }

    /// Tells everybody that we are signed in, and how.
    async fn say(&mut self, signed_in: SignedIn, stun_ports: Vec<u16>) -> Result<(), End> {
        let event = ControlEvent::Online {
            server: self.control.place,
            stun_ports: stun_ports.clone(),
            rtt: self.control.connection.min_rtt(),
            signed_in: signed_in.clone(),
        };
        self.said = Some((signed_in, stun_ports));
        self.task.online = true;
        self.task.event(event).await
    }

    async fn dispatch(&mut self, message: ToPeer) -> Result<(), End> {
        if let ToPeer::Draining(notice) = &message {
            self.task.draining = Some(*notice);
        }
        let id = match &message {
            ToPeer::SignedIn(message) => Some(message.id),
            ToPeer::Failed(message) => Some(message.id),
            ToPeer::Page(message) => Some(message.id),
            ToPeer::Resolved(message) => Some(message.id),
            ToPeer::Stats(message) => Some(message.id),
            ToPeer::NumberHeld(message) => Some(message.id),
            ToPeer::Introduction(_)
            | ToPeer::Accepted(_)
            | ToPeer::Refused(_)
            | ToPeer::Candidates(_)
            | ToPeer::SessionClosed(_)
            | ToPeer::Presence(_)
            | ToPeer::Draining(_)
            | ToPeer::Coordinated(_)
            | ToPeer::Throttled(_) => None,
        };
        match id {
            Some(id) => {
                if let Some(reply) = self.pending.remove(&id) {
                    // The caller may have given up.
                    let _ = reply.send(message);
                }
                Ok(())
            }
            None => self.task.event(ControlEvent::Message(message)).await,
        }
    }

    async fn send(&mut self, outgoing: Outgoing) -> Result<(), End> {
        match outgoing {
            Outgoing::Message(message) => self.write(message).await,
            Outgoing::Request { reply, .. } if reply.is_closed() => Ok(()),
            Outgoing::Request { make, reply } => {
                if self.pending.len() >= MAX_PENDING {
                    self.pending.retain(|_, reply| !reply.is_closed());
                }
                let id = self.next_id;
                self.next_id = self.next_id.wrapping_add(1).max(SIGN_IN + 1);
                if self.pending.len() < MAX_PENDING {
                    self.pending.insert(id, reply);
                    self.write(make(id)).await?;
                }
                Ok(())
            }
        }
    }

    /// Any message refreshes the lease; this one says something as well.
    async fn refresh(&mut self) -> Result<(), End> {
        self.refresh_at = Some(Instant::now() + self.lease / 3);
        let nat = *self.task.shared.nat.borrow();
        self.write(NatReport { nat }.into()).await
    }

    async fn write(&mut self, message: ToServer) -> Result<(), End> {
        let bytes = wire::encode(&message);
        let rtt = self.control.connection.rtt();
        self.prompts.said(rtt, Instant::now());
        match self.send.write_all(&bytes).await {
            Ok(()) => Ok(()),
            Err(_) => Err(End::Failed(self.closed_reason().await)),
        }
    }
}
