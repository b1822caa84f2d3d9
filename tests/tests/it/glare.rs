//! Both dial at once: one session, and both connections work.

use crate::bench::{Pair, echo, path_is, strict};

#[tokio::test(start_paused = true)]
async fn two_peers_that_dial_each_other_at_once_share_one_session() {
    for seed in 0..4 {
        let pair = Pair::new(seed, &strict(), &strict()).await;
        let (a, b) = (&pair.a.endpoint, &pair.b.endpoint);
        let (from_a, from_b, at_a, at_b) = tokio::join!(
            a.connect(b.peer_id(), b"test/1"),
            b.connect(a.peer_id(), b"test/1"),
            a.accept(),
            b.accept()
        );
        let (from_a, from_b) = (from_a.unwrap(), from_b.unwrap());
        echo(&from_a, &at_b.unwrap(), b"from a").await;
        echo(&from_b, &at_a.unwrap(), b"from b").await;
        path_is(&from_a, true).await;
        path_is(&from_b, true).await;
        assert_eq!(a.list().await.unwrap().sessions.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_connection_the_other_way_rides_on_the_session_there_is() {
    let pair = Pair::new(1, &strict(), &strict()).await;
    let (first, first_b) = pair.connect().await;
    path_is(&first, true).await;
    path_is(&first_b, true).await;
    let (a, b) = (&pair.a.endpoint, &pair.b.endpoint);
    let (second, at_a) = tokio::join!(b.connect(a.peer_id(), b"test/1"), a.accept());
    let second = second.unwrap();
    assert!(second.path().is_direct());
    assert!(second.timings().connected <= std::time::Duration::from_millis(45));
    echo(&second, &at_a.unwrap(), b"back").await;
    echo(&first, &first_b, b"still").await;
    assert_eq!(a.list().await.unwrap().sessions.len(), 1);
}
