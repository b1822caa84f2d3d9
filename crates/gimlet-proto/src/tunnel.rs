//! Datagrams over a stream, for where UDP is blocked: how they are framed, and the addresses that
//! stand for tunnels.
//!
//! A tunnel is a WebSocket on TLS. Each of its binary messages is any number of packets, each behind
//! its length in two bytes. A packet is what would have been one UDP datagram; like one it may get
//! lost, since every queue on the way drops what it has no room for.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

mod decoder;
mod frame;
mod mask;

pub use decoder::{Assembly, Control, Decoder, FrameError};
pub use frame::{AFTER, BEFORE, Batch, Frame, MAX_CONTROL, Opcode, Role, SECTION, control};

/// Where the WebSocket is found on the server. The number is the version of what it carries.
pub const PATH: &str = "/gimlet/1";

/// Most bytes of one message: with its header it fills four TLS records of 16 KiB to the last byte. Larger
/// ones would hold up the packets behind them and save nothing: this is about the most that one
/// system call takes from a UDP socket, too.
pub const MAX_MESSAGE: usize = 64 * 1024 - 8;

/// Longest packet: what a 1,500-byte link carries, which is more than anything of ours is.
pub const MAX_PACKET: usize = 1500;

/// Bytes in front of each packet.
pub const LENGTH_LEN: usize = 2;

/// `fd74:6c73::/32`, "tls" in the locally assigned block (RFC 4193). Never sent on a wire.
const PREFIX: [u8; 4] = [0xfd, b't', b'l', b's'];

/// Stands for a server whose address only a proxy knows. No tunnel gets it.
pub const NOWHERE: Ipv6Addr = Ipv6Addr::new(0xfd74, 0x6c73, 0, 0, 0, 0, 0, 0);

/// Bytes that say from where a tunnel comes: with the prefix, the 56 bits by which limits tell
/// senders over IPv6 apart.
pub const ORIGIN_LEN: usize = 3;

/// One port for all: tunnels differ in the address.
const PORT: u16 = 1;

/// Appends a packet to a message. Returns false, and appends nothing, where it is empty, too long, or
/// has no room.
pub fn push(message: &mut Vec<u8>, packet: &[u8]) -> bool {
    let fits = message.len() + LENGTH_LEN + packet.len() <= MAX_MESSAGE;
    if packet.is_empty() || packet.len() > MAX_PACKET || !fits {
        return false;
    }
    message.extend_from_slice(&(packet.len() as u16).to_be_bytes());
    message.extend_from_slice(packet);
    true
}

/// A message that is not a sequence of packets: whoever sends one does not speak this protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Longer than [`MAX_MESSAGE`].
    #[error("a message of {found} bytes is too long")]
    Message {
        /// Its length.
        found: usize,
    },
    /// A packet of no bytes, or of more than [`MAX_PACKET`].
    #[error("a packet of {found} bytes is not one")]
    Packet {
        /// Its length.
        found: usize,
    },
    /// It ends within a packet or a length.
    #[error("the message ends within a packet")]
    Truncated,
}

/// Whether a message is a sequence of packets, to the last byte.
///
/// # Errors
///
/// [`MessageError`], what is wrong with it.
pub fn check(message: &[u8]) -> Result<(), MessageError> {
    if message.len() > MAX_MESSAGE {
        let found = message.len();
        return Err(MessageError::Message { found });
    }
    let mut rest = message;
    while !rest.is_empty() {
        let Some((length, after)) = rest.split_first_chunk() else {
            return Err(MessageError::Truncated);
        };
        let found = usize::from(u16::from_be_bytes(*length));
        if !(1..=MAX_PACKET).contains(&found) {
            return Err(MessageError::Packet { found });
        }
        rest = after.get(found..).ok_or(MessageError::Truncated)?;
    }
    Ok(())
}

/// The first packet of a [checked](check) message and what comes after it. `None` at the end, and
/// for anything that is no packet.
pub fn split_first(message: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, after) = message.split_first_chunk()?;
    after.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

/// The address that stands for a tunnel at its server, and that peers see as observed.
///
/// `origin` is the same for all tunnels from one network; `unique` is drawn for each.
pub fn address(origin: [u8; ORIGIN_LEN], unique: [u8; 9]) -> SocketAddr {
    let mut octets = [0; 16];
    octets[..4].copy_from_slice(&PREFIX);
    octets[4..7].copy_from_slice(&origin);
    octets[7..].copy_from_slice(&unique);
    SocketAddr::new(Ipv6Addr::from(octets).into(), PORT)
}

/// Whether an address stands for a tunnel: nobody can be reached there.
pub fn is_tunnel(addr: SocketAddr) -> bool {
    match addr.ip() {
        IpAddr::V6(ip) => ip.octets().starts_with(&PREFIX),
        IpAddr::V4(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packets(mut message: &[u8]) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        while let Some((packet, rest)) = split_first(message) {
            packets.push(packet.to_vec());
            message = rest;
        }
        packets
    }

    #[test]
    fn a_message_holds_as_many_packets_as_fit_and_no_more() {
        let mut message = Vec::new();
        let packet = [7; 1200];
        let pushed = (0..100).take_while(|_| push(&mut message, &packet)).count();
        assert_eq!(pushed, MAX_MESSAGE / (1200 + LENGTH_LEN));
        assert_eq!(check(&message), Ok(()));
        assert_eq!(packets(&message), vec![packet.to_vec(); pushed]);
    }

    #[test]
    fn empty_and_oversized_packets_are_not_packets() {
        let mut message = Vec::new();
        assert!(!push(&mut message, &[]));
        assert!(!push(&mut message, &[0; MAX_PACKET + 1]));
        assert!(message.is_empty());
        assert_eq!(check(&[0, 0]), Err(MessageError::Packet { found: 0 }));
        let long = [&1501u16.to_be_bytes()[..], &[0; 1501]].concat();
        assert_eq!(check(&long), Err(MessageError::Packet { found: 1501 }));
        let long = vec![0; MAX_MESSAGE + 1];
        let found = long.len();
        assert_eq!(check(&long), Err(MessageError::Message { found }));
    }

    #[test]
    fn a_message_cut_short_is_refused_at_every_length_but_between_packets() {
        let mut message = Vec::new();
        assert!(push(&mut message, b"one") && push(&mut message, b"three"));
        for length in 0..message.len() {
            let expected = match length {
                0 | 5 => Ok(()),
                _ => Err(MessageError::Truncated),
            };
            assert_eq!(check(&message[..length]), expected, "{length}");
        }
    }

    #[test]
    fn tunnels_are_told_from_other_addresses() {
        let tunnel = address([1, 2, 3], [4; 9]);
        assert_eq!(tunnel.to_string(), "[fd74:6c73:102:304:404:404:404:404]:1");
        assert!(is_tunnel(tunnel));
        for other in ["[fd67:696d:6c74::1]:1", "[2001:db8::1]:1", "192.0.2.1:1"] {
            assert!(!is_tunnel(other.parse().unwrap()));
        }
    }

    proptest! {
        #[test]
        fn what_is_pushed_comes_out(sizes in proptest::collection::vec(1..=MAX_PACKET, 0..40)) {
            let mut message = Vec::new();
            let sent: Vec<_> = sizes.iter().map(|&size| vec![size as u8; size]).collect();
            let fitting: Vec<_> = sent.into_iter().filter(|p| push(&mut message, p)).collect();
            prop_assert_eq!(check(&message), Ok(()));
            prop_assert_eq!(packets(&message), fitting);
        }

        #[test]
        fn no_message_makes_it_panic(message in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = check(&message);
            let _ = packets(&message);
        }
    }
}
