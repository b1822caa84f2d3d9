//! Waits of drivers, which are forever where there is nothing to wait for.

use std::future::pending;

use gimlet::Watching;
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

/// Waits for a deadline.
pub(crate) async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}
