//! Connectivity checks: nothing verifies that was not sealed, and whatever is understood could have
//! been sent by us.

use gimlet_proto::secret::Credentials;
use gimlet_proto::stun::{
    Body, Incoming, Key, Seal, decode_check, encode_answer, encode_check, fragment_of,
    transaction_of,
};

use crate::stun_text::{message, with_seal};

/// Binding requests, success and error responses, and indications.
const KINDS: [u16; 4] = [0x0001, 0x0101, 0x0111, 0x0011];

pub(crate) fn run(data: &[u8]) {
    check(data);
    for kind in KINDS {
        check(&with_seal(message(kind, data)));
    }
}

fn credentials(fragment: [u8; 8]) -> Credentials {
    Credentials {
        fragment,
        password: [0x77; 16],
    }
}

fn check(datagram: &[u8]) {
    let Some(incoming) = decode_check(datagram) else {
        assert_eq!(fragment_of(datagram), None);
        return;
    };
    assert_eq!(incoming.size(), datagram.len());
    let transaction = transaction_of(datagram).expect("a check is STUN");
    let key = Key::new(&credentials([0; 8]));
    assert!(!incoming.verify(&key), "nobody knows this key");
    match incoming.body {
        Body::Request {
            receiver,
            sender,
            check,
        } => {
            assert_eq!(check.transaction, transaction);
            assert_eq!(fragment_of(datagram), Some(receiver));
            let seal = Seal::new(&credentials(receiver), &credentials(sender));
            let ours = encode_check(&check, &seal, datagram.len());
            same(&incoming, &ours, seal.key());
        }
        Body::Success(answer) => {
            assert_eq!(answer.transaction, transaction);
            same(
                &incoming,
                &encode_answer(&answer, &key, datagram.len()),
                &key,
            );
        }
        Body::Error(of) => assert_eq!(of, transaction),
    }
}

/// Ours says the same, verifies, and does not any more once a byte is changed.
fn same(theirs: &Incoming<'_>, ours: &[u8], key: &Key) {
    let incoming = decode_check(ours).expect("ours are understood");
    assert_eq!(incoming.body, theirs.body);
    assert!(incoming.verify(key));
    let mut forged = ours.to_vec();
    let at = 8 + theirs.size() % 12;
    forged[at] ^= 1;
    assert!(decode_check(&forged).is_none(), "the fingerprint is wrong");
}
