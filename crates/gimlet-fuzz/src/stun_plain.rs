//! Plain Binding: answers that are small, true, and only given to requests.

use std::net::{Ipv6Addr, SocketAddr};

use gimlet_proto::stun::{
    TransactionId, answer_binding, decode_binding_response, encode_binding_request, is_stun,
    transaction_of,
};

use crate::stun_text::{message, with_fingerprint};

const BINDING_REQUEST: u16 = 0x0001;
const BINDING_RESPONSE: u16 = 0x0101;

/// Longest answer: error 420 with eight unknown attributes and FINGERPRINT.
const MAX_ANSWER: usize = 20 + 28 + 20 + 8;

pub(crate) fn run(data: &[u8]) {
    check(data);
    for kind in [BINDING_REQUEST, BINDING_RESPONSE] {
        let plain = message(kind, data);
        check(&plain);
        check(&with_fingerprint(plain));
    }
    // Forged from anything but the request it answers, a response is not ours.
    if let Some(id) = data.first_chunk::<12>() {
        let request = encode_binding_request(TransactionId(*id));
        assert_eq!(transaction_of(&request), Some(TransactionId(*id)));
        check(&request);
    }
}

fn check(datagram: &[u8]) {
    let v4 = SocketAddr::from(([198, 51, 100, 7], 40_000));
    let mapped = SocketAddr::from(([0, 0, 0, 0, 0, 0xffff, 0xc633, 0x6407], 40_000));
    let v6 = SocketAddr::from((Ipv6Addr::from([0x20; 16]), 40_000));
    for (source, seen) in [(v4, v4), (mapped, v4), (v6, v6)] {
        let Some(answer) = answer_binding(datagram, source) else {
            continue;
        };
        assert!(answer.len() <= MAX_ANSWER, "{} bytes", answer.len());
        assert!(
            answer_binding(&answer, source).is_none(),
            "answers draw none"
        );
        if let Some(response) = decode_binding_response(&answer) {
            assert_eq!(response.mapped, seen);
            assert_eq!(Some(response.transaction), transaction_of(datagram));
        } else {
            let classic = !is_stun(datagram);
            let error = answer[..2] == [0x01, 0x11];
            assert!(classic || error, "an answer is a response, or says why not");
        }
    }
    if let Some(response) = decode_binding_response(datagram) {
        assert_eq!(response.mapped.ip(), response.mapped.ip().to_canonical());
        assert!(is_stun(datagram));
    }
}
