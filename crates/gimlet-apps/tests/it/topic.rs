//! Publish/subscribe between endpoints: who gets what, and what becomes of interruptions.

use bytes::Bytes;
use gimlet::{Endpoint, Identity, PeerId, Presence, ServerAddress};
use gimlet_apps::Router;
use gimlet_apps::topic::{
    self, Config, Limits, Lost, MAX_MESSAGE, Message, PublishError, Publisher, Start, StoreError,
    Subscription, Topic, Update,
};
use tokio::task::JoinHandle;

use crate::support::{in_time, peer_with, server};

/// A publisher that is signed in and serves.
struct Station {
    endpoint: Endpoint,
    publisher: Publisher,
    serving: JoinHandle<()>,
}

impl Station {
    async fn open(server: &ServerAddress, identity: &[u8; 32], config: Config) -> Self {
        // One that was closed lets go of its folder when its last task has ended.
        let publisher = loop {
            match Publisher::start(config.clone()).await {
                Err(StoreError::InUse(_)) => tokio::task::yield_now().await,
                started => break started.unwrap(),
            }
        };
        let router = Router::new()
            .on(topic::ALPN, publisher.handler())
            .limit(4096);
        let builder = Endpoint::builder()
            .server(server.clone())
            .identity(Identity::from_seed(identity))
            .alpns(router.alpns());
        let endpoint = peer_with(builder).await;
        let served = endpoint.clone();
        let serving = tokio::spawn(async move { router.serve(&served).await });
        Self {
            endpoint,
            publisher,
            serving,
        }
    }

    async fn say(&self, text: &'static str) {
        self.publisher.publish(&news(), text).await.unwrap();
    }

    async fn subscribed(&self, subscribers: usize) {
        while self.publisher.status().subscribers != subscribers {
            tokio::task::yield_now().await;
        }
    }

    async fn close(self) {
        self.endpoint.close().await;
        self.serving.abort();
    }
}

fn news() -> Topic {
    "news".parse().unwrap()
}

async fn dialler(server: &ServerAddress) -> Endpoint {
    peer_with(Endpoint::builder().server(server.clone())).await
}

fn follow(endpoint: &Endpoint, publisher: PeerId, start: Start) -> Subscription {
    Subscription::start(endpoint, publisher, news(), start)
}

async fn message(subscription: &mut Subscription) -> Message {
    loop {
        match subscription.next().await.unwrap() {
            Update::Message(message) => return message,
            Update::Missed { count } => panic!("missed {count}"),
            _ => (),
        }
    }
}

async fn hears(subscription: &mut Subscription, payload: &'static str) {
    assert_eq!(message(subscription).await.payload, payload);
}

async fn disconnected(subscription: &mut Subscription) -> Lost {
    loop {
        if let Update::Disconnected { reason } = subscription.next().await.unwrap() {
            return reason;
        }
    }
}

#[tokio::test]
async fn parity_b_publish_reaches_every_subscriber() {
    in_time(async {
        let server = server();
        let station = Station::open(&server, &[1; 32], Config::default()).await;
        let (bob, carol) = (dialler(&server).await, dialler(&server).await);
        let alice = station.endpoint.peer_id();
        let mut at_bob = follow(&bob, alice, Start::Kept);
        let mut at_carol = follow(&carol, alice, Start::Kept);
        station.subscribed(2).await;
        station.say("one").await;
        station.say("two").await;
        for subscription in [&mut at_bob, &mut at_carol] {
            hears(subscription, "one").await;
            hears(subscription, "two").await;
        }
        station.publisher.delivered().await;
        assert_eq!(station.publisher.status().behind, 0);
    })
    .await;
}

#[tokio::test]
async fn parity_b_who_unsubscribes_gets_nothing_more() {
    in_time(async {
        let server = server();
        let station = Station::open(&server, &[1; 32], Config::default()).await;
        let bob = dialler(&server).await;
        let mut subscription = follow(&bob, station.endpoint.peer_id(), Start::Kept);
        station.say("one").await;
        hears(&mut subscription, "one").await;
        subscription.unsubscribe().await;
        station.subscribed(0).await;
        station.say("two").await;
        station.publisher.delivered().await;
    })
    .await;
}

#[tokio::test]
async fn parity_b_an_absent_subscriber_gets_what_was_kept_when_it_comes_back() {
    in_time(async {
        let server = server();
        let station = Station::open(&server, &[1; 32], Config::default()).await;
        let alice = station.endpoint.peer_id();
        let bob = dialler(&server).await;
        let mut subscription = follow(&bob, alice, Start::New);
        station.subscribed(1).await;
        station.say("one").await;
        let last = message(&mut subscription).await.position;
        drop(subscription);
        bob.close().await;
        station.subscribed(0).await;
        station.say("two").await;
        station.say("three").await;
        let bob = dialler(&server).await;
        let mut subscription = follow(&bob, alice, Start::After(last));
        hears(&mut subscription, "two").await;
        hears(&mut subscription, "three").await;
    })
    .await;
}

#[tokio::test]
async fn parity_b_a_subscription_outlives_a_restart_of_the_publisher() {
    in_time(async {
        let server = server();
        let folder = tempfile::tempdir().unwrap();
        let config = || Config {
            state: Some(folder.path().to_owned()),
            ..Config::default()
        };
        let station = Station::open(&server, &[1; 32], config()).await;
        let bob = dialler(&server).await;
        let mut subscription = follow(&bob, station.endpoint.peer_id(), Start::Kept);
        station.say("one").await;
        hears(&mut subscription, "one").await;
        station.close().await;
        disconnected(&mut subscription).await;
        let station = Station::open(&server, &[1; 32], config()).await;
        // Nothing twice, and the numbers go on.
        assert_eq!(station.publisher.publish(&news(), "two").await, Ok(2));
        let two = message(&mut subscription).await;
        assert_eq!((two.payload, two.position.seq), ("two".into(), 2));
    })
    .await;
}

#[tokio::test]
async fn a_publisher_that_has_forgotten_everything_begins_anew() {
    in_time(async {
        let server = server();
        let station = Station::open(&server, &[1; 32], Config::default()).await;
        let bob = dialler(&server).await;
        let mut subscription = follow(&bob, station.endpoint.peer_id(), Start::Kept);
        for text in ["one", "two"] {
            station.say(text).await;
            hears(&mut subscription, text).await;
        }
        station.close().await;
        let station = Station::open(&server, &[1; 32], Config::default()).await;
        station.say("another one").await;
        hears(&mut subscription, "another one").await;
    })
    .await;
}

#[tokio::test]
async fn a_subscription_waits_for_a_publisher_that_is_not_there_yet() {
    in_time(async {
        let server = server();
        let alice = Identity::from_seed(&[1; 32]).peer_id();
        let bob = dialler(&server).await;
        let mut subscription = follow(&bob, alice, Start::New);
        let reason = disconnected(&mut subscription).await;
        assert!(matches!(reason, Lost::Unreachable(_)), "{reason}");
        let station = Station::open(&server, &[1; 32], Config::default()).await;
        station.subscribed(1).await;
        station.say("at last").await;
        hears(&mut subscription, "at last").await;
    })
    .await;
}

#[tokio::test]
async fn messages_are_any_bytes_up_to_a_mebibyte() {
    in_time(async {
        let server = server();
        let station = Station::open(&server, &[1; 32], Config::default()).await;
        let bob = dialler(&server).await;
        let mut subscription = follow(&bob, station.endpoint.peer_id(), Start::Kept);
        let largest: Bytes = (0..MAX_MESSAGE).map(|n| (n * 7 % 251) as u8).collect();
        for payload in [Bytes::new(), Bytes::from_static(&[0, 255, 10]), largest] {
            let published = station.publisher.publish(&news(), payload.clone()).await;
            published.unwrap();
            assert!(message(&mut subscription).await.payload == payload);
        }
        let long = vec![0; MAX_MESSAGE + 1];
        let refused = station.publisher.publish(&news(), long).await;
        assert_eq!(refused, Err(PublishError::TooLong));
    })
    .await;
}

#[tokio::test]
async fn a_subscriber_that_reads_nothing_misses_what_it_is_told_and_holds_up_nobody() {
    in_time(async {
        let server = server();
        let limits = Limits {
            keep_bytes: 4 << 20,
            ..Limits::default()
        };
        let config = Config {
            limits,
            state: None,
        };
        let station = Station::open(&server, &[1; 32], config).await;
        let alice = station.endpoint.peer_id();
        let (slow, quick) = (dialler(&server).await, dialler(&server).await);
        let mut slow = follow(&slow, alice, Start::Kept);
        let mut quick = follow(&quick, alice, Start::Kept);
        station.subscribed(2).await;
        for seq in 1..=100 {
            let payload = vec![0; 1 << 20];
            station.publisher.publish(&news(), payload).await.unwrap();
            assert_eq!(message(&mut quick).await.position.seq, seq);
        }
        let (mut got, mut missed) = (0, 0);
        while got + missed < 100 {
            match slow.next().await.unwrap() {
                Update::Message(message) => {
                    got += 1;
                    assert_eq!(message.position.seq, got + missed);
                }
                Update::Missed { count } => missed += count,
                _ => (),
            }
        }
        assert!(missed > 50, "{missed}");
    })
    .await;
}

#[tokio::test]
async fn a_thousand_subscriptions_get_every_message() {
    in_time(async {
        let server = server();
        let station = Station::open(&server, &[1; 32], Config::default()).await;
        let alice = station.endpoint.peer_id();
        // Few endpoints, since each would have sockets and a control session.
        let mut subscriptions = Vec::new();
        for _ in 0..4 {
            let endpoint = dialler(&server).await;
            for _ in 0..250 {
                subscriptions.push(follow(&endpoint, alice, Start::Kept));
            }
        }
        station.subscribed(1000).await;
        for text in ["one", "two", "three"] {
            station.say(text).await;
        }
        for subscription in &mut subscriptions {
            for text in ["one", "two", "three"] {
                hears(subscription, text).await;
            }
        }
        station.publisher.delivered().await;
    })
    .await;
}

#[tokio::test]
async fn parity_b_presence_is_asked_and_followed() {
    in_time(async {
        let server = server();
        let bob = dialler(&server).await;
        let alice = Identity::from_seed(&[1; 32]).peer_id();
        assert_eq!(bob.is_alive(alice).await, Ok(false));
        let mut watching = bob.watch(alice).await.unwrap();
        while watching.presence() == Presence::Unknown {
            watching.changed().await.unwrap();
        }
        assert_eq!(watching.presence(), Presence::Offline);
        let station = Station::open(&server, &[1; 32], Config::default()).await;
        assert!(watching.online().await);
        assert_eq!(bob.is_alive(alice).await, Ok(true));
        station.close().await;
        while watching.presence() != Presence::Offline {
            watching.changed().await.unwrap();
        }
        assert_eq!(bob.is_alive(alice).await, Ok(false));
    })
    .await;
}
