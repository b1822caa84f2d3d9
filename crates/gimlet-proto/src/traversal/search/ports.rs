//! Which ports to try, in which order.

/// The lowest port that NATs give out (RFC 4787 section 4.2.2 keeps them off the ones below).
pub(super) const LOWEST: u16 = 1024;

/// Ports in the order they are to be tried; each once per pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidates {
    kind: Order,
    /// How many were given out in this pass.
    given: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Order {
    /// From `next` on by `step`.
    Steps { next: u16, step: i16, count: u16 },
    /// All from `first` to `last`, in leaps that spread them evenly from the beginning.
    Leaps { first: u16, count: u32, leap: u32 },
}

impl Candidates {
    /// Some of the ports that a sequence takes with the next `count` mappings, and of those that others
    /// may have moved it by: the other side is behind nearly all of them, and each hit costs both.
    pub(super) fn around(next: u16, step: i16, drift: u16, count: u16) -> Self {
        let count = count.saturating_add(drift.min(MAX_DRIFT)) / STRIDE;
        let next = ahead(next, step, STRIDE - 1);
        let step = step.saturating_mul(STRIDE as i16);
        Self {
            kind: Order::Steps { next, step, count },
            given: 0,
        }
    }

    /// All ports of a range.
    pub(super) fn within(first: u16, last: u16) -> Self {
        let first = first.max(LOWEST);
        let count = u32::from(last.saturating_sub(first)) + 1;
        // The golden section of the range, made coprime to its length so that every port comes up.
        let mut leap = (u64::from(count) * 618_034 / 1_000_000).max(1) as u32;
        while gcd(leap, count) != 1 {
            leap += 1;
        }
        Self {
            kind: Order::Leaps { first, count, leap },
            given: 0,
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> u32 {
        match self.kind {
            Order::Steps { count, .. } => u32::from(count),
            Order::Leaps { count, .. } => count,
        }
    }

    /// The next one; after the last it begins anew.
    pub(super) fn next(&mut self) -> u16 {
        let nth = self.given % self.len().max(1);
        self.given = nth + 1;
        match self.kind {
            Order::Steps { next, step, .. } => ahead(next, step, nth as u16),
            Order::Leaps { first, count, leap } => {
                let offset = u64::from(nth) * u64::from(leap) % u64::from(count);
                first + offset as u16
            }
        }
    }

    /// Whether a port is among them.
    pub(super) fn contains(&self, port: u16) -> bool {
        match self.kind {
            Order::Steps { next, step, count } => (0..count).any(|n| ahead(next, step, n) == port),
            Order::Leaps { first, count, .. } => port >= first && u32::from(port - first) < count,
        }
    }
}

/// Of how many ports in a row one is tried.
const STRIDE: u16 = 4;

/// Ports that others are believed to take during a round. A side that names more only spends our
/// packets.
const MAX_DRIFT: u16 = 24;

/// The port `n` mappings after `next`, wrapping around within what NATs give out.
pub(super) fn ahead(next: u16, step: i16, n: u16) -> u16 {
    let span = i64::from(u16::MAX - LOWEST) + 1;
    let offset = i64::from(next) - i64::from(LOWEST) + i64::from(step) * i64::from(n);
    LOWEST + offset.rem_euclid(span) as u16
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_range_is_gone_through_once_before_any_port_comes_again() {
        for (first, last) in [(1024, 65535), (2048, 3071), (5000, 5000), (1024, 1025)] {
            let mut ports = Candidates::within(first, last);
            let seen: BTreeSet<_> = (0..ports.len()).map(|_| ports.next()).collect();
            assert_eq!(seen.len(), usize::from(last - first) + 1);
            assert_eq!((seen.first(), seen.last()), (Some(&first), Some(&last)));
            assert!(seen.iter().all(|&port| ports.contains(port)));
            assert!(seen.contains(&ports.next()));
        }
    }

    #[test]
    fn the_first_hundred_ports_of_a_range_are_spread_over_all_of_it() {
        let mut ports = Candidates::within(1024, 65535);
        let mut first: Vec<_> = (0..100).map(|_| ports.next()).collect();
        first.sort_unstable();
        let widest = first.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(widest < Some(2000), "{widest:?}");
    }

    #[test]
    fn a_sequence_goes_up_or_down_by_its_step_and_wraps() {
        let take = |mut ports: Candidates| -> Vec<_> { (0..3).map(|_| ports.next()).collect() };
        assert_eq!(take(Candidates::around(4000, 2, 0, 32)), [4006, 4014, 4022]);
        assert_eq!(
            take(Candidates::around(1028, -1, 0, 32)),
            [1025, 65533, 65529]
        );
        assert_eq!(
            take(Candidates::around(65535, 1, 0, 32)),
            [1026, 1030, 1034]
        );
    }

    #[test]
    fn a_liar_cannot_make_the_ports_many() {
        assert_eq!(Candidates::around(4000, 1, u16::MAX, 24).len(), 12);
        assert_eq!(Candidates::within(0, 65535).len(), 64512);
        assert_eq!(Candidates::within(0, 3).len(), 1);
    }
}
