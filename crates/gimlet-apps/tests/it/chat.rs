//! Conversations between endpoints: asked for, broken off, gone on with.

use gimlet::{Connection, Endpoint, Identity, ServerAddress};
use gimlet_apps::chat::{self, Conversation, Ended, Event, MAX_UNDELIVERED, Options, Reception};
use tokio::sync::mpsc;

use crate::support::{in_time, peer_with, server};

async fn dialler(server: &ServerAddress) -> Endpoint {
    peer_with(Endpoint::builder().server(server.clone())).await
}

async fn acceptor(server: &ServerAddress, seed: u8) -> Endpoint {
    let builder = Endpoint::builder()
        .server(server.clone())
        .identity(Identity::from_seed(&[seed; 32]))
        .alpns(vec![chat::ALPN.to_vec()]);
    peer_with(builder).await
}

/// An endpoint that accepts connections: the conversations that come of them, and the connections, to be
/// broken.
struct Host {
    requests: mpsc::Receiver<chat::Request>,
    connections: mpsc::Receiver<Connection>,
}

fn host(endpoint: &Endpoint) -> Host {
    let (requests_by, requests) = mpsc::channel(16);
    let (connections_by, connections) = mpsc::channel(1024);
    let endpoint = endpoint.clone();
    tokio::spawn(async move {
        let reception = Reception::new("bob");
        while let Some(connection) = endpoint.accept().await {
            let _ = connections_by.try_send(connection.clone());
            let (reception, requests_by) = (reception.clone(), requests_by.clone());
            tokio::spawn(async move {
                if let Some(request) = reception.receive(connection).await {
                    let _ = requests_by.send(request).await;
                }
            });
        }
    });
    Host {
        requests,
        connections,
    }
}

fn named(name: &str) -> Options {
    Options {
        name: name.to_owned(),
        asks: true,
    }
}

/// A conversation that was accepted: the asking side's half, the other's, and its host.
async fn together(server: &ServerAddress) -> (Endpoint, Conversation, Conversation, Host) {
    let bob = acceptor(server, 1).await;
    let alice = dialler(server).await;
    let mut host = host(&bob);
    let ask = Conversation::ask(&alice, bob.peer_id(), named("alice"));
    let mut asking = ask.await.unwrap();
    let request = host.requests.recv().await.unwrap();
    assert_eq!((request.peer(), request.name()), (alice.peer_id(), "alice"));
    assert!(request.asks() && request.is_open());
    let accepting = request.accept();
    assert!(matches!(asking.next().await, Some(Event::Together { .. })));
    (alice, asking, accepting, host)
}

async fn line(conversation: &mut Conversation) -> String {
    loop {
        match conversation.next().await.unwrap() {
            Event::Line(text) => return text,
            Event::Ended(how) => panic!("{how}"),
            _ => (),
        }
    }
}

async fn ended(conversation: &mut Conversation) -> Ended {
    loop {
        if let Event::Ended(how) = conversation.next().await.unwrap() {
            return how;
        }
    }
}

/// Waits until everything said has arrived.
async fn delivered(conversation: &mut Conversation) {
    while conversation.undelivered() > 0 {
        conversation.next().await.unwrap();
    }
}

#[tokio::test]
async fn parity_d_lines_go_both_ways_and_are_told_to_have_arrived() {
    in_time(async {
        let server = server();
        let (_alice, mut asking, mut accepting, _host) = together(&server).await;
        assert!(asking.say("hello"));
        assert_eq!(line(&mut accepting).await, "hello");
        assert!(accepting.say("hello yourself"));
        assert_eq!(line(&mut asking).await, "hello yourself");
        delivered(&mut asking).await;
        delivered(&mut accepting).await;
        asking.leave();
        assert_eq!(ended(&mut accepting).await, Ended::TheyLeft);
        assert_eq!(ended(&mut asking).await, Ended::Left);
        assert_eq!(asking.next().await, None);
    })
    .await;
}

#[tokio::test]
async fn parity_d_a_request_is_denied_or_not_answered() {
    in_time(async {
        let server = server();
        let bob = acceptor(&server, 1).await;
        let alice = dialler(&server).await;
        let mut host = host(&bob);
        let ask = async || {
            Conversation::ask(&alice, bob.peer_id(), named("alice"))
                .await
                .unwrap()
        };
        let mut denied = ask().await;
        // Said before there is an answer: nobody hears it.
        assert!(denied.say("are you there?"));
        host.requests.recv().await.unwrap().deny();
        assert_eq!(ended(&mut denied).await, Ended::Denied);
        let mut unanswered = ask().await;
        drop(host.requests.recv().await.unwrap());
        assert_eq!(ended(&mut unanswered).await, Ended::Unanswered);
        // Who gives up waiting takes the request along.
        let gives_up = ask().await;
        let request = host.requests.recv().await.unwrap();
        assert!(request.is_open());
        drop(gives_up);
        while request.is_open() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn every_line_arrives_once_and_in_order_over_connections_that_break() {
    in_time(async {
        let server = server();
        let (_alice, mut asking, mut accepting, mut host) = together(&server).await;
        let mut connection = host.connections.recv().await.unwrap();
        for round in 0..10 {
            for number in 0..10 {
                assert!(asking.say(&format!("{round}.{number}")));
                assert!(accepting.say(&format!("{round}.{number}")));
            }
            // In the middle of it.
            assert_eq!(line(&mut accepting).await, format!("{round}.0"));
            connection.close(9, b"broken");
            for number in 1..10 {
                assert_eq!(line(&mut accepting).await, format!("{round}.{number}"));
            }
            for number in 0..10 {
                assert_eq!(line(&mut asking).await, format!("{round}.{number}"));
            }
            while let Ok(next) = host.connections.try_recv() {
                connection = next;
            }
        }
        assert!(host.requests.try_recv().is_err(), "nobody was asked again");
    })
    .await;
}

#[tokio::test]
async fn a_conversation_goes_on_with_a_peer_that_was_restarted() {
    in_time(async {
        let server = server();
        let bob = acceptor(&server, 1).await;
        let alice = dialler(&server).await;
        let mut first = host(&bob);
        let ask = Conversation::ask(&alice, bob.peer_id(), named("alice"));
        let mut asking = ask.await.unwrap();
        let mut accepting = first.requests.recv().await.unwrap().accept();
        assert!(asking.say("before"));
        assert_eq!(line(&mut accepting).await, "before");
        delivered(&mut asking).await;
        bob.close().await;
        while asking.next().await != Some(Event::Away) {}
        assert!(asking.say("meanwhile"));
        let bob = acceptor(&server, 1).await;
        let mut second = host(&bob);
        // It has forgotten, and is asked anew.
        let mut accepting = second.requests.recv().await.unwrap().accept();
        assert_eq!(line(&mut accepting).await, "meanwhile");
        assert!(accepting.say("I am back"));
        assert_eq!(line(&mut asking).await, "I am back");
    })
    .await;
}

#[tokio::test]
async fn only_so_much_is_kept_for_a_peer_that_is_away() {
    in_time(async {
        let server = server();
        let bob = acceptor(&server, 1).await;
        let alice = dialler(&server).await;
        let mut host = host(&bob);
        let ask = Conversation::ask(&alice, bob.peer_id(), named("alice"));
        let mut asking = ask.await.unwrap();
        let request = host.requests.recv().await.unwrap();
        for number in 0..MAX_UNDELIVERED {
            assert!(asking.say(&number.to_string()));
        }
        assert!(!asking.say("one too many"));
        let mut accepting = request.accept();
        for number in 0..MAX_UNDELIVERED {
            assert_eq!(line(&mut accepting).await, number.to_string());
        }
        delivered(&mut asking).await;
        assert!(asking.say("now it fits"));
    })
    .await;
}

#[tokio::test]
async fn parity_d_a_conversation_cannot_be_taken_over_by_another_peer() {
    in_time(async {
        let server = server();
        let (_alice, mut asking, mut accepting, mut host) = together(&server).await;
        // Somebody else asks; it gets a request of its own, never the conversation of others.
        let bob = Identity::from_seed(&[1; 32]).peer_id();
        let mallory = dialler(&server).await;
        let _hers = Conversation::ask(&mallory, bob, named("alice"))
            .await
            .unwrap();
        let request = host.requests.recv().await.unwrap();
        assert_eq!(request.peer(), mallory.peer_id());
        request.deny();
        assert!(asking.say("still me"));
        assert_eq!(line(&mut accepting).await, "still me");
    })
    .await;
}
