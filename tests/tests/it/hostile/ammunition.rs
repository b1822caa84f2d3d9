//! What is thrown.

use gimlet_proto::demux::{Kind, classify};
use gimlet_proto::frame::{Frame, FrameKind};

/// Largest payload of a UDP datagram over IPv4.
const LARGEST: usize = 65_507;

/// Copies of one kind that are thrown: enough of each, and fewer handshakes than a server lets a
/// neighbour begin.
const MAX_COPIES: usize = 24;

struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % below
    }
}

/// Random bytes behind every first byte, and the largest datagrams; the same for the same seed.
pub(super) fn noise(seed: u64) -> Vec<Vec<u8>> {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ seed);
    let mut all = vec![Vec::new()];
    for first in 0..=u8::MAX {
        let length = 1 + dice.roll(1400);
        let mut datagram: Vec<u8> = (0..length).map(|_| dice.roll(256) as u8).collect();
        datagram[0] = first;
        all.push(datagram);
    }
    // STUN headers that are right, with attributes that are not.
    for _ in 0..64 {
        let length = 4 * dice.roll(64);
        let mut datagram = vec![dice.roll(2) as u8, 1, 0, length as u8];
        datagram.extend([0x21, 0x12, 0xa4, 0x42]);
        datagram.extend((0..12 + length).map(|_| dice.roll(256) as u8));
        all.push(datagram);
    }
    // Frames of all kinds of a session that nobody has.
    for kind in 0..64 {
        let mut datagram = vec![8, kind % 6];
        datagram.extend((0..8 + dice.roll(100)).map(|_| dice.roll(256) as u8));
        all.push(datagram);
    }
    all.extend([0, 8, 0x40, 0xc0, 0x20].map(|first| vec![first; LARGEST]));
    all
}

/// Copies of what was seen: as it was, cut short, with a bit changed, and with more behind it.
pub(super) fn captured(seen: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let sorts: [fn(&[u8]) -> bool; 4] = [
        |datagram| classify(datagram) == Some(Kind::Stun),
        |datagram| Frame::decode(datagram).is_some_and(|f| f.kind == FrameKind::Data),
        |datagram| Frame::decode(datagram).is_some_and(|f| f.kind == FrameKind::Bind),
        |datagram| classify(datagram) == Some(Kind::Quic),
    ];
    let mut all = Vec::new();
    for is_of_this_sort in sorts {
        let of_this_sort = seen.iter().filter(|datagram| is_of_this_sort(datagram));
        let before = all.len();
        for datagram in of_this_sort.take(MAX_COPIES) {
            all.push(datagram.clone());
            all.push(datagram[..1 + dice.roll(datagram.len())].to_vec());
            let mut disturbed = datagram.clone();
            // Not in the first byte: it stays what it is.
            let at = 1 + dice.roll(disturbed.len() - 1);
            disturbed[at] ^= 1 << dice.roll(8);
            all.push(disturbed);
            all.push([&datagram[..], &[0; 5]].concat());
        }
        assert!(all.len() > before, "something of each sort was seen");
    }
    all
}
