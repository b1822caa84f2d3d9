//! A tunnel's message: what passes the check is packets to the last byte, and nothing else is.

use gimlet_proto::tunnel::{MAX_PACKET, check, push, split_first};

pub(crate) fn run(data: &[u8]) {
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
