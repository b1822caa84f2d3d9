//! The messages behind short codes.

use gimlet_proto::message::{DropNumber, HoldNumber, NumberHeld, ToPeer, ToServer};

use super::messages::Example;

pub(super) fn to_server() -> Vec<Example<ToServer>> {
    let hold = HoldNumber { id: 5, ttl_s: 600 };
    vec![
        ("hold_number", hold.into(), &["id: 5", "ttl: 600"]),
        (
            "drop_number",
            DropNumber { number: 7 }.into(),
            &["number: 7"],
        ),
    ]
}

pub(super) fn to_peer() -> Vec<Example<ToPeer>> {
    let held = NumberHeld {
        id: 5,
        number: 7,
        ttl_s: 600,
    };
    vec![(
        "number_held",
        held.into(),
        &["id: 5", "number: 7", "ttl: 600"],
    )]
}
