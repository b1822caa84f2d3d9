//! The server that relays is killed (SIGKILL) under a hundred transfers, with a second one known: every
//! one of them ends with the right bytes. Real servers, real sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gimlet::{AcceptPolicy, Connection, Endpoint, ServerAddress, ServerRole};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::support::Server;

/// Endpoints that dial, and as many that accept; each two have a session.
const EACH: usize = 10;

/// Bytes of one transfer, in chunks of a fixed rhythm. The last is not sent before the kill, so all of
/// them are under way then, also the one that a busy machine let run ahead.
const CHUNK: usize = 16 << 10;
const CHUNKS: usize = 64;
const RHYTHM: Duration = Duration::from_millis(60);

/// Everything ends within this. On a quiet machine it takes eight seconds.
const DEADLINE: Duration = Duration::from_secs(100);

async fn endpoint(servers: &[&Server]) -> Endpoint {
    let mut builder = Endpoint::builder()
        .alpns(vec![b"test/1".to_vec()])
        .accept(AcceptPolicy::All)
        .relay_only(true)
        .port_mapping(false);
    for server in servers {
        let address: ServerAddress = server.address.parse().unwrap();
        builder = builder.server(address);
    }
    let endpoint = builder.bind().await.unwrap();
    endpoint.online().await.unwrap();
    endpoint
}

/// Waits until an endpoint is signed in to both servers.
async fn both(endpoint: &Endpoint) {
    let deadline = Instant::now() + DEADLINE;
    let mut rhythm = tokio::time::interval(Duration::from_millis(20));
    while !endpoint.servers().await.iter().all(|server| server.online) {
        assert!(Instant::now() < deadline, "not signed in to both");
        rhythm.tick().await;
    }
}

/// What the receiver of a transfer saw.
struct Seen {
    hash: blake3::Hash,
    /// The longest time between two reads that ended after the kill.
    pause: Duration,
}

/// Bytes that differ from transfer to transfer and everywhere.
fn payload(nth: usize) -> Vec<u8> {
    let mut bytes = vec![0; CHUNK * CHUNKS];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&nth.to_be_bytes());
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

async fn send(
    connection: Connection,
    bytes: Vec<u8>,
    mut killed_at: watch::Receiver<Option<Instant>>,
) {
    let mut stream = connection.open_uni().await.unwrap();
    let mut rhythm = tokio::time::interval(RHYTHM);
    for (nth, chunk) in bytes.chunks(CHUNK).enumerate() {
        rhythm.tick().await;
        if nth == CHUNKS - 1 {
            killed_at.wait_for(Option::is_some).await.unwrap();
        }
        stream.write_all(chunk).await.unwrap();
    }
    stream.finish().unwrap();
    stream.stopped().await.unwrap();
}

async fn receive(
    connection: Connection,
    count: Arc<AtomicU64>,
    killed_at: watch::Receiver<Option<Instant>>,
) -> Seen {
    let mut stream = connection.accept_uni().await.unwrap();
    let mut hasher = blake3::Hasher::new();
    let (mut last, mut pause) = (Instant::now(), Duration::ZERO);
    while let Some(chunk) = stream.read_chunk(usize::MAX, true).await.unwrap() {
        hasher.update(&chunk.bytes);
        count.fetch_add(chunk.bytes.len() as u64, Ordering::Relaxed);
        let now = Instant::now();
        if let Some(killed_at) = *killed_at.borrow() {
            pause = pause.max(now - last.max(killed_at));
        }
        last = now;
    }
    let hash = hasher.finalize();
    Seen { hash, pause }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_relayed_transfers_survive_kill_9_of_their_server() {
    let (mut first, second) = (Server::start(), Server::start());
    let (mut dialers, mut acceptors) = (Vec::new(), Vec::new());
    for _ in 0..EACH {
        dialers.push(endpoint(&[&first, &second]).await);
        acceptors.push(endpoint(&[&first, &second]).await);
    }
    for endpoint in dialers.iter().chain(&acceptors) {
        both(endpoint).await;
    }
    let mut at_first = 0;
    let mut pairs = Vec::new();
    for dialer in &dialers {
        let primary = dialer.servers().await[0].role == ServerRole::Primary;
        at_first += usize::from(primary) * acceptors.len();
        for acceptor in &acceptors {
            let dial = dialer.connect(acceptor.peer_id(), b"test/1");
            let (dialled, accepted) = tokio::join!(dial, acceptor.accept());
            pairs.push((dialled.unwrap(), accepted.unwrap()));
        }
    }
    let (kill, killed_at) = watch::channel(None);
    let (count, mut receivers) = (Arc::new(AtomicU64::new(0)), JoinSet::new());
    let mut senders = JoinSet::new();
    for (nth, (dialled, accepted)) in pairs.iter().cloned().enumerate() {
        // Half of them go to the dialer.
        let (from, to) = match nth % 2 {
            0 => (dialled, accepted),
            _ => (accepted, dialled),
        };
        let bytes = payload(nth);
        let expected = blake3::hash(&bytes);
        senders.spawn(send(from, bytes, killed_at.clone()));
        let (count, killed_at) = (count.clone(), killed_at.clone());
        receivers.spawn(async move {
            let seen = receive(to, count, killed_at).await;
            assert_eq!(seen.hash, expected, "transfer {nth}");
            seen.pause
        });
    }
    // The first of two that are as near; one that a busy moment made look farther is an exception.
    assert!(2 * at_first > pairs.len(), "{at_first} at the first server");
    let half = (pairs.len() * CHUNK * CHUNKS / 2) as u64;
    let mut rhythm = tokio::time::interval(Duration::from_millis(5));
    let deadline = Instant::now() + DEADLINE;
    while count.load(Ordering::Relaxed) < half {
        assert!(Instant::now() < deadline, "no half of it comes");
        rhythm.tick().await;
    }
    first.process.kill();
    kill.send_replace(Some(Instant::now()));
    let ends = tokio::time::timeout(DEADLINE, receivers.join_all());
    let mut pauses = ends.await.expect("all transfers end");
    pauses.sort();
    println!(
        "pauses of {} transfers, {at_first} by the killed server: median {:?}, longest {:?}",
        pauses.len(),
        pauses[pauses.len() / 2],
        pauses[pauses.len() - 1]
    );
    senders.join_all().await;
    assert!(pairs.iter().all(|(dialled, _)| !dialled.path().is_direct()));
}
