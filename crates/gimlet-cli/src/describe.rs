//! Library values in words: the ones JSON uses, and the ones people read.

use std::net::SocketAddr;

use gimlet::{CloseReason, NatClass, PathKind, SignedIn, Transport};

/// A path kind as the contract spells it.
pub(crate) fn path_kind(kind: PathKind) -> &'static str {
    match kind {
        PathKind::Relay => "relay",
        PathKind::Direct => "direct",
    }
}

/// What a control session goes over, as JSON spells it.
pub(crate) fn transport(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "udp",
        Transport::Tls => "tls",
    }
}

/// Where the server sees us; over TLS it sees nothing that would mean anything to others.
pub(crate) fn observed(signed_in: &SignedIn) -> Option<SocketAddr> {
    match signed_in.transport {
        Transport::Udp => Some(signed_in.observed),
        Transport::Tls => None,
    }
}

/// Why a session ended, for whoever reads about it.
pub(crate) fn closed(reason: &CloseReason) -> String {
    match reason {
        CloseReason::Peer { code: 0, reason } if reason.is_empty() => "done".to_owned(),
        CloseReason::Peer { code: 0, reason } => reason.clone(),
        reason => reason.to_string(),
    }
}

/// What is known of a NAT, in a few words.
pub(crate) fn nat(nat: &NatClass) -> String {
    let mut parts = Vec::new();
    if let Some(mapping) = nat.mapping {
        parts.push(format!("{} mapping", word(&mapping)));
    }
    if let Some(filtering) = nat.filtering {
        parts.push(format!("{} filtering", word(&filtering)));
    }
    if let Some(allocation) = nat.allocation {
        parts.push(format!("{} ports", word(&allocation)));
    }
    match nat.hairpin {
        Some(true) => parts.push("hairpins".to_owned()),
        Some(false) => parts.push("no hairpin".to_owned()),
        None => (),
    }
    match parts.is_empty() {
        true => "not known".to_owned(),
        false => parts.join(", "),
    }
}

/// The word JSON has for a value that serializes as text.
pub(crate) fn word<T: serde::Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        _ => "other".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_left_out() {
        assert_eq!(nat(&NatClass::default()), "not known");
        let known = NatClass {
            hairpin: Some(true),
            ..NatClass::default()
        };
        assert_eq!(nat(&known), "hairpins");
    }
}
