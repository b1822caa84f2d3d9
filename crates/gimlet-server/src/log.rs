//! The server's log: a line for what an operator wants to see, in words.

use gimlet_proto::message::PathKind;
use gimlet_proto::rendezvous::Event;
use gimlet_proto::stats::{Reached, Summary};
use gimlet_proto::traversal::Strategy;

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
        Event::AttemptReported {
            session,
            dialer,
            acceptor,
            attempt,
        } => {
            let times = &attempt.times;
            let (connected_ms, direct_ms) = (times.connected_ms, times.direct_ms);
            let strategy = attempt.strategy.map(Strategy::name);
            let failed = attempt.failure.map(|failure| failure.reason.name());
            tracing::info!(
                from = %dialer, to = %acceptor, %session, connected_ms, direct_ms, strategy, failed,
                "attempt reported"
            );
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
        Event::Throttled {
            session,
            who,
            reason,
            dropped_bytes,
        } => tracing::debug!(peer = %who, %session, %reason, dropped_bytes, "throttled"),
        _ => tracing::debug!(?event, "something happened"),
    }
}

/// Writes what all the attempts of this run came to.
pub(crate) fn totals(stats: &Summary) {
    let reached = |stage| stats.all.stage(stage).count;
    tracing::info!(
        introductions_asked = stats.introductions.asked,
        introductions_accepted = stats.introductions.accepted,
        attempts_reported = stats.all.attempts,
        connected = reached(Reached::Connected),
        direct = reached(Reached::Direct),
        confirmed = reached(Reached::Confirmed),
        left_early = stats.all.left,
        reports_ignored = stats.ignored,
        "totals of this run"
    );
}

fn path_word(path: PathKind) -> &'static str {
    match path {
        PathKind::Relay => "relay",
        PathKind::Direct => "direct",
    }
}
