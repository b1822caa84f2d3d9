//! Relay frames: a header with one meaning, MACs that nobody guesses, and batches cut into runs
//! that cover them.

use gimlet_proto::frame::{
    BIND_LEN, Frame, FrameKind, HEADER_LEN, decode_bound, encode_bind, encode_bound, header,
    verify_bind,
};
use gimlet_proto::relay::runs::{Content, Run, runs};
use gimlet_proto::secret::RelaySecret;

const SECRET: RelaySecret = RelaySecret([0x55; 32]);

pub(crate) fn run(data: &[u8]) {
    one(data);
    let stride = data.first().map_or(0, |&byte| usize::from(byte) % 40);
    batch(data.get(1..).unwrap_or_default(), stride);
}

fn one(datagram: &[u8]) {
    let Some(frame) = Frame::decode(datagram) else {
        return;
    };
    assert_eq!(header(frame.kind, frame.session), datagram[..HEADER_LEN]);
    assert_eq!(frame.payload, &datagram[HEADER_LEN..]);
    if let Some(counter) = verify_bind(frame.session, frame.payload, &SECRET) {
        let expected = encode_bind(frame.session, counter, &SECRET);
        assert_eq!(frame.payload, &expected[HEADER_LEN..]);
    }
    if let Some(counter) = decode_bound(frame.payload) {
        let expected = encode_bound(frame.session, counter);
        assert_eq!(frame.payload, &expected[HEADER_LEN..]);
        disturbed(&encode_bind(frame.session, counter, &SECRET), datagram);
    }
}

/// A bind frame with some of its bytes changed verifies only if none is.
fn disturbed(bind: &[u8; BIND_LEN], with: &[u8]) {
    let mut forged = *bind;
    for (byte, with) in forged[HEADER_LEN..].iter_mut().zip(&with[1..]) {
        *byte ^= with;
    }
    let Some(frame) = Frame::decode(&forged) else {
        return;
    };
    assert_eq!(frame.kind, FrameKind::Bind);
    let counter = verify_bind(frame.session, frame.payload, &SECRET);
    assert_eq!(counter.is_some(), forged == *bind);
}

fn batch(data: &[u8], stride: usize) {
    let mut rest = data;
    for run in runs(data, stride) {
        assert!(run.stride > 0 && !run.bytes.is_empty() && rest.starts_with(run.bytes));
        rest = &rest[run.bytes.len()..];
        assert_eq!(run.datagrams().count(), run.segments());
        if let Content::Frames(first) = run.content {
            let mut headers = run.datagrams().map(Frame::decode);
            let same = |frame: Option<Frame>| {
                frame.is_some_and(|f| (f.kind, f.session) == (first.kind, first.session))
            };
            assert!(headers.all(same), "a run is of one session");
            assert!(run.segments() == 1 || first.kind == FrameKind::Data);
        } else {
            assert_eq!(Run::single(run.bytes), run);
        }
    }
    assert!(rest.is_empty(), "runs cover the batch");
}
