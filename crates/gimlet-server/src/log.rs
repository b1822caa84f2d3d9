//! The server's log: a line for what an operator wants to see, in words.

use gimlet_proto::message::PathKind;
use gimlet_proto::rendezvous::Event;

/// Writes an event to the log.
pub(crate) fn event(event: &Event) {
    match event {
        Event::SignedIn {
            who,
            observed,
            lease,
            reachable,
            software,
        } => {
            let lease_s = lease.as_secs();
            tracing::info!(peer = %who, %observed, lease_s, reachable, software, "signed in");
        }
        Event::SignInRefused {
            peer,
            observed,
            reason,
        } => tracing::info!(peer = %peer.short(), %observed, ?reason, "sign-in refused"),
        Event::SignedOut { who, reason } => {
            tracing::info!(peer = %who, %reason, "signed out");
        }
        Event::Asked {
            session,
            dialer,
            acceptor,
        } => tracing::info!(from = %dialer, to = %acceptor, %session, "introduction asked"),
        Event::Introduced {
            session,
            dialer,
            acceptor,
        } => tracing::info!(from = %dialer, to = %acceptor, %session, "introduced"),
        Event::Refused {
            session,
            dialer,
            acceptor,
            reason,
        } => {
            tracing::info!(from = %dialer, to = %acceptor, %session, ?reason, "introduction refused");
        }
        Event::PathReported {
            session,
            dialer,
            acceptor,
            path,
        } => {
            let path = path_word(*path);
            tracing::info!(from = %dialer, to = %acceptor, %session, path, "path changed");
        }
        Event::SessionEnded {
            session,
            dialer,
            acceptor,
            path,
            closed_by,
        } => {
            let path = path_word(*path);
            let by = closed_by.map_or_else(|| "silence".to_owned(), |peer| peer.short());
            tracing::info!(from = %dialer, to = %acceptor, %session, path, by, "session ended");
        }
        Event::RelayEnded {
            session,
            relayed_bytes,
        } => tracing::debug!(%session, relayed_bytes, "relay session ended"),
        _ => tracing::debug!(?event, "something happened"),
    }
}

fn path_word(path: PathKind) -> &'static str {
    match path {
        PathKind::Relay => "relay",
        PathKind::Direct => "direct",
    }
}
