//! Golden vectors: every format on the wire, byte for byte as `docs/vectors.json` has it.
//!
//! Another implementation can read that file; this one must keep to it. A change of the wire is a
//! change of that file, made on purpose:
//!
//! ```sh
//! GIMLET_VECTORS=write cargo test -p gimlet-proto --test it vectors
//! ```

mod codes;
mod datagrams;
mod messages;
mod page;
mod properties;
mod stats;

use std::fmt::Debug;
use std::path::PathBuf;

use gimlet_proto::address::ServerAddress;
use gimlet_proto::id::PeerId;
use gimlet_proto::secret::{Credentials, SessionId};
use gimlet_proto::wire::{DecodeError, Reader, Record, encode};
use serde::{Deserialize, Serialize};

use self::datagrams::Datagram;
use self::messages::Example;

/// The whole file.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Vectors {
    about: Vec<String>,
    to_server: Vec<Vector>,
    to_peer: Vec<Vector>,
    frames: Vec<Vector>,
    stun: Vec<Vector>,
    tunnel: Vec<Vector>,
    tunnel_frames: Vec<Vector>,
    address_line: Vec<Vector>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Vector {
    name: String,
    /// Of control messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<u16>,
    fields: Vec<String>,
    /// The bytes; of a text, the text itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
}

const SESSION: SessionId = SessionId([1, 2, 3, 4, 5, 6, 7, 8]);

fn dialer() -> Credentials {
    Credentials {
        fragment: [0x11; 8],
        password: [0x22; 16],
    }
}

fn acceptor() -> Credentials {
    Credentials {
        fragment: [0x33; 8],
        password: [0x44; 16],
    }
}

fn vectors() -> Vectors {
    Vectors {
        about: [
            "Golden vectors of the formats in docs/protocol.md.",
            "to_server and to_peer are whole control records: length, kind, body.",
            "Written by: GIMLET_VECTORS=write cargo test -p gimlet-proto --test it vectors",
        ]
        .map(str::to_owned)
        .to_vec(),
        to_server: messages::to_server().iter().map(of_message).collect(),
        to_peer: messages::to_peer().iter().map(of_message).collect(),
        frames: datagrams::frames().iter().map(of_datagram).collect(),
        stun: stun().iter().map(of_datagram).collect(),
        tunnel: datagrams::tunnel().iter().map(of_datagram).collect(),
        tunnel_frames: datagrams::tunnel_frames().iter().map(of_datagram).collect(),
        address_line: vec![of_address()],
    }
}

fn stun() -> Vec<Datagram> {
    let mut all = datagrams::binding();
    all.extend(datagrams::discovery());
    all.extend(datagrams::checks());
    all
}

fn address() -> ServerAddress {
    ServerAddress {
        host: "2001:db8::1".to_owned(),
        port: 3478,
        key: Some(PeerId::from_bytes([0xa1; 32])),
        token: Some("secret-token".to_owned()),
        tls: Some(443),
    }
}

fn of_message<T: Record>((name, message, fields): &Example<T>) -> Vector {
    Vector {
        name: (*name).to_owned(),
        kind: Some(message.to_parts().0),
        fields: in_words(fields),
        text: None,
        hex: Some(hex(&encode(message))),
    }
}

fn of_datagram(datagram: &Datagram) -> Vector {
    Vector {
        name: datagram.name.to_owned(),
        kind: None,
        fields: in_words(datagram.fields),
        text: None,
        hex: Some(hex(&datagram.bytes)),
    }
}

fn of_address() -> Vector {
    Vector {
        name: "full".to_owned(),
        kind: None,
        fields: in_words(&[
            "host: 2001:db8::1",
            "port: 3478",
            "key: 32 bytes a1",
            "token: \"secret-token\"",
            "tls: 443",
        ]),
        text: Some(address().to_string()),
        hex: None,
    }
}

fn in_words(fields: &[&str]) -> Vec<String> {
    fields.iter().map(|&field| field.to_owned()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_format_is_encoded_as_the_golden_vectors_have_it() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/vectors.json");
    let vectors = vectors();
    if std::env::var("GIMLET_VECTORS").is_ok_and(|mode| mode == "write") {
        let mut text = serde_json::to_string_pretty(&vectors).unwrap();
        text.push('\n');
        std::fs::write(&path, text).unwrap();
    }
    let golden: Vectors = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(
        vectors, golden,
        "the wire has changed; see the header of this test"
    );
}

#[test]
fn every_kind_of_message_has_a_vector() {
    let kinds = |vectors: &[Vector]| vectors.iter().filter_map(|v| v.kind).collect::<Vec<_>>();
    let vectors = vectors();
    // A kind added without a vector decodes something, or fails in its body; one that is not
    // known gives `Ok(None)`.
    fn known<T: Record>() -> Vec<u16> {
        (0..=u16::MAX)
            .filter(|&kind| !matches!(T::from_parts(kind, &[]), Ok(None)))
            .collect()
    }
    assert_eq!(
        kinds(&vectors.to_server),
        known::<gimlet_proto::message::ToServer>()
    );
    assert_eq!(
        kinds(&vectors.to_peer),
        known::<gimlet_proto::message::ToPeer>()
    );
}

#[test]
fn control_records_decode_to_what_was_encoded_and_to_nothing_else() {
    for example in messages::to_server() {
        check_record(&example);
    }
    for example in messages::to_peer() {
        check_record(&example);
    }
}

fn read<T: Record>(bytes: &[u8]) -> (Result<Option<T>, DecodeError>, u64) {
    let mut reader = Reader::default();
    reader.extend(bytes);
    (reader.poll(), reader.unknown)
}

fn check_record<T: Record + Clone + Debug + PartialEq>((name, message, _): &Example<T>) {
    let (kind, body) = message.to_parts();
    let whole = encode(message);
    assert_eq!(read(&whole), (Ok(Some(message.clone())), 0), "{name}");
    for end in 0..whole.len() {
        assert_eq!(
            read::<T>(&whole[..end]),
            (Ok(None), 0),
            "{name}: waits for more"
        );
    }
    let malformed = (Err(DecodeError::Body { kind }), 0);
    for end in 0..body.len() {
        let short = record(kind, &body[..end]);
        assert_eq!(read::<T>(&short), malformed, "{name} cut to {end} bytes");
    }
    for byte in 0..=u8::MAX {
        let long = record(kind, &[&body[..], &[byte]].concat());
        assert_eq!(read::<T>(&long), malformed, "{name} followed by {byte}");
    }
    let unknown = record(0x7fff, &body);
    let (after, skipped) = read(&[&unknown[..], &unknown, &whole].concat());
    assert_eq!(
        (after, skipped),
        (Ok(Some(message.clone())), 2),
        "{name} after unknown kinds"
    );
}

fn record(kind: u16, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(2 + body.len()).expect("short").to_be_bytes();
    [&length[..], &kind.to_be_bytes(), body].concat()
}

#[test]
fn datagrams_decode_to_what_was_encoded_and_to_nothing_else() {
    let relayed = datagrams::frames().into_iter().chain(stun());
    let tunnelled = datagrams::tunnel()
        .into_iter()
        .chain(datagrams::tunnel_frames());
    for Datagram {
        name,
        bytes,
        says_it,
        ..
    } in relayed.chain(tunnelled)
    {
        assert!(says_it(&bytes), "{name}");
        for end in 0..bytes.len() {
            assert!(!says_it(&bytes[..end]), "{name} cut to {end} bytes");
        }
        for byte in 0..=u8::MAX {
            let long = [&bytes[..], &[byte]].concat();
            assert!(!says_it(&long), "{name} followed by {byte}");
        }
    }
}

#[test]
fn the_address_line_parses_back_and_a_line_cut_short_never_means_the_same() {
    let (address, line) = (address(), address().to_string());
    assert_eq!(line.parse(), Ok(address.clone()));
    let key = line.find("key=").unwrap() + 1..line.find("&token").unwrap();
    for end in 0..line.len() {
        let cut = line[..end].parse::<ServerAddress>();
        assert_ne!(cut.as_ref(), Ok(&address), "{end}");
        if key.contains(&end) {
            assert!(cut.is_err(), "a key cut short is refused: {end}");
        }
    }
}
