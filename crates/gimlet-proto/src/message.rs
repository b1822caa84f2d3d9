//! Control messages between a peer and its server (ALPN `gimlet/1`).
//!
//! One bidirectional stream, opened by the peer, carries [`ToServer`] one way and [`ToPeer`] the
//! other. A request has a [`RequestId`] and gets exactly one answer that carries it, in any order;
//! everything about an introduction carries its [`SessionId`] instead.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bincode::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::candidate::{Candidate, NatClass};
use crate::hint::Hint;
use crate::id::PeerId;
use crate::name::Name;
use crate::secret::{Credentials, RelaySecret, SessionId};
use crate::stats::{Attempt, Summary};
use crate::wire::records;

/// ALPN of the control session.
pub const ALPN: &[u8] = b"gimlet/1";

/// Most entries in one page of [`Page`]: keeps a page well under [`crate::wire::MAX_RECORD`].
pub const PAGE_LEN: usize = 64;

/// Chosen by the peer, unique among its outstanding requests.
pub type RequestId = u32;

records! {
    /// What a peer says to its server.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum ToServer {
        /// First message of a session; answered by [`ToPeer::SignedIn`] or [`ToPeer::Failed`].
        SignIn(SignIn) = 1,
        /// Leaves: the lease ends now. The server closes the session after it.
        SignOut(SignOut) = 2,
        /// Asks for a page of peers online and sessions; answered by [`ToPeer::Page`].
        List(List) = 3,
        /// Asks who somebody is; answered by [`ToPeer::Resolved`] or [`ToPeer::Failed`].
        Resolve(Resolve) = 4,
        /// Asks to be introduced; answered by [`ToPeer::Accepted`] or [`ToPeer::Refused`].
        Introduce(Introduce) = 5,
        /// Accepts an introduction.
        Accept(Accept) = 6,
        /// Refuses an introduction.
        Refuse(Refused) = 7,
        /// More candidates, once a session is accepted. Passed on to the other side.
        Candidates(Candidates) = 8,
        /// Ends a session.
        CloseSession(CloseSession) = 9,
        /// Which path a session uses now, for the session list. Sent on every change.
        PathReport(PathReport) = 10,
        /// What this peer knows of its own NAT, for the peer list.
        NatReport(NatReport) = 11,
        /// Gives a name back to the server.
        ReleaseName(ReleaseName) = 12,
        /// Asks to be told when a peer comes or goes; answered by [`ToPeer::Presence`] now and on every change.
        Watch(Watch) = 13,
        /// What the other side needs to know for a search. Passed on to it.
        Coordinate(Coordinate) = 14,
        /// What came of an attempt at a direct path, for the statistics. Sent by the dialer.
        Outcome(Outcome) = 15,
        /// Asks for the server's statistics; answered by [`ToPeer::Stats`] or [`ToPeer::Failed`].
        AskStats(AskStats) = 16,
        /// Asks for the number of a short code; answered by [`ToPeer::NumberHeld`] or [`ToPeer::Failed`].
        HoldNumber(HoldNumber) = 17,
        /// Gives such a number back.
        DropNumber(DropNumber) = 18,
        /// Watches a peer no more.
        Unwatch(Unwatch) = 19,
    }
}

records! {
    /// What a server says to a peer.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum ToPeer {
        /// Signed in.
        SignedIn(SignedIn) = 1001,
        /// A request failed.
        Failed(Failed) = 1002,
        /// A page of peers and sessions.
        Page(Page) = 1003,
        /// Who somebody is.
        Resolved(Resolved) = 1004,
        /// Somebody asks to be introduced.
        Introduction(Introduction) = 1005,
        /// The other side accepted.
        Accepted(Accepted) = 1006,
        /// The introduction failed: the other side refused, or the server did.
        Refused(Refused) = 1007,
        /// More candidates of the other side.
        Candidates(Candidates) = 1008,
        /// The session is over.
        SessionClosed(CloseSession) = 1009,
        /// A watched peer came or went.
        Presence(Presence) = 1010,
        /// The server is going down or wants its peers elsewhere.
        Draining(Draining) = 1011,
        /// What the other side says for a search.
        Coordinated(Coordinated) = 1012,
        /// The server's statistics.
        Stats(Stats) = 1013,
        /// Relayed data of this peer was dropped for being too much.
        Throttled(Throttled) = 1014,
        /// The number of a short code.
        NumberHeld(NumberHeld) = 1015,
    }
}

/// Signs in: takes a lease and perhaps a name.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SignIn {
    /// Request id.
    pub id: RequestId,
    /// The server's token, where it asks for one. At most [`SignIn::MAX_TOKEN`] bytes.
    pub token: Option<String>,
    /// The name wanted, if any.
    pub name: Option<Name>,
    /// Lease wanted, seconds; the server may grant less. Any message on the session refreshes it.
    pub lease_s: u32,
    /// Whether others may be introduced to this session. A key has one reachable session, the newest;
    /// sessions that only dial are not listed, replace nobody, and bind a name only where their
    /// key has none. A server takes a limited number of them for one key.
    pub reachable: bool,
    /// Software and version, for the server's log. At most [`SignIn::MAX_SOFTWARE`] bytes.
    pub software: String,
}

impl SignIn {
    /// Longest token, bytes.
    pub const MAX_TOKEN: usize = 128;
    /// Longest software text, bytes.
    pub const MAX_SOFTWARE: usize = 64;
}

/// The session a peer has with the server has begun.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SignedIn {
    /// Of the [`SignIn`].
    pub id: RequestId,
    /// Lease granted, seconds.
    pub lease_s: u32,
    /// The name now held.
    pub name: Option<Name>,
    /// Where the server sees this peer: its server-reflexive address.
    pub observed: SocketAddr,
    /// UDP ports that answer STUN at the server's address besides the main one.
    pub stun_ports: Vec<u16>,
    /// The server's clock, seconds since 1970.
    pub time_s: u64,
}

/// Leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct SignOut {}

/// Asks for peers and sessions, a page at a time, in the order of peer ids.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct List {
    /// Request id.
    pub id: RequestId,
    /// The last peer of the page before; `None` for the first page.
    pub after: Option<PeerId>,
}

/// Peers online, and the sessions in which a listed peer is the accepting side.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Page {
    /// Of the [`List`].
    pub id: RequestId,
    /// At most [`PAGE_LEN`].
    pub peers: Vec<PeerInfo>,
    /// At most four times [`PAGE_LEN`].
    pub sessions: Vec<SessionInfo>,
    /// Whether there are peers after these.
    pub more: bool,
}

/// One peer online.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct PeerInfo {
    /// Who.
    pub peer: PeerId,
    /// Its name.
    pub name: Option<Name>,
    /// Seconds until its lease runs out.
    pub lease_s: u32,
    /// Its NAT, as it reported it.
    pub nat: NatClass,
    /// Where the server sees it. Only in answers to those who may know: `None` unless the server
    /// is configured to tell.
    pub observed: Option<SocketAddr>,
}

/// One session between two peers.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SessionInfo {
    /// The dialer.
    pub a: PeerId,
    /// The accepting side.
    pub b: PeerId,
    /// The path in use as the dialer reported it.
    pub path: PathKind,
}

/// Over what a session runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
pub enum PathKind {
    /// Through the server.
    Relay,
    /// Straight to the peer.
    Direct,
}

/// Asks for a peer by name, id, unique id prefix of at least four characters, `IP:PORT` from the list, or
/// `#` and the number of a short code.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Resolve {
    /// Request id.
    pub id: RequestId,
    /// What the person typed; at most [`Resolve::MAX_TEXT`] bytes.
    pub text: String,
}

impl Resolve {
    /// Longest text: an id, a name and an address are all shorter.
    pub const MAX_TEXT: usize = 64;
}

/// Who it is. Names also resolve while their peer is offline.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Resolved {
    /// Of the [`Resolve`].
    pub id: RequestId,
    /// Who.
    pub peer: PeerId,
    /// Its name.
    pub name: Option<Name>,
    /// Whether it is signed in now.
    pub online: bool,
}

/// A request failed.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Failed {
    /// Of the request.
    pub id: RequestId,
    /// Why.
    pub reason: FailReason,
}

/// Why a server refuses a request. New reasons are appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
pub enum FailReason {
    /// The token is missing or wrong.
    BadToken,
    /// This key is not on the server's list.
    NotAllowed,
    /// The name belongs to another key.
    NameTaken,
    /// Nobody of that name, id or prefix.
    UnknownPeer,
    /// More than one id begins like that.
    Ambiguous,
    /// A limit of this server is reached, or this peer asks too often.
    Busy,
    /// The request breaks the protocol: oversized text, or before sign-in.
    BadRequest,
    /// The server is going down.
    ShuttingDown,
}

/// Asks the server to introduce us to a peer.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Introduce {
    /// Drawn by the dialer.
    pub session: SessionId,
    /// To whom.
    pub peer: PeerId,
    /// Authenticates the dialer's bind frames.
    pub secret: RelaySecret,
    /// The dialer's check credentials.
    pub credentials: Credentials,
    /// The dialer's candidates; none in relay-only mode.
    pub candidates: Vec<Candidate>,
    /// The dialer's NAT.
    pub nat: NatClass,
}

/// Somebody asks: what the server passes on of an [`Introduce`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Introduction {
    /// The session.
    pub session: SessionId,
    /// Who asks.
    pub peer: PeerId,
    /// Its name.
    pub name: Option<Name>,
    /// The dialer's check credentials.
    pub credentials: Credentials,
    /// The dialer's candidates.
    pub candidates: Vec<Candidate>,
    /// The dialer's NAT.
    pub nat: NatClass,
}

/// Accepts an [`Introduction`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Accept {
    /// The session.
    pub session: SessionId,
    /// Authenticates the accepting side's bind frames.
    pub secret: RelaySecret,
    /// The accepting side's check credentials.
    pub credentials: Credentials,
    /// The accepting side's candidates; none in relay-only mode.
    pub candidates: Vec<Candidate>,
    /// The accepting side's NAT.
    pub nat: NatClass,
}

/// The other side accepted: what the server passes on of an [`Accept`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Accepted {
    /// The session.
    pub session: SessionId,
    /// The accepting side's check credentials.
    pub credentials: Credentials,
    /// The accepting side's candidates.
    pub candidates: Vec<Candidate>,
    /// The accepting side's NAT.
    pub nat: NatClass,
}

/// An introduction that did not come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Refused {
    /// The session.
    pub session: SessionId,
    /// Why.
    pub reason: RefuseReason,
}

/// Why an introduction did not come about. New reasons are appended.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum RefuseReason {
    /// The peer is not signed in.
    Offline,
    /// The peer does not want this dialer.
    Declined,
    /// The peer did not answer in time.
    Unanswered,
    /// Both dialled at once; the other introduction stands.
    Superseded,
    /// A limit of the server or of the peer is reached.
    Busy,
    /// The request breaks the protocol, or the session id is in use.
    BadRequest,
}

/// More candidates for a session.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Candidates {
    /// The session.
    pub session: SessionId,
    /// At most [`crate::candidate::MAX_CANDIDATES`].
    pub candidates: Vec<Candidate>,
}

/// Ends, or has ended, a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct CloseSession {
    /// The session.
    pub session: SessionId,
}

/// Which path a session uses now. Only the dialer's report counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct PathReport {
    /// The session.
    pub session: SessionId,
    /// The path.
    pub path: PathKind,
}

/// What this peer knows of its NAT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct NatReport {
    /// The NAT.
    pub nat: NatClass,
}

/// Gives a name back.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ReleaseName {
    /// The name; ignored unless this peer holds it.
    pub name: Name,
}

/// Watches a peer's presence for the rest of the control session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Watch {
    /// Whom.
    pub peer: PeerId,
}

/// Watches a peer no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Unwatch {
    /// Whom.
    pub peer: PeerId,
}

/// A watched peer's presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Presence {
    /// Who.
    pub peer: PeerId,
    /// Signed in, or not.
    pub online: bool,
}

/// Where this side can be found, for a search, once a session is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Coordinate {
    /// The session.
    pub session: SessionId,
    /// Where.
    pub hint: Hint,
}

/// Where the other side can be found: what the server passes on of a [`Coordinate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Coordinated {
    /// The session.
    pub session: SessionId,
    /// Where the other side says it is.
    pub hint: Hint,
    /// From which address the server hears the other side, so that it cannot name a stranger's.
    pub observed: IpAddr,
}

/// Reports an attempt. Counted once it is settled, or left, and only from the dialer of a session
/// that stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Outcome {
    /// The session.
    pub session: SessionId,
    /// What came of it.
    pub attempt: Attempt,
}

/// Asks for the statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct AskStats {
    /// Request id.
    pub id: RequestId,
}

/// What the server has counted since it was started.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Stats {
    /// Of the [`AskStats`].
    pub id: RequestId,
    /// For how long it has counted, seconds.
    pub counted_s: u64,
    /// What.
    pub summary: Summary,
}

/// Asks for a number that leads to this key for a while: the public part of a short code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct HoldNumber {
    /// Request id.
    pub id: RequestId,
    /// Seconds wanted; the server may grant less.
    pub ttl_s: u32,
}

/// The number of a short code. It leads to the key, also over other control sessions of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct NumberHeld {
    /// Of the [`HoldNumber`].
    pub id: RequestId,
    /// The number.
    pub number: u32,
    /// Seconds granted.
    pub ttl_s: u32,
}

/// Gives a number back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct DropNumber {
    /// The number; ignored unless this peer holds it.
    pub number: u32,
}

/// The server is going down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Draining {
    /// Milliseconds until it closes.
    pub in_ms: u32,
    /// Milliseconds over which its peers are to come back: as long as it takes to let them all in.
    pub return_over_ms: u32,
}

impl Draining {
    /// The longest that a server can keep its peers away with this.
    pub const MAX_RETURN: Duration = Duration::from_secs(30);

    /// How long a peer that draws `chance`, from 0 to 1, stays away.
    pub fn pause(&self, chance: f64) -> Duration {
        let over = Duration::from_millis(self.return_over_ms.into()).min(Self::MAX_RETURN);
        over.mul_f64(chance.clamp(0.0, 1.0))
    }
}

/// Relayed data was dropped for being too much. Sent to who sent it, every few seconds at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Throttled {
    /// The session.
    pub session: SessionId,
    /// Why; where there were several reasons, the one that cost most.
    pub reason: ThrottleReason,
    /// Bytes dropped since the last time.
    pub dropped_bytes: u64,
}

/// Why a relay dropped data. New reasons are appended.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum ThrottleReason {
    /// Faster than a session may be.
    SessionRate,
    /// The session has carried all it may.
    SessionTotal,
    /// Faster than one peer may send.
    PeerRate,
    /// The peer has sent all it may for now.
    PeerTotal,
    /// Faster than the server may relay for all.
    ServerRate,
    /// The server has relayed all it may for now.
    ServerTotal,
    /// More than an equal share of a relay that is overloaded.
    Share,
}

impl fmt::Display for ThrottleReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SessionRate => "the relay limits the rate of a session",
            Self::SessionTotal => "the session has used up what the relay carries for one",
            Self::PeerRate => "the relay limits the rate of a peer",
            Self::PeerTotal => "this peer has used up what the relay carries for one",
            Self::ServerRate => "the relay is at its limit",
            Self::ServerTotal => "the relay has used up what it carries for all",
            Self::Share => "the relay is overloaded, and this session is above its share",
        })
    }
}
