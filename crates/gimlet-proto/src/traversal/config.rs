//! What the owner of an agent may tune, with defaults and reasons.

use std::time::Duration;

/// Tuning for [`Agent`](super::Agent).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Whether loopback candidates are checked. Default false: a stranger who names one would make
    /// us talk to our own services. For tests and for two peers on one machine.
    pub allow_loopback: bool,
    /// How long an unanswered pair is checked. Default 10 s: the other side may be seconds late
    /// with its own checks, and a person who waits longer has stopped believing.
    pub check_timeout: Duration,
    /// Gap before the first repeat of a check, before its round-trip time is known; each gap after it
    /// is half as long again. Default 50 ms: shorter only repeats what is still in flight on a 40 ms
    /// path, longer costs that much for a lost or early check. Where both sides are known to be near,
    /// some round trips.
    pub first_retry: Duration,
    /// Whether to search for a port where plain checks cannot join the two. Default true: some 100
    /// packets a second for half a minute at most.
    pub search: bool,
    /// Gap between consent checks on the selected direct path. Default 5 s (RFC 7675 section 5.1).
    pub consent_interval: Duration,
    /// A path without any answer for this long is dead. Default 30 s (RFC 7675 section 5.1).
    pub consent_timeout: Duration,
    /// Gap between checks of paths kept in reserve and of the relay. Default 15 s: half of 30 s, the
    /// shortest mapping lifetime to plan for, so one lost check does not cost the mapping.
    pub keepalive_interval: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            allow_loopback: false,
            check_timeout: Duration::from_secs(10),
            first_retry: Duration::from_millis(50),
            search: true,
            consent_interval: Duration::from_secs(5),
            consent_timeout: Duration::from_secs(30),
            keepalive_interval: Duration::from_secs(15),
        }
    }
}

/// Largest number of direct pairs. Twice [`MAX_CANDIDATES`](crate::candidate::MAX_CANDIDATES) for
/// two sockets of a family, and room for peer-reflexive ones. Each costs a few hundred bytes and
/// at most some twenty datagrams.
pub(super) const MAX_PAIRS: usize = 48;

/// Largest number of pairs learned from where checks came from. A symmetric NAT makes a few; a
/// replaying attacker could otherwise make any number.
pub(super) const MAX_PEER_REFLEXIVE: usize = 12;

/// Addresses that the other side can have checked by announcing them: two full announcements at once,
/// then one a second. A roaming phone brings some five per change of network.
pub(super) const OFFERS_AT_ONCE: u32 = 2 * crate::candidate::MAX_CANDIDATES as u32;

/// See [`OFFERS_AT_ONCE`].
pub(super) const OFFERS_PER_SECOND: u32 = 1;

/// Pairs checked at once when the candidates become known: as many full-size datagrams as RFC 9002
/// section 7.2 lets a new connection send.
pub(super) const BURST: usize = 10;

/// Gap between first checks after the burst. RFC 8445 section 14 allows 5 ms and up; at 10 ms all of
/// [`MAX_PAIRS`] are tried within half a second.
pub(super) const PACE: Duration = Duration::from_millis(10);

/// Longest gap between repeats of a check, so that a late peer is found within two seconds.
pub(super) const MAX_RETRY: Duration = Duration::from_secs(2);

/// Gap before a consent or keep-alive check is repeated: many fit before the path expires.
pub(super) const IDLE_RETRY: Duration = Duration::from_secs(1);

/// Direct paths kept alive besides the selected one. A fourth would hardly ever survive what
/// killed three, and each costs a check every 15 s.
pub(super) const KEPT: usize = 3;

/// Checks a second that one session may send on average: what a home uplink of 1 Mbit/s carries.
pub(super) const CHECKS_PER_SECOND: u32 = 100;

/// Checks that may go out at once: the burst, its first repeats and triggered checks.
pub(super) const CHECKS_AT_ONCE: u32 = 60;

/// Answers a second, and at once: twice what our own side of the protocol would ever ask for.
pub(super) const ANSWERS_PER_SECOND: u32 = 200;

/// Checks whose answer is awaited: two seconds of the highest rate, then the oldest is given up.
pub(super) const MAX_OUTSTANDING: usize = 256;

/// Requests remembered so that a copy from elsewhere is told apart.
pub(super) const MAX_SEEN: usize = 256;

/// Queued datagrams and events. A driver that drains as documented never sees a full queue.
pub(super) const MAX_QUEUE: usize = 512;

/// Smallest datagram that proves a path: what QUIC needs (RFC 9000 section 14).
pub(super) const MIN_MTU: u16 = 1200;

/// A check after this many full-size ones is also tried small, to tell a small path from none.
pub(super) const FULL_SIZE_FIRST: u32 = 3;

/// Shortest and longest time a suspect path has to answer.
pub(super) const SUSPECT_MIN: Duration = Duration::from_millis(200);
/// See [`SUSPECT_MIN`]. With the seconds a socket needs to suspect, traffic flows again within 2 s.
pub(super) const SUSPECT_MAX: Duration = Duration::from_secs(1);

/// When a path that died is checked again, each time unanswered. The last one repeats.
pub(super) const REVIVAL: [Duration; 6] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(15),
];

/// Gap between the checks by which a path that died earns trust again.
pub(super) const PROBATION_INTERVAL: Duration = Duration::from_millis(200);

/// A path that stays well for this long starts again with a clean slate.
pub(super) const FORGIVEN_AFTER: Duration = Duration::from_secs(60);

/// Shortest time between two changes for a better round-trip time alone.
pub(super) const DWELL: Duration = Duration::from_secs(5);
