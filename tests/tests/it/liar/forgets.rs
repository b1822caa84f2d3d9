//! A server that forgets a session and says so to nobody.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{Bench, Lie};
use crate::bench::echo;

#[tokio::test(start_paused = true)]
async fn a_relayed_session_that_its_only_server_forgot_is_introduced_there_again() {
    let mut t = Bench::new().await;
    let (alice, bob) = (t.peer().await, t.peer().await);
    t.liar
        .lie(Lie::Candidates("203.0.113.200:9".parse().unwrap()));
    let (dialled, accepted) = tokio::join!(
        alice.endpoint.connect(bob.endpoint.peer_id(), b"test/1"),
        bob.endpoint.accept()
    );
    let (dialled, accepted) = (dialled.unwrap(), accepted.unwrap());
    echo(&dialled, &accepted, b"before").await;
    for _ in 0..2 {
        t.liar.state.lock().unwrap().sessions.clear();
        let forgotten_at = Instant::now();
        let again = timeout(
            Duration::from_secs(60),
            echo(&dialled, &accepted, b"and after"),
        );
        again.await.expect("it goes on");
        let took = forgotten_at.elapsed();
        println!("after {took:?}");
        assert!(took <= Duration::from_secs(8), "{took:?}");
    }
}
