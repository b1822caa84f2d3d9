//! What people say while the path under it changes: relay, direct, relay and direct again.

use std::time::Duration;

use gimlet::{Endpoint, PathKind, Presence};
use gimlet_apps::Router;
use gimlet_apps::chat::{self, Conversation, Options, Reception};
use gimlet_apps::topic::{self, Config, Publisher, Start, Subscription, Topic, Update};
use gimlet_server::Config as ServerConfig;
use gimlet_tests::{Peer, RunningServer, World, rtt_40ms};
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::bench::strict;

/// Between two lines of one side.
const PAUSE: Duration = Duration::from_millis(50);

/// Lines of each side: twenty seconds of talk.
const LINES: usize = 400;

/// How long each path is there, at least.
const EACH: Duration = Duration::from_secs(4);

/// Two peers, of which one answers, and the server that relays.
struct Talk {
    world: World,
    _server: RunningServer,
    alice: Peer,
    bob: Peer,
}

impl Talk {
    async fn new(seed: u64, router: Router) -> Self {
        let mut world = World::new(seed);
        let server = world.server(rtt_40ms(), ServerConfig::on_loopback());
        let places = [(); 2].map(|()| world.site(&strict(), rtt_40ms()));
        let [alice, bob] = places;
        let alice = world.peer(alice, &server.address, |b| b).await;
        let alpns = router.alpns();
        let bob = world.peer(bob, &server.address, |b| b.alpns(alpns)).await;
        for peer in [&alice, &bob] {
            peer.endpoint.online().await.unwrap();
            peer.endpoint.net_report().await;
        }
        world.block_direct(&alice.place, &bob.place, true);
        let endpoint = bob.endpoint.clone();
        tokio::spawn(async move { router.serve(&endpoint).await });
        Self {
            world,
            _server: server,
            alice,
            bob,
        }
    }

    /// Opens the direct way, shuts it, and opens it again.
    async fn change_paths(&self) {
        for blocked in [false, true, false] {
            sleep(EACH).await;
            let (a, b) = (&self.alice.place, &self.bob.place);
            self.world.block_direct(a, b, blocked);
        }
    }
}

/// The paths that one side must have seen.
const PATHS: [PathKind; 4] = [
    PathKind::Relay,
    PathKind::Direct,
    PathKind::Relay,
    PathKind::Direct,
];

/// Notes a path, unless it is the last one.
fn note(paths: &mut Vec<PathKind>, kind: PathKind) {
    if paths.last() != Some(&kind) {
        paths.push(kind);
    }
}

/// Says all lines of one side and takes all of the other's; the paths seen.
async fn talk(conversation: Conversation, first: Option<PathKind>) -> Vec<PathKind> {
    let (mut speaker, mut listener) = conversation.split();
    let say = async {
        for nth in 0..LINES {
            assert!(speaker.say(&nth.to_string()), "line {nth} has room");
            sleep(PAUSE).await;
        }
    };
    let hear = async {
        let mut paths = Vec::from_iter(first);
        let (mut heard, mut delivered) = (0, 0);
        while heard < LINES || delivered < LINES {
            match listener.next().await.expect("the conversation goes on") {
                chat::Event::Line(text) => {
                    assert_eq!(text, heard.to_string(), "once, and in order");
                    heard += 1;
                }
                chat::Event::Delivered(lines) => delivered += lines,
                chat::Event::Together { path } | chat::Event::Path(path) => {
                    note(&mut paths, path.kind);
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(delivered, LINES);
        paths
    };
    let ((), paths) = tokio::join!(say, hear);
    assert_eq!(speaker.undelivered(), 0);
    paths
}

#[tokio::test(start_paused = true)]
async fn lines_arrive_once_and_in_order_while_the_path_changes() {
    for seed in [1, 2, 3] {
        let reception = Reception::new("bob");
        let (requests_by, mut requests) = mpsc::channel(1);
        let router = Router::new().on(chat::ALPN, move |connection| {
            let (reception, requests_by) = (reception.clone(), requests_by.clone());
            async move {
                if let Some(request) = reception.receive(connection).await {
                    requests_by.send(request).await.unwrap();
                }
            }
        });
        let talking = Talk::new(seed, router).await;
        let (alice, bob) = (&talking.alice.endpoint, talking.bob.endpoint.peer_id());
        let options = Options {
            name: "alice".to_owned(),
            asks: true,
        };
        let asking = Conversation::ask(alice, bob, options).await.unwrap();
        let accepting = requests.recv().await.unwrap().accept();
        let (asker, accepter, ()) = tokio::join!(
            talk(asking, None),
            talk(accepting, Some(PathKind::Relay)),
            talking.change_paths()
        );
        assert_eq!(asker, PATHS, "seed {seed}");
        assert_eq!(accepter, PATHS, "seed {seed}");
    }
}

/// Watches a peer until told to stop; what was seen of it.
async fn watched(endpoint: &Endpoint, peer: gimlet::PeerId) -> Vec<Presence> {
    let mut watching = endpoint.watch(peer).await.unwrap();
    let mut seen = Vec::new();
    let follow = async {
        while let Some(presence) = watching.changed().await {
            if presence != Presence::Unknown {
                seen.push(presence);
            }
        }
    };
    let _ = tokio::time::timeout(5 * EACH, follow).await;
    seen
}

#[tokio::test(start_paused = true)]
async fn a_subscription_and_presence_outlast_changes_of_path() {
    let news: Topic = "news".parse().unwrap();
    let publisher = Publisher::start(Config::default()).await.unwrap();
    let router = Router::new().on(topic::ALPN, publisher.handler());
    let talking = Talk::new(7, router).await;
    let (alice, bob) = (&talking.alice.endpoint, talking.bob.endpoint.peer_id());
    let mut subscription = Subscription::start(alice, bob, news.clone(), Start::Kept);
    let publish = async {
        for nth in 0..LINES {
            let text = nth.to_string();
            publisher.publish(&news, text).await.unwrap();
            sleep(PAUSE).await;
        }
    };
    let read = async {
        let (mut paths, mut heard) = (Vec::new(), 0);
        while heard < LINES {
            match subscription.next().await.expect("it goes on") {
                Update::Message(message) => {
                    assert_eq!(message.payload, heard.to_string(), "once, and in order");
                    heard += 1;
                }
                Update::Connected { path } | Update::Path(path) => note(&mut paths, path.kind),
                Update::Placed(_) => (),
                other => panic!("{other:?}"),
            }
        }
        paths
    };
    let (paths, presence, (), ()) =
        tokio::join!(read, watched(alice, bob), publish, talking.change_paths());
    assert_eq!(paths, PATHS);
    assert_eq!(presence, [Presence::Online], "it was there all the time");
}
