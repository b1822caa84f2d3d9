//! A tunnel's message: what passes the check is packets to the last byte, and nothing else is. And its
//! frames: they come to the same in whatever pieces they come.

use gimlet_proto::tunnel::{
    Assembly, Control, Decoder, FrameError, MAX_PACKET, Role, check, push, split_first,
};

pub(crate) fn run(data: &[u8]) {
    message(data);
    for role in [Role::Client, Role::Server] {
        let whole = frames(role, data, usize::MAX);
        assert_eq!(frames(role, data, 1), whole, "byte by byte");
    }
}

/// The packets and control frames, and what ended them.
fn frames(role: Role, data: &[u8], piece: usize) -> (Vec<u8>, Vec<Control>, Option<FrameError>) {
    let (mut decoder, mut assembly) = (Decoder::new(role), Assembly::default());
    let (mut packets, mut controls) = (Vec::new(), Vec::new());
    for mut input in data.chunks(piece) {
        while !input.is_empty() {
            let read = decoder.read(input, &mut assembly);
            packets.extend(assembly.split(Vec::new));
            match read {
                Ok((taken, control)) => {
                    input = &input[taken..];
                    controls.extend(control);
                }
                Err(error) => return (packets, controls, Some(error)),
            }
        }
    }
    (packets, controls, None)
}

fn message(data: &[u8]) {
    let (mut rest, mut again) = (data, Vec::new());
    let mut whole = true;
    while let Some((packet, after)) = split_first(rest) {
        assert!(after.len() < rest.len(), "every packet shortens the rest");
        assert_eq!(
            push(&mut again, packet),
            (1..=MAX_PACKET).contains(&packet.len())
        );
        whole &= !packet.is_empty() && packet.len() <= MAX_PACKET;
        rest = after;
    }
    match check(data) {
        Ok(()) => assert!(whole && rest.is_empty() && again == data),
        Err(_) => assert!(!whole || !rest.is_empty()),
    }
}
