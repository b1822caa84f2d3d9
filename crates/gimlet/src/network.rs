//! What an endpoint stands on: its UDP sockets and its host's addresses.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use gimlet_net::watch::Changes;
use gimlet_net::{interfaces, socket};
use gimlet_proto::traversal::Family;
use quinn::AsyncUdpSocket;
use tokio::sync::watch;

/// Sockets and interface addresses, the operating system's or simulated ones.
#[derive(Clone)]
pub struct Network {
    pub(crate) sockets: Vec<Arc<dyn AsyncUdpSocket>>,
    pub(crate) addresses: Arc<dyn Fn(bool) -> Vec<IpAddr> + Send + Sync>,
    measure: Measure,
    opener: Opener,
    clock: Clock,
    changes: watch::Receiver<Changes>,
    is_system: bool,
}

/// The calendar: seconds since 1970.
type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The longest datagram that reaches a host of our own networks in one piece.
type Measure = Arc<dyn Fn(IpAddr) -> Option<u16> + Send + Sync>;

/// Opens one more socket, on a free port.
type Opener = Arc<dyn Fn(Family) -> io::Result<Arc<dyn AsyncUdpSocket>> + Send + Sync>;

impl Network {
    /// The operating system's, on this UDP port or, for 0, on a free one.
    ///
    /// # Errors
    ///
    /// When no IPv4 socket can be had.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn system(port: u16) -> io::Result<Self> {
        Ok(Self {
            sockets: socket::bind_peer(port)?,
            addresses: Arc::new(interfaces::addresses),
            measure: Arc::new(interfaces::datagram_towards),
            opener: Arc::new(open_system),
            clock: Arc::new(unix_s),
            changes: gimlet_net::watch::changes(),
            is_system: true,
        })
    }

    /// Somebody else's sockets; `addresses` lists the host's, and is told whether loopback ones are
    /// wanted too.
    pub fn custom(
        sockets: Vec<Arc<dyn AsyncUdpSocket>>,
        addresses: impl Fn(bool) -> Vec<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        Self {
            sockets,
            addresses: Arc::new(addresses),
            measure: Arc::new(|_| None),
            opener: Arc::new(|_| Err(io::ErrorKind::Unsupported.into())),
            clock: Arc::new(unix_s),
            // Nobody will ever tell.
            changes: watch::channel(Changes::default()).1,
            is_system: false,
        }
    }

    /// Sets how sockets are opened besides these, on free ports, to probe a NAT and to search for a
    /// port with. Default for [`custom`](Self::custom): not at all, and both are done without.
    pub fn with_opener(
        mut self,
        open: impl Fn(Family) -> io::Result<Arc<dyn AsyncUdpSocket>> + Send + Sync + 'static,
    ) -> Self {
        self.opener = Arc::new(open);
        self
    }

    /// Sets what tells how long a datagram, without headers, may be that goes to a host of our own networks in
    /// one piece. Default for [`custom`](Self::custom): nothing is known, so all are short enough for every path.
    pub fn with_datagrams(
        mut self,
        longest: impl Fn(IpAddr) -> Option<u16> + Send + Sync + 'static,
    ) -> Self {
        self.measure = Arc::new(longest);
        self
    }

    /// Sets the calendar, seconds since 1970; it is only compared with servers'. Default: the
    /// system's.
    pub fn with_clock(mut self, clock: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Sets what tells that the host's addresses or routes changed, or that it slept. Default for
    /// [`custom`](Self::custom): nothing; an endpoint then finds out by silence and by its servers.
    pub fn with_changes(mut self, changes: watch::Receiver<Changes>) -> Self {
        self.changes = changes;
        self
    }

    /// The longest datagram that reaches a host in one piece, if it is one of our own networks.
    pub(crate) fn datagram_towards(&self, host: IpAddr) -> Option<u16> {
        (self.measure)(host)
    }

    /// Tells of every change from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<Changes> {
        let mut changes = self.changes.clone();
        changes.mark_unchanged();
        changes
    }

    /// What happened until now.
    pub(crate) fn told(&self) -> Changes {
        *self.changes.borrow()
    }

    /// Whether these are the operating system's.
    pub(crate) fn is_system(&self) -> bool {
        self.is_system
    }

    /// How far this host's clock is ahead of another one, seconds.
    pub(crate) fn clock_ahead_s(&self, other: u64) -> i64 {
        (self.clock)().wrapping_sub(other).cast_signed()
    }

    /// One more socket of a family.
    ///
    /// # Errors
    ///
    /// What the system says, or that there is no way to.
    pub(crate) fn open(&self, family: Family) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        (self.opener)(family)
    }

    /// The family of each socket, by the address it is bound to.
    pub(crate) fn families(&self) -> Vec<Family> {
        let family = |socket: &Arc<dyn AsyncUdpSocket>| match socket.local_addr() {
            Ok(addr) if addr.is_ipv6() => Family::V6,
            Ok(_) | Err(_) => Family::V4,
        };
        self.sockets.iter().map(family).collect()
    }
}

fn unix_s() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

fn open_system(family: Family) -> io::Result<Arc<dyn AsyncUdpSocket>> {
    let any = match family {
        Family::V4 => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        Family::V6 | Family::Both => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    socket::bind(any, family == Family::Both)
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("sockets", &self.sockets)
            .finish_non_exhaustive()
    }
}
