//! What becomes of a forward when the service's host, or the server, is gone for a while.

use std::time::Duration;

use gimlet_apps::forward::{LinkError, LinkState};
use gimlet_server::Config;
use gimlet_tests::rtt_40ms;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};

use super::{Sites, serve, strict};

impl Sites {
    /// The service's host is gone without a word, and another one with its key is there.
    async fn replace_host(&mut self, away: Duration) {
        self.world.set_dark(self.host.place.host, true);
        sleep(away).await;
        let place = self.world.site(&[strict()], rtt_40ms());
        let (server, identity) = (&self.server.address, &self.identity);
        self.host = serve(&self.world, place, server, identity, &self.exposed).await;
    }

    /// Which session the link has; waits for one.
    async fn session(&self) -> usize {
        let connection = self.link.connection().await.unwrap();
        connection.quic().stable_id()
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_was_killed_and_is_back_is_used_within_a_second_and_nobody_has_to_ask() {
    for away in [0, 2, 8] {
        let mut sites = Sites::new(4, strict(), strict()).await;
        sites.ask().await;
        let path = sites.link.connection().await.unwrap().settled().await;
        assert!(path.is_direct());
        let mut stuck = sites.connect().await;
        stuck.write_all(b"hello").await.unwrap();
        let (_at_service, _) = sites.service.accept().await.unwrap();

        // One that ends at once is taken for a peer that is in trouble, and left alone for a moment.
        sleep(Duration::from_secs(6)).await;
        let mut state = sites.link.state();
        state.mark_unchanged();
        sites.replace_host(Duration::from_secs(away)).await;
        let back_at = Instant::now();
        let restarted = |state: &LinkState| matches!(state, LinkState::Away(LinkError::Restarted));
        state.wait_for(restarted).await.unwrap();
        let connected = |state: &LinkState| matches!(state, LinkState::Connected(_));
        state.wait_for(connected).await.unwrap();
        let took = back_at.elapsed();
        assert!(took <= Duration::from_secs(1), "away {away} s: {took:?}");
        sites.ask().await;
        // What ran over the old session is reset, and does not hang.
        let end = timeout(Duration::from_secs(5), stuck.read_u8()).await;
        assert!(end.unwrap().is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn connections_outlive_a_server_that_is_restarted() {
    let state = tempfile::tempdir().unwrap();
    let config = || {
        let mut config = Config::on_loopback();
        config.state = Some(state.path().to_owned());
        config
    };
    let mut sites = Sites::with_server(5, strict(), strict(), config()).await;
    sites.ask().await;
    let session = sites.session().await;
    let mut user = sites.connect().await;
    user.write_all(b"1").await.unwrap();
    let (mut service, _) = sites.service.accept().await.unwrap();
    assert_eq!(service.read_u8().await.unwrap(), b'1');

    sites.server.kill().await;
    sleep(Duration::from_secs(2)).await;
    let place = sites.server.place.clone();
    sites.server = sites.world.server_at(&place, config());
    sites.host.endpoint.online().await.unwrap();
    // Both have signed in anew by then, and doubts are settled.
    sleep(Duration::from_secs(20)).await;
    user.write_all(b"2").await.unwrap();
    assert_eq!(service.read_u8().await.unwrap(), b'2');
    assert_eq!(sites.session().await, session, "the same session");
}
