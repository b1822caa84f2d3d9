//! Two peers ask each other at once. Their requests cross, and one of both becomes the conversation: the one with
//! the lower id, on both sides.
//!
//! Nobody accepts the other one, so there is nothing to take leave of. Whose request stands keeps the other
//! side's and answers it only if its own comes to nothing. Whose goes withdraws it. The two run over connections
//! of their own, so either may be heard of first.

use std::time::Duration;

use gimlet_apps::chat::ConversationId;
use tokio::time::Instant;

use super::one::State;

/// How long after our request was accepted one may still come that was made before. Much longer than a request
/// takes that is repeated once or twice; one that was made since waits no longer than this.
const STRAGGLER_TIMEOUT: Duration = Duration::from_secs(5);

/// What there is with the peer that asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ours {
    pub(super) id: ConversationId,
    /// Whether this side asked for it.
    pub(super) has_asked: bool,
    pub(super) state: State,
    /// Since when, for the first time.
    pub(super) together_at: Option<Instant>,
}

/// What a request meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Meeting {
    /// Nothing that it could have crossed: it is new.
    Nothing,
    /// Ours, which stands.
    Ours,
    /// Ours, which goes: we want to talk, and this is the way.
    Theirs,
}

impl Ours {
    /// Until when a request may come that has crossed ours; `None` where that does not end with time.
    pub(super) fn crosses_until(&self) -> Option<Instant> {
        match self.state {
            State::Together => Some(self.together_at? + STRAGGLER_TIMEOUT),
            State::Asking | State::Away => None,
        }
    }
}

/// What a request for that conversation meets.
pub(super) fn meet(ours: Option<Ours>, theirs: ConversationId, now: Instant) -> Meeting {
    let Some(ours) = ours.filter(|ours| ours.has_asked) else {
        return Meeting::Nothing;
    };
    match ours.state {
        State::Asking if theirs < ours.id => Meeting::Theirs,
        State::Asking => Meeting::Ours,
        // Withdrawn, as it has crossed ours: the peer would not have accepted otherwise.
        State::Together
            if theirs > ours.id && ours.crosses_until().is_some_and(|until| now < until) =>
        {
            Meeting::Ours
        }
        State::Together | State::Away => Meeting::Nothing,
    }
}

#[cfg(test)]
mod tests;
