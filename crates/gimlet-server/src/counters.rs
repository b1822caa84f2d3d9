//! What the server counts, for metrics and tests.

use std::sync::atomic::{AtomicU64, Ordering};

/// Declares the counters and their snapshot together.
macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// Counters as they run, each added to by the task that sees the thing happen.
        #[derive(Debug, Default)]
        pub(crate) struct Counters { $(pub(crate) $name: Counter,)+ }

        /// The counters at one moment.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Snapshot { $($(#[$doc])* pub $name: u64,)+ }

        impl Counters {
            pub(crate) fn snapshot(&self) -> Snapshot {
                Snapshot { $($name: self.$name.value(),)+ }
            }
        }
    };
}

counters! {
    /// STUN requests answered, on all ports.
    stun_answered,
    /// Datagrams that begin like STUN but are no Binding request we answer.
    stun_ignored,
    /// STUN requests over their prefix's rate.
    stun_limited,
    /// Of those answered: with what RFC 5780 adds.
    stun_discovery,
    /// Of these: from another address or port than was asked.
    stun_moved,
    /// STUN requests over their prefix's rate of discovery, answered plainly if at all.
    stun_discovery_limited,
    /// Relay data frames sent on.
    relayed_packets,
    /// Their bytes, headers included.
    relayed_bytes,
    /// Batches they were sent on in: one send call each.
    relayed_batches,
    /// Bind frames taken.
    relay_bound,
    /// Frames held until the control side has caught up.
    relay_held,
    /// Frames of unknown sessions or from unbound senders that were answered.
    relay_unknown,
    /// Frames dropped.
    relay_dropped,
    /// Relay data frames dropped for being over a limit, or over their session's share; what the system dropped
    /// from a heavy sender's own socket counts once a batch.
    relay_throttled,
    /// QUIC datagrams handed to quinn.
    quic_received,
    /// QUIC datagrams dropped because quinn has not kept up.
    quic_dropped,
    /// Datagrams that nobody here speaks.
    foreign_dropped,
    /// Datagrams that the system refused to send.
    send_failed,
    /// Datagrams that the system dropped because the main port was not read in time. Only on Linux.
    receive_overflowed,
    /// Sockets opened for single heavy senders.
    annexes,
    /// Receive calls that failed.
    receive_failed,
    /// Handshakes begun.
    handshakes,
    /// Handshakes asked to prove their address first.
    handshakes_retried,
    /// Handshakes refused for want of room.
    handshakes_refused,
    /// Handshakes that did not come to their end.
    handshakes_failed,
    /// Tunnels opened.
    tunnels_opened,
    /// TCP connections turned away for want of room.
    tunnels_refused,
    /// TCP connections that did not become tunnels.
    tunnels_failed,
    /// Packets that a tunnel did not take in time, counted when it ends.
    tunnel_dropped,
    /// Packets for tunnels that had ended.
    tunnel_gone,
    /// Tunnels now.
    tunnels,
    /// Control records of a kind this version does not know.
    unknown_records,
    /// Peers that can be reached now.
    peers,
    /// Control sessions now that only dial.
    dialing,
    /// Sessions between peers now.
    sessions,
}

/// One number. Relaxed throughout: nothing is ordered by them.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn one(&self) {
        self.add(1);
    }

    pub(crate) fn set(&self, n: usize) {
        self.0.store(n as u64, Ordering::Relaxed);
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
