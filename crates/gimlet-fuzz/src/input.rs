//! Reads choices off an input. At its end every choice is the first one.

use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

/// What is left of an input.
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        let taken = self.take(N);
        std::array::from_fn(|i| taken.get(i).copied().unwrap_or(0))
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let [byte] = self.array();
        byte
    }

    pub(crate) fn bool(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    /// One of `count` things. `count` is not 0.
    pub(crate) fn pick(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count
    }

    /// Up to `most` bytes.
    pub(crate) fn take(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// A length and as many bytes.
    pub(crate) fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte());
        self.take(length)
    }

    /// From nothing to over two minutes, in steps of 2 ms.
    pub(crate) fn span(&mut self) -> Duration {
        Duration::from_millis(2 * u64::from(self.u16()))
    }

    /// An address: any, or one of a few that meet again.
    pub(crate) fn addr(&mut self) -> SocketAddr {
        match self.byte() {
            0 => SocketAddr::from((self.array::<4>(), self.u16())),
            1 => SocketAddr::from((Ipv6Addr::from(self.array::<16>()), self.u16())),
            2 => SocketAddr::from((Ipv6Addr::LOCALHOST, 9)),
            n @ 3..64 => SocketAddr::from((Ipv6Addr::from([0x20 + (n & 3); 16]), 9)),
            // The same IPv4 address as below, spelled as a dual-stack socket does.
            n @ 64..96 => SocketAddr::from((
                [0, 0, 0, 0, 0, 0xffff, 0xc000, 0x0200 + u16::from(n & 7)],
                9,
            )),
            n => SocketAddr::from(([192, 0, 2, n & 7], 9)),
        }
    }
}
