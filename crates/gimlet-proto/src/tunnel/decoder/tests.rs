//! Frames in pieces of any size, and what is refused.

use proptest::prelude::*;

use super::super::frame::{AFTER, BEFORE, Batch, SECTION, control};
use super::super::{push, split_first};
use super::*;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

fn mask(role: Role) -> Option<[u8; 4]> {
    (role == Role::Server).then_some(KEY)
}

/// A message as it comes to this end.
fn frame(role: Role, packets: &[Vec<u8>]) -> Vec<u8> {
    let mut batch = Batch::default();
    assert!(packets.iter().all(|packet| batch.push(packet)));
    batch.seal(mask(role)).plain()
}

/// Everything that comes of these bytes, given in pieces of this size.
fn read(
    role: Role,
    bytes: &[u8],
    piece: usize,
) -> Result<(Vec<Vec<u8>>, Vec<Control>), FrameError> {
    let (mut decoder, mut assembly) = (Decoder::new(role), Assembly::default());
    let (mut packets, mut controls) = (Vec::new(), Vec::new());
    for mut piece in bytes.chunks(piece) {
        while !piece.is_empty() {
            let (taken, control) = decoder.read(piece, &mut assembly)?;
            assert!(taken > 0 || assembly.is_full());
            piece = &piece[taken..];
            controls.extend(control);
            if assembly.is_full() {
                packets.extend(packets_of(&assembly.split(Vec::new)));
            }
        }
    }
    packets.extend(packets_of(&assembly.split(Vec::new)));
    Ok((packets, controls))
}

fn packets_of(mut message: &[u8]) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    while let Some((packet, rest)) = split_first(message) {
        packets.push(packet.to_vec());
        message = rest;
    }
    assert!(message.is_empty());
    packets
}

fn error(role: Role, bytes: &[u8]) -> FrameError {
    let whole = read(role, bytes, usize::MAX).unwrap_err();
    assert_eq!(read(role, bytes, 1).unwrap_err(), whole, "byte by byte");
    whole
}

#[test]
fn a_full_message_and_its_header_fill_whole_records() {
    let packets = vec![vec![7; 1500]; 100];
    let mut batch = Batch::default();
    let fitting = packets
        .iter()
        .take_while(|packet| batch.push(packet))
        .count();
    assert!(batch.push(&vec![7; MAX_MESSAGE - batch.len() - 2]));
    assert!(!batch.push(&[1]));
    assert_eq!(batch.len(), MAX_MESSAGE);
    assert_eq!(batch.packets(), fitting + 1);
    let mut frame = batch.seal(Some(KEY));
    let full = frame.sections_mut();
    assert!(
        full.map(|section| section.len())
            .eq([BEFORE + SECTION + AFTER; 4])
    );
    let bytes = frame.plain();
    assert_eq!(bytes.len(), 4 * SECTION);
    let (read, _) = read(Role::Server, &bytes, 16 * 1024).unwrap();
    assert_eq!(read.len(), fitting + 1);
}

#[test]
fn packets_are_passed_on_before_their_message_has_ended() {
    let bytes = frame(Role::Client, &[vec![1; 100], vec![2; 100]]);
    let (mut decoder, mut assembly) = (Decoder::new(Role::Client), Assembly::default());
    let (first, second) = bytes.split_at(150);
    assert_eq!(decoder.read(first, &mut assembly), Ok((150, None)));
    assert_eq!(packets_of(&assembly.split(Vec::new)), [vec![1; 100]]);
    decoder.read(second, &mut assembly).unwrap();
    assert_eq!(packets_of(&assembly.split(Vec::new)), [vec![2; 100]]);
}

#[test]
fn control_frames_stand_between_messages() {
    for role in [Role::Client, Role::Server] {
        let ask = |payload: &[u8]| control(Opcode::Ping, payload, mask(role));
        let bytes = [
            ask(b"there?"),
            frame(role, &[b"one".to_vec()]),
            control(Opcode::Pong, b"", mask(role)),
            frame(role, &[]),
            frame(role, &[b"two".to_vec()]),
            control(Opcode::Close, &[3, 232], mask(role)),
        ]
        .concat();
        for piece in [1, 2, 3, 7, usize::MAX] {
            let (packets, controls) = read(role, &bytes, piece).unwrap();
            assert_eq!(packets, [b"one", b"two"]);
            let ping = Control::Ping(b"there?".to_vec());
            assert_eq!(controls, [ping, Control::Pong, Control::Close]);
        }
    }
}

#[test]
fn what_no_end_of_a_tunnel_sends_is_refused() {
    let to_client = |bytes: &[u8]| error(Role::Client, bytes);
    assert_eq!(to_client(&[0xc2]), FrameError::Reserved { first: 0xc2 });
    assert_eq!(to_client(&[0x83]), FrameError::Reserved { first: 0x83 });
    assert_eq!(to_client(&[0x02]), FrameError::Fragment);
    assert_eq!(to_client(&[0x80]), FrameError::Fragment);
    assert_eq!(to_client(&[0x09]), FrameError::Fragment);
    assert_eq!(to_client(&[0x81]), FrameError::Text);
    assert_eq!(to_client(&[0x82, 0x80]), FrameError::Mask);
    assert_eq!(error(Role::Server, &[0x82, 0x00]), FrameError::Mask);
    assert_eq!(to_client(&[0x89, 126]), FrameError::Control);
    assert_eq!(to_client(&[0x82, 126, 0, 125]), FrameError::Length);
    let long = |found| FrameError::Message(MessageError::Message { found });
    assert_eq!(to_client(&[0x82, 127]), long(65_536));
    assert_eq!(to_client(&[0x82, 126, 0xff, 0xf9]), long(65_529));
    let packet = |found| FrameError::Message(MessageError::Packet { found });
    assert_eq!(to_client(&[0x82, 2, 0, 0]), packet(0));
    assert_eq!(to_client(&[0x82, 3, 5, 221]), packet(1501));
    let truncated = FrameError::Message(MessageError::Truncated);
    assert_eq!(to_client(&[0x82, 3, 0, 2, 1]), truncated);
    assert_eq!(to_client(&[0x82, 1, 0]), truncated);
}

fn any_role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Client), Just(Role::Server)]
}

proptest! {
    #[test]
    fn what_is_framed_comes_out_whatever_the_pieces_are(
        role in any_role(),
        sizes in proptest::collection::vec(
            proptest::collection::vec(1..=MAX_PACKET, 0..8), 0..8),
        piece in 1..20_000usize,
    ) {
        let messages: Vec<Vec<Vec<u8>>> = sizes.iter()
            .map(|sizes| sizes.iter().map(|&size| vec![size as u8; size]).collect())
            .collect();
        let bytes: Vec<u8> = messages.iter().flat_map(|packets| frame(role, packets)).collect();
        let (packets, _) = read(role, &bytes, piece).unwrap();
        prop_assert_eq!(packets, messages.concat());
    }

    #[test]
    fn no_bytes_make_it_panic_and_pieces_change_nothing(
        role in any_role(),
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        first in proptest::sample::select(vec![0x82u8, 0x88, 0x89, 0x8a]),
        piece in 1..20usize,
    ) {
        let bytes = [&[first][..], &bytes].concat();
        prop_assert_eq!(read(role, &bytes, piece), read(role, &bytes, usize::MAX));
    }

    #[test]
    fn a_message_is_judged_as_by_its_check(body in proptest::collection::vec(0..4u8, 0..60)) {
        let bytes = [&[0x82, body.len() as u8][..], &body].concat();
        let judged = read(Role::Client, &bytes, usize::MAX).map(|(packets, _)| packets);
        let expected = super::super::check(&body).map(|()| {
            let mut again = Vec::new();
            let packets = packets_of(&body);
            assert!(packets.iter().all(|packet| push(&mut again, packet)) && again == body);
            packets
        });
        prop_assert_eq!(judged, expected.map_err(FrameError::from));
    }
}
