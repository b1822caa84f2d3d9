//! Finds out soon whether what was just said on a stream has arrived.
//!
//! QUIC repeats lost data when something later is acknowledged. After the last word there is nothing
//! later, so that is repeated by the probe timeout only: three round trips on a young connection. On a
//! far and lossy link, each message of an introduction may cost that. So something small is sent behind
//! it, late enough that its acknowledgement tells of the loss (an eighth of a round trip, RFC 9002
//! section 6.1.2), and once more in case it is lost itself.
//!
//! quinn has no call that sends a ping; a window that grows is announced, which does as well.

use std::time::Duration;

use quinn::Connection;
use tokio::time::{Instant, sleep_until};

/// Below this round trip the probe timeout is soon enough, and nothing is sent.
const NEAR: Duration = Duration::from_millis(80);

/// When something is sent behind the last word.
#[derive(Debug)]
pub struct Prompts {
    /// The connection's window, bytes.
    window: u32,
    /// The next, and how long after it another one.
    next: Option<(Instant, Option<Duration>)>,
}

impl Prompts {
    /// For connections with this receive window.
    pub fn new(window: u32) -> Self {
        Self { window, next: None }
    }

    /// Something was said to whom a round trip takes so long.
    pub fn said(&mut self, rtt: Duration, now: Instant) {
        if rtt >= NEAR {
            let gap = rtt / 6;
            self.next = Some((now + gap, Some(gap)));
        }
    }

    /// Waits until something is to be sent; for ever, if nothing is.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn due(&self) {
        match self.next {
            Some((at, _)) => sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    /// Sends it.
    pub fn send(&mut self, connection: &Connection) {
        self.advance();
        connection.set_receive_window((self.window + 1).into());
        connection.set_receive_window(self.window.into());
    }

    fn advance(&mut self) {
        self.next = match self.next {
            Some((at, Some(gap))) => Some((at + gap, None)),
            Some((_, None)) | None => None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(300);

    fn gaps(mut prompts: Prompts, start: Instant) -> Vec<u128> {
        let mut gaps = Vec::new();
        while let Some((at, _)) = prompts.next {
            gaps.push((at - start).as_millis());
            prompts.advance();
        }
        gaps
    }

    #[test]
    fn two_follow_the_last_word_on_a_long_way() {
        let (mut prompts, start) = (Prompts::new(1000), Instant::now());
        prompts.said(RTT, start);
        assert_eq!(gaps(prompts, start), [50, 100]);
    }

    #[test]
    fn nothing_follows_on_a_short_way() {
        let (mut prompts, start) = (Prompts::new(1000), Instant::now());
        prompts.said(NEAR / 2, start);
        assert!(gaps(prompts, start).is_empty());
    }

    #[test]
    fn a_later_word_begins_anew() {
        let (mut prompts, start) = (Prompts::new(1000), Instant::now());
        prompts.said(RTT, start);
        prompts.advance();
        prompts.said(RTT, start + RTT / 6);
        assert_eq!(gaps(prompts, start), [100, 150]);
    }
}
