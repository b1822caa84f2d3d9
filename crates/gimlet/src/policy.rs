//! Who may reach this endpoint.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use gimlet_proto::id::PeerId;
use gimlet_proto::name::Name;
use tokio::sync::oneshot;

/// Decides about introductions. Addresses are told to a dialer only after it was accepted.
#[derive(Clone, Default)]
pub enum AcceptPolicy {
    /// Everyone the server lets in. The default.
    #[default]
    All,
    /// Nobody: whoever asks is told so.
    Nobody,
    /// These keys.
    Known(Arc<HashSet<PeerId>>),
    /// Whoever the callback accepts by answering its [`Request`], now or within 10 s. Dropping
    /// the request declines. Called on the endpoint's own task: do not block in it.
    Ask(Arc<dyn Fn(Request) + Send + Sync>),
}

impl fmt::Debug for AcceptPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "All",
            Self::Nobody => "Nobody",
            Self::Known(_) => "Known(..)",
            Self::Ask(_) => "Ask(..)",
        })
    }
}

/// Somebody wants to connect. Belongs to this one introduction; a late answer has no effect.
#[derive(Debug)]
pub struct Request {
    peer: PeerId,
    name: Option<Name>,
    answer: oneshot::Sender<bool>,
}

impl Request {
    pub(crate) fn new(peer: PeerId, name: Option<Name>) -> (Self, oneshot::Receiver<bool>) {
        let (answer, decision) = oneshot::channel();
        (Self { peer, name, answer }, decision)
    }

    /// Who asks. The server vouches for it now; TLS proves it before any data flows.
    pub fn peer(&self) -> PeerId {
        self.peer
    }

    /// Its name as the server knows it.
    pub fn name(&self) -> Option<&Name> {
        self.name.as_ref()
    }

    /// Lets it in.
    pub fn accept(self) {
        // The introduction may be over by now.
        let _ = self.answer.send(true);
    }

    /// Declines; dropping does the same.
    pub fn decline(self) {
        let _ = self.answer.send(false);
    }
}
