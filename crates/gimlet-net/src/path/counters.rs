//! What a path socket counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// One counter that many tasks add to.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($(#[$meta:meta])* $name:ident,)+) => {
        /// Counters of a path socket; read them through [`snapshot`](Counters::snapshot).
        #[derive(Debug, Default)]
        pub struct Counters { $(pub(super) $name: Counter,)+ }

        /// The counters at one moment. All count datagrams unless they say otherwise.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct CountersSnapshot { $($(#[$meta])* pub $name: u64,)+ }

        impl Counters {
            /// Reads every counter.
            pub fn snapshot(&self) -> CountersSnapshot {
                CountersSnapshot { $($name: self.$name.value(),)+ }
            }
        }
    };
}

counters! {
    /// Bytes of QUIC handed to the direct path.
    direct_bytes_sent,
    /// Bytes of QUIC handed to the relay.
    relay_bytes_sent,
    /// Bytes of QUIC that came straight from a peer or a server.
    direct_bytes_received,
    /// Bytes of QUIC that came over the relay.
    relay_bytes_received,
    /// Dropped: neither QUIC nor STUN nor a relay frame, or empty.
    unknown_protocol,
    /// Dropped: STUN that is malformed, forged, played again, or nobody's.
    bad_stun,
    /// Dropped: QUIC from an address that no peer has proven.
    stranger_quic,
    /// Dropped: a relay frame that is malformed or does not come from a server.
    bad_frame,
    /// Dropped: quinn sent to an address that has no link or no target.
    no_route,
    /// Batches dropped: their datagrams were longer than the path takes.
    too_long,
    /// Dropped: a queue was full.
    overflow,
    /// Batches dropped: they came while this process was stopped.
    slept_through,
    /// Calls that the system refused to send for.
    send_errors,
    /// Calls that the system refused to receive for.
    receive_errors,
}
