//! From settings to an endpoint, and from what a person typed to a connection.

use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};

use gimlet::{AcceptPolicy, Endpoint, Identity, Name, PeerId, Resolved, SignedIn};
use gimlet_apps::lan::Lan;

use crate::attempts::Recorder;
use crate::exit::{Failure, Status};
use crate::output::Output;
use crate::settings::Settings;

/// What every command is given.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) settings: Settings,
    pub(crate) output: Output,
    /// This network, with `--lan`, while there is an endpoint.
    pub(crate) lan: Mutex<Option<Lan>>,
}

/// An endpoint that others can connect to, and as what.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) peer: PeerId,
    pub(crate) name: Option<Name>,
    /// What a server says; `None` where there is only this network.
    pub(crate) signed_in: Option<SignedIn>,
}

impl Ready {
    /// What to type on the other side.
    pub(crate) fn called(&self) -> String {
        let name = self.name.as_ref();
        name.map_or_else(|| self.peer.to_string(), Name::to_string)
    }
}

/// A peer found, and how a person calls it.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) peer: PeerId,
    pub(crate) label: String,
}

impl Context {
    /// My key.
    pub(crate) fn identity(&self) -> Result<Identity, Failure> {
        Identity::load_or_create(self.settings.identity()?).map_err(Failure::from)
    }

    /// Works with an endpoint, and signs out whatever came of it: a peer that just vanishes is
    /// listed until its lease runs out.
    pub(crate) async fn with<T>(
        &self,
        alpns: &[&[u8]],
        policy: AcceptPolicy,
        work: impl AsyncFnOnce(&Endpoint) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let (endpoint, recorder) = self.bind(alpns, policy).await?;
        let done = work(&endpoint).await;
        self.leave(&endpoint, recorder).await;
        done
    }

    /// Signs out.
    pub(crate) async fn leave(&self, endpoint: &Endpoint, recorder: Recorder) {
        let lan = self.here().take();
        let leave_lan = async {
            if let Some(lan) = lan {
                lan.close().await;
            }
        };
        tokio::join!(leave_lan, endpoint.close());
        recorder.finish().await;
    }

    /// This network.
    pub(crate) fn here(&self) -> std::sync::MutexGuard<'_, Option<Lan>> {
        self.lan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until others can connect: once signed in, or at once where there is only this network.
    pub(crate) async fn ready(&self, endpoint: &Endpoint) -> Result<Ready, Failure> {
        let peer = endpoint.peer_id();
        let name = self.settings.name.clone();
        Ok(match self.settings.has_lan_alone() {
            true => Ready {
                peer,
                name,
                signed_in: None,
            },
            false => {
                let signed_in = online(endpoint).await?;
                Ready {
                    peer,
                    name: signed_in.name.clone(),
                    signed_in: Some(signed_in),
                }
            }
        })
    }

    /// The same for commands that only dial, and that Ctrl-C ends.
    pub(crate) async fn dialling<T>(
        &self,
        work: impl AsyncFnOnce(&Endpoint) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let work = async |endpoint: &Endpoint| unless_interrupted(work(endpoint)).await;
        self.with(&[], AcceptPolicy::Nobody, work).await
    }

    /// Opens the sockets; signing in goes on in the background. Attempts are written down until the
    /// recorder is dropped; what they came to at the end needs its [`finish`](Recorder::finish).
    pub(crate) async fn bind(
        &self,
        alpns: &[&[u8]],
        policy: AcceptPolicy,
    ) -> Result<(Endpoint, Recorder), Failure> {
        let settings = &self.settings;
        if settings.servers.is_empty() && !settings.lan {
            return Err(
                Failure::new(Status::Usage, anyhow::anyhow!("no server is named")).hint(
                    "put the line `gimlet serve` printed into GIMLET_SERVER, or after --server",
                ),
            );
        }
        let mut builder = Endpoint::builder()
            .identity(self.identity()?)
            .alpns(alpns.iter().map(|alpn| alpn.to_vec()).collect())
            .accept(policy)
            .relay_only(settings.relay_only)
            .lan(settings.lan)
            .report_outcomes(settings.report)
            .port_mapping(settings.port_mapping);
        for server in &settings.servers {
            builder = builder.server(server.clone());
        }
        if let Some(proxy) = &settings.proxy {
            builder = builder.proxy(proxy.clone());
        }
        if let Some(name) = &settings.name {
            builder = builder.name(name.clone());
        }
        let endpoint = builder.bind().await.map_err(Failure::bind)?;
        let lan = self.join(&endpoint, !alpns.is_empty())?;
        *self.here() = lan;
        let recorder = Recorder::start(&endpoint, settings.attempts());
        Ok((endpoint, recorder))
    }
}

/// Ends work on Ctrl-C, so that goodbyes can still be said.
pub(crate) async fn unless_interrupted<T>(
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        done = work => done,
        () = interrupted() => Err(Failure::new(Status::Failed, anyhow::anyhow!("interrupted"))),
    }
}

/// Waits for the sign-in.
pub(crate) async fn online(endpoint: &Endpoint) -> Result<SignedIn, Failure> {
    endpoint.online().await.map_err(Failure::sign_in)
}

/// Waits for the sign-in and the answer to a request right behind it. A request alone would wait
/// for a later sign-in to succeed.
pub(crate) async fn signed_in_and<T>(
    endpoint: &Endpoint,
    request: impl Future<Output = T>,
) -> Result<(SignedIn, T), Failure> {
    tokio::try_join!(online(endpoint), async { Ok(request.await) })
}

impl Found {
    /// Whether that is what somebody typed to mean this peer.
    pub(crate) fn is(&self, text: &str) -> bool {
        self.label == text || self.peer.to_string() == text
    }
}

impl From<Resolved> for Found {
    fn from(resolved: Resolved) -> Self {
        Self {
            peer: resolved.peer,
            label: label(resolved.peer, resolved.name.as_ref()),
        }
    }
}

/// How a person calls a peer.
pub(crate) fn label(peer: PeerId, name: Option<&Name>) -> String {
    name.map_or_else(|| peer.short(), Name::to_string)
}

/// Ctrl-C, or being told to end.
pub(crate) async fn interrupted() {
    signalled().await;
    if std::io::stderr().is_terminal() {
        // What the terminal shows of the key stands in the way of what is said next.
        eprint!("\r\x1b[K");
    }
}

async fn signalled() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut term) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => (),
                _ = term.recv() => (),
            }
            return;
        }
    }
    // Where no signal can be caught, the system's default ends us.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
