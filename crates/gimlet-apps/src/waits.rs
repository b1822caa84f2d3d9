//! Waits of drivers, which are forever where there is nothing to wait for.

use std::future::pending;

use gimlet::{Presence, Watching};
use tokio::time::{Instant, sleep_until};

/// Waits for tidings of the peer that is watched.
pub(crate) async fn stirred(watching: &mut Option<Watching>) {
    if let Some(watching) = watching
        && watching.changed().await.is_some()
    {
        return;
    }
    pending().await
}

/// Waits until the peer that is watched is said to be there. What was said already is no news.
pub(crate) async fn comes(watching: &mut Option<Watching>) {
    if let Some(watching) = watching {
        while let Some(presence) = watching.changed().await {
            if presence == Presence::Online {
                return;
            }
        }
    }
    pending().await
}

/// Waits until the peer that is watched is said to have come, not only to be there.
pub(crate) async fn arrives(watching: &mut Option<Watching>) {
    if let Some(watching) = watching
        && watching.arrived().await
    {
        return;
    }
    pending().await
}

/// Waits for a deadline.
pub(crate) async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}
