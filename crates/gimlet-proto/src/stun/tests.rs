//! Binding for anybody and checks between peers, byte by byte.

use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::secret::Credentials;

const ID: TransactionId = TransactionId([7; 12]);

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn credentials(n: u8) -> Credentials {
    Credentials {
        fragment: [n; 8],
        password: [n; 16],
    }
}

fn seal() -> Seal {
    Seal::new(&credentials(1), &credentials(2))
}

fn check(nominate: bool) -> Check {
    Check {
        transaction: ID,
        priority: 0x6e00_1eff,
        role: CheckRole::Controlling {
            tie_breaker: 0x0102_0304_0000_0005,
            nominate,
        },
    }
}

/// Adds attributes to a message and puts its length right.
fn with_attributes(message: &[u8], attributes: &[u8]) -> Vec<u8> {
    let mut message = [message, attributes].concat();
    let length = u16::try_from(message.len() - 20).unwrap();
    message[2..4].copy_from_slice(&length.to_be_bytes());
    message
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(u8::is_ascii_hexdigit)
        .map(|b| (b as char).to_digit(16).unwrap() as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

// --- plain Binding ---

#[test]
fn a_bare_request_is_answered_with_xor_mapped_address_alone() {
    let request = encode_binding_request(ID);
    assert_eq!(request.len(), 20);
    for (source, length) in [("203.0.113.9:4242", 32), ("[2001:db8::9]:4242", 44)] {
        let answer = answer_binding(&request, addr(source)).unwrap();
        assert_eq!(answer.len(), length);
        let response = decode_binding_response(&answer).unwrap();
        assert_eq!((response.transaction, response.mapped), (ID, addr(source)));
    }
}

#[test]
fn the_bytes_of_request_and_answer_are_these() {
    let request = encode_binding_request(ID);
    assert_eq!(request, hex("00010000 2112a442 07070707 07070707 07070707"));
    let answer = answer_binding(&request, addr("192.0.2.1:32853")).unwrap();
    let expected = "0101000c 2112a442 07070707 07070707 07070707 00200008 0001a147 e112a643";
    assert_eq!(answer, hex(expected));
}

#[test]
fn a_mapped_ipv6_source_is_answered_as_ipv4() {
    let request = encode_binding_request(ID);
    let mapped = answer_binding(&request, addr("[::ffff:203.0.113.9]:4242"));
    assert_eq!(mapped, answer_binding(&request, addr("203.0.113.9:4242")));
}

#[test]
fn the_responses_of_rfc_5769_are_read() {
    // Sections 2.2 and 2.3: with SOFTWARE, MESSAGE-INTEGRITY and FINGERPRINT.
    let v4 = hex(
        "0101003c 2112a442 b7e7a701 bc34d686 fa87dfae 8022000b 74657374 20766563 746f7220
         00200008 0001a147 e112a643 00080014 2b91f599 fd9e90c3 8c7489f9 2af9ba53 f06be7d7
         80280004 c07d4c96",
    );
    assert_eq!(
        decode_binding_response(&v4).unwrap().mapped,
        addr("192.0.2.1:32853")
    );
    let v6 = hex(
        "01010048 2112a442 b7e7a701 bc34d686 fa87dfae 8022000b 74657374 20766563 746f7220
         00200014 0002a147 0113a9fa a5d3f179 bc25f4b5 bed2b9d9 00080014 a382954e 4be67bf1
         1784c97c 8292c275 bfe3ed41 80280004 c8fb0b4c",
    );
    let expected = addr("[2001:db8:1234:5678:11:2233:4455:6677]:32853");
    assert_eq!(decode_binding_response(&v6).unwrap().mapped, expected);
    // All that the fingerprint covers, and its value.
    for at in (8..72).chain(76..80) {
        let mut broken = v4.clone();
        broken[at] ^= 4;
        assert_eq!(decode_binding_response(&broken), None, "byte {at}");
    }
}

#[test]
fn a_fingerprint_is_answered_with_a_fingerprint_and_a_wrong_one_not_at_all() {
    // RFC 5769 section 2.1: SOFTWARE, PRIORITY, ICE-CONTROLLED, USERNAME, MESSAGE-INTEGRITY.
    let request = hex(
        "00010058 2112a442 b7e7a701 bc34d686 fa87dfae 80220010 5354554e 20746573 7420636c
         69656e74 00240004 6e0001ff 80290008 932ff9b1 51263b36 00060009 6576746a 3a683676
         59202020 00080014 9aeaa70c bfd8cb56 781ef2b5 b2d3f249 c1b571a2 80280004 e57a3bcf",
    );
    let answer = answer_binding(&request, addr("192.0.2.1:9")).unwrap();
    let fingerprint = &answer[answer.len() - 8..];
    assert_eq!(fingerprint[..4], [0x80, 0x28, 0, 4]);
    // It carries PRIORITY, which is for peers: unknown here.
    assert_eq!(answer[..2], [1, 0x11]);
    let mut broken = request;
    *broken.last_mut().unwrap() ^= 1;
    assert_eq!(answer_binding(&broken, addr("192.0.2.1:9")), None);
}

#[test]
fn what_must_be_understood_and_is_not_is_listed_in_error_420() {
    let bare = encode_binding_request(ID);
    let request = with_attributes(&bare, &hex("7ffe0004 00000000 80ff0004 00000000 7ffd0000"));
    let answer = answer_binding(&request, addr("192.0.2.1:9")).unwrap();
    assert_eq!(answer[..2], [1, 0x11]);
    assert_eq!(answer[20..28], hex("00090015 00000414"));
    assert!(answer.ends_with(&hex("000a0004 7ffe7ffd")));
    assert_eq!(decode_binding_response(&answer), None);
}

#[test]
fn requests_to_answer_from_elsewhere_are_refused() {
    let bare = encode_binding_request(ID);
    let elsewhere = with_attributes(&bare, &hex("00030004 00000006"));
    let answer = answer_binding(&elsewhere, addr("192.0.2.1:9")).unwrap();
    assert_eq!(answer[..2], [1, 0x11]);
    let here = with_attributes(&bare, &hex("00030004 00000000"));
    let answer = answer_binding(&here, addr("192.0.2.1:9")).unwrap();
    assert_eq!(answer[..2], [1, 1]);
}

// --- behaviour discovery ---

fn vantage(second: bool) -> Vantage {
    Vantage {
        here: Some(addr("192.0.2.10:3478")),
        other_ip: second.then(|| "192.0.2.11".parse().unwrap()),
        other_port: Some(3479),
    }
}

const SOURCE: &str = "203.0.113.9:4242";

fn ask(change: Change, port: Option<u16>, vantage: &Vantage) -> Option<Reply> {
    answer_discovery(&encode_probe(ID, change, port), addr(SOURCE), vantage)
}

fn change(ip: bool, port: bool) -> Change {
    Change { ip, port }
}

#[test]
fn the_bytes_of_a_probe_and_its_answer_are_these() {
    let probe = encode_probe(ID, change(true, true), Some(40_000));
    let expected = "00010010 2112a442 07070707 07070707 07070707
                    00030004 00000006 00270004 9c400000";
    assert_eq!(probe, hex(expected));
    let reply = ask(change(false, true), None, &vantage(true)).unwrap();
    let expected = "01010024 2112a442 07070707 07070707 07070707 00200008 00013180 ea12d54b
                    802b0008 00010d97 c000020a 802c0008 00010d97 c000020b";
    assert_eq!(reply.bytes, hex(expected));
}

#[test]
fn what_is_asked_for_is_changed_and_told() {
    for (asked, origin) in [
        (change(false, false), "192.0.2.10:3478"),
        (change(false, true), "192.0.2.10:3479"),
        (change(true, false), "192.0.2.11:3478"),
        (change(true, true), "192.0.2.11:3479"),
    ] {
        let reply = ask(asked, None, &vantage(true)).unwrap();
        assert_eq!((reply.from, reply.to), (asked, addr(SOURCE)));
        assert!(!reply.is_plain);
        let response = decode_binding_response(&reply.bytes).unwrap();
        assert_eq!(response.mapped, addr(SOURCE));
        assert_eq!(response.origin, Some(addr(origin)));
        assert_eq!(response.other, Some(addr("192.0.2.11:3479")));
    }
}

#[test]
fn a_server_of_one_address_changes_its_port_and_refuses_the_address() {
    let reply = ask(change(false, true), None, &vantage(false)).unwrap();
    let response = decode_binding_response(&reply.bytes).unwrap();
    assert_eq!(response.origin, Some(addr("192.0.2.10:3479")));
    assert_eq!(response.other, Some(addr("192.0.2.10:3479")));
    let refused = ask(change(true, true), None, &vantage(false)).unwrap();
    assert!(refused.is_plain && refused.from == Change::default());
    assert_eq!(decode_binding_error(&refused.bytes), Some(ID));
    assert!(refused.bytes.ends_with(&hex("000a0002 00030000")));
}

#[test]
fn a_bare_request_is_told_of_a_second_address_and_of_no_second_port() {
    let bare = encode_binding_request(ID);
    let padding = with_attributes(&bare, &[&hex("002605dc")[..], &[0; 1500]].concat());
    for request in [&bare, &padding] {
        let one = answer_discovery(request, addr(SOURCE), &vantage(false)).unwrap();
        assert_eq!((one.bytes.len(), one.is_plain), (32, true));
        let two = answer_discovery(request, addr(SOURCE), &vantage(true)).unwrap();
        assert_eq!((two.bytes.len(), two.is_plain), (56, false));
    }
}

#[test]
fn an_answer_to_another_port_goes_to_the_same_address() {
    let reply = ask(Change::default(), Some(9), &vantage(false)).unwrap();
    assert_eq!(reply.to, addr("203.0.113.9:9"));
    assert_eq!(ask(Change::default(), Some(0), &vantage(false)), None);
    // RFC 5780 section 7.6: not together with PADDING.
    let both = encode_probe(ID, Change::default(), Some(9));
    let both = with_attributes(&both, &hex("00260004 00000000"));
    assert_eq!(answer_discovery(&both, addr(SOURCE), &vantage(false)), None);
    // Its padding may be counted or not.
    let short = with_attributes(&encode_binding_request(ID), &hex("00270002 00090000"));
    let reply = answer_discovery(&short, addr(SOURCE), &vantage(false)).unwrap();
    assert_eq!(reply.to, addr("203.0.113.9:9"));
}

#[test]
fn malformed_discovery_is_not_answered() {
    let bare = encode_binding_request(ID);
    for attribute in [
        "00030000",
        "00030008 00000000 00000006",
        "00270000",
        "00270001 09000000",
    ] {
        let request = with_attributes(&bare, &hex(attribute));
        let reply = answer_discovery(&request, addr(SOURCE), &vantage(true));
        assert_eq!(reply, None, "{attribute}");
    }
}

#[test]
fn credentials_of_a_client_change_nothing() {
    let bare = encode_binding_request(ID);
    let request = with_attributes(&bare, &hex("00060003 616c6900 80220003 61626300"));
    let answer = answer_binding(&request, addr("192.0.2.1:9")).unwrap();
    assert_eq!(answer.len(), 32);
}

#[test]
fn clients_of_rfc_3489_get_mapped_address() {
    let request = hex("00010000 aabbccdd 01020304 05060708 090a0b0c");
    let answer = answer_binding(&request, addr("192.0.2.1:32853")).unwrap();
    let expected = "0101000c aabbccdd 01020304 05060708 090a0b0c 00010008 00018055 c0000201";
    assert_eq!(answer, hex(expected));
    assert_eq!(answer_binding(&request, addr("[2001:db8::1]:9")), None);
    let elsewhere = with_attributes(&request, &hex("00030004 00000006"));
    assert_eq!(answer_binding(&elsewhere, addr("192.0.2.1:9")), None);
}

#[test]
fn whatever_is_no_binding_request_is_not_answered() {
    let source = addr("192.0.2.1:9");
    let request = encode_binding_request(ID);
    let response = answer_binding(&request, source).unwrap();
    let kinds = [(0, 0x11), (1, 0x01), (1, 0x11), (0, 0x03), (0, 0x02)];
    for (high, low) in kinds {
        let mut other = request.clone();
        other[..2].copy_from_slice(&[high, low]);
        assert_eq!(answer_binding(&other, source), None);
    }
    assert_eq!(answer_binding(&response, source), None, "no loops");
    for cut in 0..request.len() {
        assert_eq!(answer_binding(&request[..cut], source), None);
    }
    let trailing = [&request[..], &[0; 4]].concat();
    assert_eq!(answer_binding(&trailing, source), None);
}

// --- checks ---

#[test]
fn a_check_comes_back_as_it_was() {
    let roles = [
        check(false).role,
        check(true).role,
        CheckRole::Controlled { tie_breaker: 9 },
    ];
    for role in roles {
        let sent = Check {
            role,
            ..check(false)
        };
        let datagram = encode_check(&sent, &seal(), 0);
        let incoming = decode_check(&datagram).unwrap();
        assert!(incoming.verify(&Key::new(&credentials(1))));
        assert!(!incoming.verify(&Key::new(&credentials(2))));
        let expected = Body::Request {
            receiver: [1; 8],
            sender: [2; 8],
            check: sent,
        };
        assert_eq!(incoming.body, expected);
        assert_eq!(fragment_of(&datagram), Some([1; 8]));
        assert_eq!(transaction_of(&datagram), Some(ID));
    }
}

#[test]
fn an_answer_comes_back_as_it_was() {
    let key = Key::new(&credentials(1));
    for mapped in [None, Some("192.0.2.1:9"), Some("[2001:db8::1]:9")] {
        let sent = Answer {
            transaction: ID,
            mapped: mapped.map(addr),
        };
        let datagram = encode_answer(&sent, &key, 0);
        let incoming = decode_check(&datagram).unwrap();
        assert!(incoming.verify(&key));
        assert_eq!(incoming.body, Body::Success(sent));
        assert_eq!(fragment_of(&datagram), None);
        assert!(datagram.len() <= MIN_ANSWER);
    }
}

#[test]
fn checks_and_answers_fill_the_size_asked_for() {
    let key = Key::new(&credentials(1));
    let bare = encode_check(&check(true), &seal(), 0).len();
    assert_eq!(bare, 128);
    for size in 0..=1500 {
        let request = encode_check(&check(true), &seal(), size);
        match size {
            0..=128 => assert_eq!(request.len(), bare),
            _ => assert_eq!(request.len(), size.next_multiple_of(4)),
        }
        assert!(decode_check(&request).is_some(), "{size}");
        for mapped in [None, Some("192.0.2.1:9"), Some("[2001:db8::1]:9")] {
            let answer = Answer {
                transaction: ID,
                mapped: mapped.map(addr),
            };
            let answer = encode_answer(&answer, &key, request.len());
            assert_eq!(answer.len(), request.len());
        }
    }
}

#[test]
fn no_bit_of_a_check_can_be_changed() {
    let key = Key::new(&credentials(1));
    let datagram = encode_check(&check(true), &seal(), 200);
    for bit in 0..8 * datagram.len() {
        let mut changed = datagram.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let accepted = decode_check(&changed).is_some_and(|incoming| incoming.verify(&key));
        assert!(!accepted, "bit {bit}");
    }
}

/// The CRC of FINGERPRINT, so that a test can forge what only integrity protects.
fn fingerprinted(message: &[u8]) -> Vec<u8> {
    let mut message = with_attributes(message, &hex("80280004 00000000"));
    let end = message.len() - 8;
    let mut crc = u32::MAX;
    for byte in &message[..end] {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    let value = !crc ^ 0x5354_554e;
    message[end + 4..].copy_from_slice(&value.to_be_bytes());
    message
}

#[test]
fn nothing_may_stand_behind_the_integrity_and_nothing_be_missing() {
    let datagram = encode_check(&check(false), &seal(), 0);
    let unprinted = &datagram[..datagram.len() - 8];
    let bare = &unprinted[..unprinted.len() - 36];
    assert_eq!(fingerprinted(unprinted), datagram);
    // No integrity at all: stun-rs by itself would let it pass.
    assert_eq!(decode_check(&fingerprinted(bare)), None);
    assert_eq!(decode_check(&with_attributes(unprinted, &[])), None);
    // USE-CANDIDATE slipped in behind what is authenticated.
    let slipped = with_attributes(unprinted, &hex("00250000"));
    assert_eq!(decode_check(&fingerprinted(&slipped)), None);
    let twice = fingerprinted(&datagram);
    assert_eq!(decode_check(&twice), None);
    let doubled = with_attributes(unprinted, &unprinted[unprinted.len() - 36..]);
    assert_eq!(decode_check(&fingerprinted(&doubled)), None);
    // Truncated integrity, which RFC 8489 allows and this protocol does not use.
    let mut short = with_attributes(bare, &hex("001c0010"));
    short.extend_from_slice(&unprinted[unprinted.len() - 32..][..16]);
    assert_eq!(
        decode_check(&fingerprinted(&with_attributes(&short, &[]))),
        None
    );
}

#[test]
fn oversized_and_trailing_bytes_are_not_checks() {
    let datagram = encode_check(&check(false), &seal(), 0);
    assert_eq!(decode_check(&[&datagram[..], &[0; 4]].concat()), None);
    assert_eq!(decode_check(&[&datagram[..], &[0]].concat()), None);
    assert_eq!(encode_check(&check(false), &seal(), 60_000).len(), 1500);
    for cut in 0..datagram.len() {
        assert_eq!(decode_check(&datagram[..cut]), None);
    }
}

#[test]
fn the_bytes_of_a_check_and_its_answer_are_these() {
    let datagram = encode_check(&check(true), &seal(), 140);
    let expected = GOLDEN_CHECK;
    assert_eq!(datagram, hex(expected));
    let answer = Answer {
        transaction: ID,
        mapped: Some(addr("192.0.2.1:32853")),
    };
    let datagram = encode_answer(&answer, &Key::new(&credentials(1)), 140);
    assert_eq!(datagram, hex(GOLDEN_ANSWER));
}

// Computed from RFC 8489 with another HMAC and CRC implementation.
const GOLDEN_CHECK: &str =
    "00010078 2112a442 07070707 07070707 07070707 00060021 30313031 30313031 30313031
     30313031 3a303230 32303230 32303230 32303230 32000000 00240004 6e001eff 802a0008
     01020304 00000005 00250000 00260008 00000000 00000000 001c0020 5645b87c f0a331e6
     e909a2b8 8e68766e b105b1ad 721f095d e17dbe59 edf62749 80280004 3cfd3d5a";
const GOLDEN_ANSWER: &str =
    "01010078 2112a442 07070707 07070707 07070707 00200008 0001a147 e112a643 0026003c
     00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000
     00000000 00000000 00000000 00000000 00000000 00000000 001c0020 22df011f bcef27d4
     4cd36bb7 55d6973c 69762f45 8d6396f2 aa026a6b 1885d5d7 80280004 4cae79a9";

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_datagram_makes_a_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        decode_all(&bytes);
    }

    #[test]
    fn no_stun_message_makes_a_decoder_panic(
        kind in prop::sample::select(vec![0x0001u16, 0x0101, 0x0111, 0x0011]),
        attributes in prop::collection::vec(
            (prop::sample::select(vec![
                1u16, 3, 0x26, 0x27, 6, 8, 9, 0x0a, 0x14, 0x1c, 0x20, 0x24, 0x25, 0x26, 0x27, 0x7fff, 0x8022,
                0x8028, 0x8029, 0x802a, 0x802b, 0x802c,
            ]), prop::collection::vec(any::<u8>(), 0..40)),
            0..12,
        ),
        cut in 0..4usize,
    ) {
        let mut message = encode_binding_request(ID);
        message[..2].copy_from_slice(&kind.to_be_bytes());
        for (kind, value) in attributes {
            message.extend_from_slice(&kind.to_be_bytes());
            message.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
            message.extend_from_slice(&value);
            message.resize(message.len().next_multiple_of(4), 0);
        }
        message.truncate(message.len() - cut);
        let message = if message.len() >= 20 { with_attributes(&message, &[]) } else { message };
        decode_all(&message);
        decode_all(&fingerprinted(&message));
    }

    #[test]
    fn a_changed_check_never_panics_and_an_answer_is_never_larger_than_a_check(
        size in 0..1500usize,
        changes in prop::collection::vec((any::<usize>(), any::<u8>()), 0..6),
    ) {
        let mut datagram = encode_check(&check(true), &seal(), size);
        for (at, byte) in changes {
            let at = at % datagram.len();
            datagram[at] = byte;
        }
        decode_all(&datagram);
    }
}

fn decode_all(bytes: &[u8]) {
    let source = addr("[2001:db8::1]:9");
    let _ = (is_stun(bytes), transaction_of(bytes), fragment_of(bytes));
    let _ = decode_binding_response(bytes);
    if let Some(incoming) = decode_check(bytes) {
        let _ = incoming.verify(&Key::new(&credentials(1)));
    }
    let _ = (decode_binding_error(bytes), transaction_of_request(bytes));
    let here = Vantage {
        here: Some(source),
        other_ip: Some("2001:db8::2".parse().unwrap()),
        other_port: Some(10),
    };
    if let Some(reply) = answer_discovery(bytes, source, &here) {
        // The largest: three IPv6 addresses and FINGERPRINT.
        assert!(
            reply.bytes.len() <= 20 + 3 * 24 + 8,
            "{}",
            reply.bytes.len()
        );
        assert_eq!(reply.to.ip(), source.ip());
    }
    if let Some(answer) = answer_binding(bytes, source) {
        // Header, XOR-MAPPED-ADDRESS and FINGERPRINT, or error 420 with at most eight attributes.
        assert!(answer.len() <= 20 + 28 + 20 + 8, "{}", answer.len());
        assert!(answer.len() <= bytes.len() + 56);
    }
}
