//! Datagrams with fixed ids and keys: relay frames, plain STUN, connectivity checks.

use gimlet_proto::frame::{
    Frame, FrameKind, decode_bound, encode_bind, encode_bound, header, verify_bind,
};
use gimlet_proto::secret::{Credentials, RelaySecret};
use gimlet_proto::stun::{
    Answer, Body, Change, Check, CheckRole, Key, Reply, Seal, TransactionId, Vantage,
    answer_binding, answer_discovery, decode_binding_response, decode_check, encode_answer,
    encode_binding_request, encode_check, encode_probe,
};
use gimlet_proto::tunnel::{self, Assembly, Batch, Control, Decoder, Opcode, Role};

use super::{SESSION, acceptor, dialer};

/// A datagram, its name, its fields in words, and whether these bytes say just that.
pub(super) struct Datagram {
    pub(super) name: &'static str,
    pub(super) bytes: Vec<u8>,
    pub(super) fields: &'static [&'static str],
    pub(super) says_it: fn(&[u8]) -> bool,
}

const SECRET: RelaySecret = RelaySecret([0x55; 32]);
const TRANSACTION: TransactionId = TransactionId([0xc0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);

fn is_frame(bytes: &[u8], kind: FrameKind) -> Option<&[u8]> {
    let frame = Frame::decode(bytes)?;
    (frame.kind == kind && frame.session == SESSION).then_some(frame.payload)
}

/// Messages of a tunnel.
pub(super) fn tunnel() -> Vec<Datagram> {
    let mut message = Vec::new();
    assert!(tunnel::push(&mut message, &[0x40, 1, 2]) && tunnel::push(&mut message, &[0x41]));
    vec![Datagram {
        name: "two packets",
        bytes: message,
        fields: &["packet: 400102", "packet: 41"],
        says_it: |bytes| {
            let first = tunnel::split_first(bytes).filter(|_| tunnel::check(bytes).is_ok());
            let Some(([0x40, 1, 2], rest)) = first else {
                return false;
            };
            tunnel::split_first(rest) == Some((&[0x41], &[]))
        },
    }]
}

/// The WebSocket frames of a tunnel.
pub(super) fn tunnel_frames() -> Vec<Datagram> {
    vec![
        Datagram {
            name: "two packets, from a client",
            bytes: two_packets(Some(MASK)),
            fields: &["packet: 400102", "packet: 41", "mask: 37fa213d"],
            says_it: |bytes| {
                sequence(Role::Server, bytes) == Some(two()) && bytes == two_packets(Some(MASK))
            },
        },
        Datagram {
            name: "two packets, from a server",
            bytes: two_packets(None),
            fields: &["packet: 400102", "packet: 41"],
            says_it: |bytes| {
                sequence(Role::Client, bytes) == Some(two()) && bytes == two_packets(None)
            },
        },
        Datagram {
            name: "a packet of 130 bytes, from a server",
            bytes: long_packet(),
            fields: &["packet: 40, and 129 times 07"],
            says_it: |bytes| {
                let length = [0, 130];
                let expected = [&length[..], &[0x40], &[7; 129]].concat();
                sequence(Role::Client, bytes) == Some((expected, None)) && bytes == long_packet()
            },
        },
        Datagram {
            name: "ping, from a client",
            bytes: tunnel::control(Opcode::Ping, b"?", Some(MASK)),
            fields: &["payload: 3f", "mask: 37fa213d"],
            says_it: |bytes| {
                let ping = Some(Control::Ping(b"?".to_vec()));
                sequence(Role::Server, bytes) == Some((Vec::new(), ping))
            },
        },
        Datagram {
            name: "close, from a server",
            bytes: tunnel::control(Opcode::Close, &1000u16.to_be_bytes(), None),
            fields: &["code: 1000"],
            says_it: |bytes| {
                sequence(Role::Client, bytes) == Some((Vec::new(), Some(Control::Close)))
            },
        },
    ]
}

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// What the frame of two packets comes to.
fn two() -> (Vec<u8>, Option<Control>) {
    (vec![0, 3, 0x40, 1, 2, 0, 1, 0x41], None)
}

fn two_packets(mask: Option<[u8; 4]>) -> Vec<u8> {
    sealed(&[&[0x40, 1, 2], &[0x41]], mask)
}

fn long_packet() -> Vec<u8> {
    sealed(&[&[&[0x40][..], &[7; 129]].concat()], None)
}

fn sealed(packets: &[&[u8]], mask: Option<[u8; 4]>) -> Vec<u8> {
    let mut batch = Batch::default();
    assert!(packets.iter().all(|packet| batch.push(packet)));
    batch.seal(mask).plain()
}

/// The packets in these frames, and the control frame they end with, if nothing follows it.
fn sequence(role: Role, bytes: &[u8]) -> Option<(Vec<u8>, Option<Control>)> {
    let mut assembly = Assembly::default();
    let (taken, control) = Decoder::new(role).read(bytes, &mut assembly).ok()?;
    let packets = assembly.split(Vec::new);
    (taken == bytes.len()).then_some((packets, control))
}

/// Relay frames.
pub(super) fn frames() -> Vec<Datagram> {
    let data = [&header(FrameKind::Data, SESSION)[..], &[0x40, 1, 2, 3]].concat();
    vec![
        Datagram {
            name: "data",
            bytes: data,
            fields: &["session: 0102030405060708", "payload: 40010203"],
            says_it: |bytes| is_frame(bytes, FrameKind::Data) == Some(&[0x40, 1, 2, 3]),
        },
        Datagram {
            name: "bind",
            bytes: encode_bind(SESSION, 5, &SECRET).to_vec(),
            fields: &[
                "session: 0102030405060708",
                "counter: 5",
                "mac: keyed with the relay secret, 32 bytes 55",
            ],
            says_it: |bytes| {
                let payload = is_frame(bytes, FrameKind::Bind);
                payload.and_then(|p| verify_bind(SESSION, p, &SECRET)) == Some(5)
            },
        },
        Datagram {
            name: "bound",
            bytes: encode_bound(SESSION, 5).to_vec(),
            fields: &["session: 0102030405060708", "counter: 5"],
            says_it: |bytes| is_frame(bytes, FrameKind::Bound).and_then(decode_bound) == Some(5),
        },
        Datagram {
            name: "unknown",
            bytes: header(FrameKind::Unknown, SESSION).to_vec(),
            fields: &["session: 0102030405060708"],
            says_it: |bytes| is_frame(bytes, FrameKind::Unknown) == Some(&[]),
        },
    ]
}

/// Behaviour discovery.
pub(super) fn discovery() -> Vec<Datagram> {
    const BOTH: Change = Change {
        ip: true,
        port: true,
    };
    fn reply(probe: &[u8]) -> Option<Reply> {
        let vantage = Vantage {
            here: Some(([192, 0, 2, 1], 13000).into()),
            other_ip: Some([192, 0, 2, 2].into()),
            other_port: Some(13001),
        };
        answer_discovery(probe, ([198, 51, 100, 7], 40000).into(), &vantage)
    }
    let probe = encode_probe(TRANSACTION, BOTH, None);
    let response = reply(&probe).expect("a probe").bytes;
    vec![
        Datagram {
            name: "probe_change_both",
            bytes: probe,
            fields: &[
                "transaction: c0 01 02 03 04 05 06 07 08 09 0a 0b",
                "CHANGE-REQUEST: address and port",
            ],
            says_it: |bytes| reply(bytes).is_some_and(|reply| reply.from == BOTH),
        },
        Datagram {
            name: "probe_response_port",
            bytes: encode_probe(TRANSACTION, Change::default(), Some(40001)),
            fields: &[
                "transaction: c0 01 02 03 04 05 06 07 08 09 0a 0b",
                "CHANGE-REQUEST: nothing",
                "RESPONSE-PORT: 40001",
            ],
            says_it: |bytes| reply(bytes).is_some_and(|reply| reply.to.port() == 40001),
        },
        Datagram {
            name: "probe_response",
            bytes: response,
            fields: &[
                "transaction: c0 01 02 03 04 05 06 07 08 09 0a 0b",
                "XOR-MAPPED-ADDRESS: 198.51.100.7:40000",
                "RESPONSE-ORIGIN: 192.0.2.2:13001",
                "OTHER-ADDRESS: 192.0.2.2:13001",
            ],
            says_it: |bytes| {
                decode_binding_response(bytes).is_some_and(|response| {
                    let here = Some(([192, 0, 2, 2], 13001).into());
                    response.transaction == TRANSACTION
                        && response.mapped == ([198, 51, 100, 7], 40000).into()
                        && (response.origin, response.other) == (here, here)
                })
            },
        },
    ]
}

/// Plain Binding.
pub(super) fn binding() -> Vec<Datagram> {
    let request = encode_binding_request(TRANSACTION);
    let answer = |source: &str| {
        let source = source.parse().expect("an address");
        answer_binding(&request, source).expect("a request")
    };
    fn mapped(bytes: &[u8], expected: &str) -> bool {
        decode_binding_response(bytes).is_some_and(|response| {
            response.transaction == TRANSACTION && response.mapped.to_string() == expected
        })
    }
    vec![
        Datagram {
            name: "binding_request",
            bytes: request.clone(),
            fields: &["transaction: c0 01 02 03 04 05 06 07 08 09 0a 0b"],
            says_it: |bytes| {
                let source = ([198, 51, 100, 7], 40000).into();
                let answer = answer_binding(bytes, source);
                answer.is_some_and(|answer| mapped(&answer, "198.51.100.7:40000"))
            },
        },
        Datagram {
            name: "binding_response_ipv4",
            bytes: answer("198.51.100.7:40000"),
            fields: &[
                "transaction: c0 01 02 03 04 05 06 07 08 09 0a 0b",
                "XOR-MAPPED-ADDRESS: 198.51.100.7:40000",
            ],
            says_it: |bytes| mapped(bytes, "198.51.100.7:40000"),
        },
        Datagram {
            name: "binding_response_ipv6",
            bytes: answer("[2001:db8::7]:40000"),
            fields: &[
                "transaction: c0 01 02 03 04 05 06 07 08 09 0a 0b",
                "XOR-MAPPED-ADDRESS: [2001:db8::7]:40000",
            ],
            says_it: |bytes| mapped(bytes, "[2001:db8::7]:40000"),
        },
    ]
}

const NOMINATING: Check = Check {
    transaction: TRANSACTION,
    priority: 0x6e00_1eff,
    role: CheckRole::Controlling {
        tie_breaker: 0x0102_0304_0000_0002,
        nominate: true,
    },
};

const FOLLOWING: Check = Check {
    transaction: TRANSACTION,
    priority: 0x6e00_1eff,
    role: CheckRole::Controlled {
        tie_breaker: 0x0102_0304_0506_0708,
    },
};

fn is_check(bytes: &[u8], check: Check, receiver: &Credentials, sender: &Credentials) -> bool {
    decode_check(bytes).is_some_and(|incoming| {
        let body = Body::Request {
            receiver: receiver.fragment,
            sender: sender.fragment,
            check,
        };
        incoming.body == body && incoming.verify(&Key::new(receiver))
    })
}

fn is_answer(bytes: &[u8], mapped: Option<&str>) -> bool {
    decode_check(bytes).is_some_and(|incoming| {
        let answer = Answer {
            transaction: TRANSACTION,
            mapped: mapped.map(|text| text.parse().expect("an address")),
        };
        incoming.body == Body::Success(answer) && incoming.verify(&Key::new(&acceptor()))
    })
}

/// Connectivity checks and their answers.
pub(super) fn checks() -> Vec<Datagram> {
    let answer = |mapped: Option<&str>, size| {
        let answer = Answer {
            transaction: TRANSACTION,
            mapped: mapped.map(|text| text.parse().expect("an address")),
        };
        encode_answer(&answer, &Key::new(&acceptor()), size)
    };
    vec![
        Datagram {
            name: "check_nominating",
            bytes: encode_check(&NOMINATING, &Seal::new(&acceptor(), &dialer()), 0),
            fields: &[
                "transaction: c0 01 02 03 04 05 06 07 08 09 0a 0b",
                "USERNAME: \"3333333333333333:1111111111111111\"",
                "PRIORITY: 6e001eff",
                "ICE-CONTROLLING: 0102030400000002, the second nomination",
                "USE-CANDIDATE",
                "MESSAGE-INTEGRITY-SHA256: keyed with \"44444444444444444444444444444444\"",
                "FINGERPRINT",
            ],
            says_it: |bytes| is_check(bytes, NOMINATING, &acceptor(), &dialer()),
        },
        Datagram {
            name: "check_padded",
            bytes: encode_check(&FOLLOWING, &Seal::new(&dialer(), &acceptor()), 160),
            fields: &[
                "size: 160 bytes",
                "transaction: c0 01 02 03 04 05 06 07 08 09 0a 0b",
                "USERNAME: \"1111111111111111:3333333333333333\"",
                "PRIORITY: 6e001eff",
                "ICE-CONTROLLED: 0102030405060708",
                "PADDING: as long as the size asks for",
                "MESSAGE-INTEGRITY-SHA256: keyed with \"22222222222222222222222222222222\"",
                "FINGERPRINT",
            ],
            says_it: |bytes| is_check(bytes, FOLLOWING, &dialer(), &acceptor()),
        },
        Datagram {
            name: "answer_ipv4",
            bytes: answer(Some("198.51.100.7:40000"), 0),
            fields: &[
                "transaction: c0 01 02 03 04 05 06 07 08 09 0a 0b",
                "XOR-MAPPED-ADDRESS: 198.51.100.7:40000",
                "MESSAGE-INTEGRITY-SHA256: keyed with \"44444444444444444444444444444444\"",
                "FINGERPRINT",
            ],
            says_it: |bytes| is_answer(bytes, Some("198.51.100.7:40000")),
        },
        Datagram {
            name: "answer_ipv6_padded",
            bytes: answer(Some("[2001:db8::7]:40000"), 120),
            fields: &[
                "size: 120 bytes",
                "transaction: c0 01 02 03 04 05 06 07 08 09 0a 0b",
                "XOR-MAPPED-ADDRESS: [2001:db8::7]:40000",
                "PADDING: as long as the size asks for",
                "MESSAGE-INTEGRITY-SHA256: keyed with \"44444444444444444444444444444444\"",
                "FINGERPRINT",
            ],
            says_it: |bytes| is_answer(bytes, Some("[2001:db8::7]:40000")),
        },
        Datagram {
            name: "answer_relayed",
            bytes: answer(None, 0),
            fields: &[
                "transaction: c0 01 02 03 04 05 06 07 08 09 0a 0b",
                "MESSAGE-INTEGRITY-SHA256: keyed with \"44444444444444444444444444444444\"",
                "FINGERPRINT",
            ],
            says_it: |bytes| is_answer(bytes, None),
        },
    ]
}
