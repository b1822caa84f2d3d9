//! The protocol page against the code: it names every message, and its examples are what they say.

use gimlet_proto::frame::{Frame, FrameKind, verify_bind};
use gimlet_proto::message::{ToPeer, ToServer};
use gimlet_proto::secret::{RelaySecret, SessionId};
use gimlet_proto::wire::{Reader, encode};

const PAGE: &str = include_str!("../../../../../docs/protocol.md");

/// `sign_in` as the page writes it.
fn title(name: &str) -> String {
    let words = name
        .split('_')
        .map(|word| word[..1].to_uppercase() + &word[1..]);
    words.collect()
}

fn has_line(beginning: &str) -> bool {
    PAGE.lines().any(|line| line.starts_with(beginning))
}

#[test]
fn every_message_has_its_place_in_the_page() {
    let vectors = super::vectors();
    for vector in &vectors.to_server {
        let (kind, title) = (vector.kind.unwrap(), title(&vector.name));
        assert!(
            has_line(&format!("| {kind} | {title} |")),
            "no row of {kind} {title}"
        );
        assert!(
            has_line(&format!("#### {kind} {title}")),
            "no section of {kind} {title}"
        );
    }
    for vector in &vectors.to_peer {
        let (kind, title) = (vector.kind.unwrap(), title(&vector.name));
        let own = has_line(&format!("#### {kind} {title}"));
        let shared = PAGE
            .lines()
            .any(|line| line.starts_with("####") && line.contains(&format!("(and {kind}")));
        assert!(own || shared, "no section of {kind} {title}");
    }
}

/// What is written in hexadecimal, and nothing else: whole blocks, and pieces of text.
fn examples() -> Vec<Vec<u8>> {
    let pieces = PAGE
        .split("```text")
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    let inline = PAGE.split('`');
    pieces.chain(inline).filter_map(bytes).collect()
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits: String = text.split_whitespace().collect();
    let sound = digits.len() >= 12
        && digits.len().is_multiple_of(2)
        && digits
            .bytes()
            .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).ok();
    sound.then(|| (0..digits.len()).step_by(2).map(byte).collect())?
}

fn is_message(example: &[u8]) -> bool {
    let mut reader = Reader::default();
    reader.extend(example);
    if let Ok(Some(message)) = reader.poll::<ToServer>() {
        return encode(&message) == example;
    }
    let mut reader = Reader::default();
    reader.extend(example);
    matches!(reader.poll::<ToPeer>(), Ok(Some(message)) if encode(&message) == example)
}

fn is_bind(example: &[u8]) -> bool {
    let session = SessionId([0x11; 8]);
    Frame::decode(example).is_some_and(|frame| {
        let counter = verify_bind(session, frame.payload, &RelaySecret([0x22; 32]));
        (frame.kind, frame.session, counter) == (FrameKind::Bind, session, Some(1))
    })
}

#[test]
fn every_example_in_the_page_is_what_it_says() {
    // The key in a certificate begins with these.
    let prefix = bytes("302a300506032b6570032100").unwrap();
    let mut found = 0;
    for example in examples().iter().filter(|example| **example != prefix) {
        assert!(
            is_message(example) || is_bind(example),
            "{}",
            super::hex(example)
        );
        found += 1;
    }
    assert_eq!(found, 6, "an example is not recognised as one");
}
