//! IPv4 with UDP in it, to and from bytes: all that the virtual network carries.

use std::net::{Ipv4Addr, SocketAddrV4};

/// Bytes of an IPv4 header without options.
const IP_HEADER: usize = 20;
/// Bytes of a UDP header.
const UDP_HEADER: usize = 8;
/// The protocol number of UDP.
const UDP: u8 = 17;
/// "Don't fragment", in the flags' first byte.
const DONT_FRAGMENT: u8 = 0x40;
/// "More fragments" and the fragment offset: both zero in a whole datagram.
const FRAGMENT: u16 = 0x3fff;
/// Hops a packet may take. Nothing here counts them.
const TTL: u8 = 64;

/// One datagram with its two ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Datagram<'a> {
    pub(super) src: SocketAddrV4,
    pub(super) dst: SocketAddrV4,
    pub(super) payload: &'a [u8],
}

/// The datagram in a packet; nothing for what is not a whole UDP datagram over IPv4. Packets
/// come from this machine's kernel, so checksums are not looked at.
pub(super) fn parse(packet: &[u8]) -> Option<Datagram<'_>> {
    let head = packet.get(..IP_HEADER)?;
    let (version, words) = (head[0] >> 4, usize::from(head[0] & 0x0f));
    if version != 4 || head[9] != UDP || u16_at(head, 6)? & FRAGMENT != 0 {
        return None;
    }
    let len = usize::from(u16_at(head, 2)?);
    let udp = packet.get(words * 4..len)?;
    let udp_len = usize::from(u16_at(udp, 4)?);
    Some(Datagram {
        src: SocketAddrV4::new(address_at(head, 12)?, u16_at(udp, 0)?),
        dst: SocketAddrV4::new(address_at(head, 16)?, u16_at(udp, 2)?),
        payload: udp.get(UDP_HEADER..udp_len)?,
    })
}

/// Writes a datagram as a packet, checksums included, replacing what was in `out`.
pub(super) fn write(datagram: &Datagram<'_>, out: &mut Vec<u8>) -> Result<(), TooLong> {
    let udp_len = UDP_HEADER + datagram.payload.len();
    let udp_len16 = u16::try_from(udp_len).map_err(|_| TooLong)?;
    let len16 = u16::try_from(IP_HEADER + udp_len).map_err(|_| TooLong)?;
    let (src, dst) = (datagram.src.ip().octets(), datagram.dst.ip().octets());
    out.clear();
    out.extend([0x45, 0]);
    out.extend(len16.to_be_bytes());
    out.extend([0, 0, DONT_FRAGMENT, 0, TTL, UDP, 0, 0]);
    out.extend(src);
    out.extend(dst);
    let checksum = fold(sum(out));
    out[10..12].copy_from_slice(&checksum.to_be_bytes());
    out.extend(datagram.src.port().to_be_bytes());
    out.extend(datagram.dst.port().to_be_bytes());
    out.extend(udp_len16.to_be_bytes());
    out.extend([0, 0]);
    out.extend(datagram.payload);
    let pseudo = sum(&src) + sum(&dst) + u64::from(UDP) + u64::from(udp_len16);
    // Zero would say that there is no checksum.
    let checksum = match fold(pseudo + sum(&out[IP_HEADER..])) {
        0 => u16::MAX,
        checksum => checksum,
    };
    out[IP_HEADER + 6..IP_HEADER + 8].copy_from_slice(&checksum.to_be_bytes());
    Ok(())
}

/// No packet is that long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLong;

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at + 2)?;
    Some(u16::from_be_bytes([bytes[0], bytes[1]]))
}

fn address_at(bytes: &[u8], at: usize) -> Option<Ipv4Addr> {
    let octets: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(octets.into())
}

/// The sum of 16-bit words, an odd last byte taken as the high one. Cannot overflow: a packet
/// has fewer than 2^15 words.
fn sum(bytes: &[u8]) -> u64 {
    let (pairs, odd) = bytes.as_chunks::<2>();
    let words = pairs
        .iter()
        .map(|&pair| u64::from(u16::from_be_bytes(pair)));
    words.sum::<u64>() + odd.first().map_or(0, |&byte| u64::from(byte) << 8)
}

/// The internet checksum of a sum (RFC 1071).
fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests;
