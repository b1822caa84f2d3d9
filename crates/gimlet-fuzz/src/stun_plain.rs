//! Plain Binding and behaviour discovery: answers that are small, true, only given to requests, and only
//! sent to whom they came from.

use std::net::{Ipv6Addr, SocketAddr};

use gimlet_proto::stun::{
    Change, TransactionId, Vantage, answer_binding, answer_discovery, decode_binding_error,
    decode_binding_response, encode_binding_request, encode_probe, is_stun, transaction_of,
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
        let ports = data.get(12..15);
        let change = Change {
            ip: ports.is_some_and(|bytes| bytes[0] & 1 != 0),
            port: ports.is_some_and(|bytes| bytes[0] & 2 != 0),
        };
        let port = ports.map(|bytes| u16::from_be_bytes([bytes[1], bytes[2]]));
        let probe = encode_probe(TransactionId(*id), change, port);
        check(&probe);
        let source = SocketAddr::from(([198, 51, 100, 7], 40_000));
        match answer_discovery(&probe, source, &vantage(source)) {
            Some(reply) => {
                assert_eq!(reply.from, change);
                assert_eq!(reply.to.port(), port.unwrap_or(source.port()));
            }
            None => assert_eq!(port, Some(0)),
        }
    }
}

/// A server with all there can be, in the family of `source`.
fn vantage(source: SocketAddr) -> Vantage {
    Vantage {
        here: Some(SocketAddr::new(source.ip().to_canonical(), 13_000)),
        other_ip: Some(source.ip().to_canonical()),
        other_port: Some(13_001),
    }
}

/// Longest answer of discovery: three IPv6 addresses and FINGERPRINT.
const MAX_REPLY: usize = 20 + 3 * 24 + 8;

fn check(datagram: &[u8]) {
    let v4 = SocketAddr::from(([198, 51, 100, 7], 40_000));
    let mapped = SocketAddr::from(([0, 0, 0, 0, 0, 0xffff, 0xc633, 0x6407], 40_000));
    let v6 = SocketAddr::from((Ipv6Addr::from([0x20; 16]), 40_000));
    for (source, seen) in [(v4, v4), (mapped, v4), (v6, v6)] {
        if let Some(reply) = answer_discovery(datagram, source, &vantage(source)) {
            assert!(reply.bytes.len() <= MAX_REPLY.max(MAX_ANSWER));
            assert_eq!(reply.to.ip(), seen.ip(), "to nobody else");
            if let Some(response) = decode_binding_response(&reply.bytes) {
                assert_eq!(response.mapped, seen);
                assert_eq!(response.origin.is_some(), !reply.is_plain);
            }
        }
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
    if decode_binding_error(datagram).is_some() {
        assert!(is_stun(datagram) && decode_binding_response(datagram).is_none());
    }
    if let Some(response) = decode_binding_response(datagram) {
        assert_eq!(response.mapped.ip(), response.mapped.ip().to_canonical());
        assert!(is_stun(datagram));
    }
}
