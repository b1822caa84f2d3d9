//! Packets as they are on the wire.

use super::*;

fn datagram(payload: &[u8]) -> Datagram<'_> {
    Datagram {
        src: "192.168.1.2:7000".parse().unwrap(),
        dst: "11.0.0.1:4433".parse().unwrap(),
        payload,
    }
}

#[test]
fn what_is_written_is_read_again() {
    let mut packet = vec![1, 2, 3];
    for payload in [&b""[..], b"x", b"xy", &[0xff; 1472]] {
        write(&datagram(payload), &mut packet).unwrap();
        assert_eq!(packet.len(), 28 + payload.len());
        assert_eq!(parse(&packet), Some(datagram(payload)));
    }
}

#[test]
fn both_checksums_are_the_internet_checksum() {
    let mut packet = Vec::new();
    for payload in [&b"odd"[..], b"even"] {
        write(&datagram(payload), &mut packet).unwrap();
        assert_eq!(fold(sum(&packet[..20])), 0);
        let pseudo = sum(&packet[12..20]) + 17 + (packet.len() as u64 - 20);
        assert_eq!(fold(pseudo + sum(&packet[20..])), 0);
    }
}

#[test]
fn what_is_not_a_whole_datagram_is_nothing() {
    let mut packet = Vec::new();
    write(&datagram(b"hello"), &mut packet).unwrap();
    for len in 0..packet.len() {
        assert_eq!(parse(&packet[..len]), None, "{len} bytes");
    }
    for (at, byte) in [(0, 0x60), (9, 1), (6, 0x20), (7, 1), (0, 0x4f), (24, 0xff)] {
        let mut other = packet.clone();
        other[at] = byte;
        assert_eq!(parse(&other), None, "byte {at} is {byte:#x}");
    }
}

#[test]
fn more_than_a_packet_holds_is_refused() {
    let mut packet = Vec::new();
    let most = [0; 65_535 - 28];
    assert_eq!(write(&datagram(&most), &mut packet), Ok(()));
    let more = [0; 65_535 - 27];
    assert_eq!(write(&datagram(&more), &mut packet), Err(TooLong));
}
