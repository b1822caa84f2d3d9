//! A tunnel, with an end that the test plays.

use std::future::poll_fn;

use gimlet_proto::tunnel::{
    Assembly, Batch, Control, Decoder, FrameError, MAX_MESSAGE, MAX_PACKET, MessageError, Opcode,
    check, control, split_first,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::time::{self, Instant, interval as every};

use super::*;
use crate::identity::Identity;
use crate::records::{self, Records};
use crate::tls::Credential;

const PATIENCE: Duration = Duration::from_secs(30);

fn from() -> SocketAddr {
    "192.0.2.1:443".parse().unwrap()
}

fn batch(packets: &[&[u8]]) -> Batch {
    let mut batch = Batch::default();
    assert!(packets.iter().all(|packet| batch.push(packet)));
    batch
}

/// The packets of a message, each behind its length.
fn said(batch: Batch) -> Vec<u8> {
    let header = if batch.len() < 126 { 2 } else { 4 };
    batch.seal(None).plain().split_off(header)
}

fn outbox(limit: usize, budget: Budget) -> Outbox {
    Outbox::new(limit, budget, Pool::default())
}

fn packets(mut message: &[u8]) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    while let Some((packet, rest)) = split_first(message) {
        packets.push(packet.to_vec());
        message = rest;
    }
    packets
}

// --- outbox ---

#[tokio::test]
async fn what_waits_together_leaves_together_and_segments_become_packets() {
    let outbox = outbox(MAX_WAITING, Budget::unlimited());
    outbox.push(b"aaabbbc", Some(3));
    outbox.push(b"dd", None);
    let message = outbox.next().await;
    let message = said(message);
    assert_eq!(check(&message), Ok(()));
    assert_eq!(packets(&message), [&b"aaa"[..], b"bbb", b"c", b"dd"]);
}

#[tokio::test]
async fn a_full_outbox_drops_the_oldest_and_counts_them() {
    // Sixteen times that at any age.
    let outbox = outbox(3 * MAX_MESSAGE / 16, Budget::unlimited());
    let all = 1000u64;
    for n in 0..all {
        let mut packet = vec![0; 1000];
        packet[..8].copy_from_slice(&n.to_be_bytes());
        outbox.push(&packet, None);
    }
    let mut left = Vec::new();
    while let Some(message) = outbox.take() {
        assert!(message.len() <= MAX_MESSAGE);
        left.extend(packets(&said(message)));
    }
    assert_eq!(outbox.dropped() + left.len() as u64, all);
    assert!(left.len() * 1002 > 2 * MAX_MESSAGE && left.len() * 1002 <= 3 * MAX_MESSAGE);
    let numbers = left
        .iter()
        .map(|packet| u64::from_be_bytes(*packet.first_chunk().unwrap()));
    assert!(
        numbers.eq(outbox.dropped()..all),
        "the newest, in their order"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_young_may_be_more_and_what_is_little_may_grow_old() {
    let outbox = outbox(3 * MAX_MESSAGE / 4, Budget::unlimited());
    let push = |bytes: usize| (0..bytes / 1000).for_each(|_| outbox.push(&[7; 1000], None));
    push(2 * MAX_MESSAGE);
    assert_eq!(outbox.dropped(), 0);
    time::sleep(Duration::from_millis(41)).await;
    push(1000);
    assert!(outbox.dropped() > 65, "{}", outbox.dropped());
    while outbox.take().is_some() {}
    let before = outbox.dropped();
    push(MAX_MESSAGE / 2);
    time::sleep(Duration::from_secs(1)).await;
    push(1000);
    assert_eq!(outbox.dropped(), before);
}

#[tokio::test]
async fn packets_that_are_too_long_are_dropped() {
    let outbox = outbox(MAX_WAITING, Budget::unlimited());
    outbox.push(&[0; MAX_PACKET + 1], None);
    outbox.push(&[], None);
    assert_eq!((outbox.dropped(), outbox.take()), (1, None));
}

#[tokio::test]
async fn outboxes_share_a_budget_and_give_it_back() {
    let budget = Budget::new(10_000);
    let (one, other) = (
        outbox(MAX_WAITING, budget.clone()),
        outbox(MAX_WAITING, budget),
    );
    for _ in 0..20 {
        one.push(&[1; 1000], None);
    }
    let kept = 20 - one.dropped();
    assert_eq!(kept, 10);
    other.push(&[2; 1000], None);
    assert_eq!((other.dropped(), other.take()), (1, None));
    drop(one);
    other.push(&[2; 1000], None);
    assert_eq!(other.next().await.packets(), 1);
}

#[tokio::test]
async fn what_is_young_may_be_more_only_while_half_of_the_budget_is_free() {
    let budget = Budget::new(40_000);
    let stuck = outbox(2_000, budget.clone());
    (0..100).for_each(|_| stuck.push(&[1; 1000], None));
    // All that waits is one message, which goes whenever half is used.
    assert!(stuck.dropped() > 60, "{}", stuck.dropped());
    let other = outbox(2_000, budget);
    other.push(&[2; 1000], None);
    assert_eq!(other.dropped(), 0);
}

// --- inbox ---

/// An inbox with one message in it.
fn inbox_with(packets: &[&[u8]]) -> Inbox {
    let (sender, inbox) = inbox(Pool::default());
    let (from, packets) = (from(), said(batch(packets)));
    sender.try_send(Received { from, packets }).unwrap();
    inbox
}

async fn fetch(inbox: &mut Inbox, size: usize, count: usize) -> Vec<(SocketAddr, Vec<u8>, usize)> {
    let mut memory = vec![vec![0; size]; count];
    let mut meta = vec![RecvMeta::default(); count];
    let filled = {
        let mut bufs: Vec<_> = memory.iter_mut().map(|buf| IoSliceMut::new(buf)).collect();
        poll_fn(|cx| inbox.poll_fill(cx, &mut bufs, &mut meta)).await
    };
    let filled = memory.iter().zip(&meta).take(filled);
    filled
        .map(|(buf, meta)| (meta.addr, buf[..meta.len].to_vec(), meta.stride))
        .collect()
}

#[tokio::test]
async fn packets_of_one_length_come_joined_and_others_apart() {
    let mut inbox = inbox_with(&[b"aaa", b"bbb", b"c", b"dddd", b"eeeee"]);
    let fetched = fetch(&mut inbox, 1500, 8).await;
    assert_eq!(
        fetched,
        [
            (from(), b"aaabbbc".to_vec(), 3),
            (from(), b"dddd".to_vec(), 4),
            (from(), b"eeeee".to_vec(), 5),
        ]
    );
}

#[tokio::test]
async fn what_finds_no_room_comes_next_time_and_what_never_fits_is_lost() {
    let mut inbox = inbox_with(&[b"aaaa", b"bbbb", b"too long", b"cc", b"d"]);
    assert_eq!(
        fetch(&mut inbox, 6, 1).await,
        [(from(), b"aaaa".to_vec(), 4)]
    );
    let rest = fetch(&mut inbox, 6, 8).await;
    assert_eq!(
        rest,
        [(from(), b"bbbb".to_vec(), 4), (from(), b"ccd".to_vec(), 2)]
    );
}

#[tokio::test]
async fn a_whole_message_is_fetched_whatever_the_buffers_are() {
    for (size, count) in [(1500, 1), (1500, 32), (15_000, 2), (65_536, 1)] {
        let sizes = [1200, 1200, 900, 1200, 40, 1452, 1452, 1452, 1, 1500];
        let sent: Vec<Vec<u8>> = sizes.iter().map(|&size| vec![size as u8; size]).collect();
        let parts: Vec<&[u8]> = sent.iter().map(Vec::as_slice).collect();
        let mut inbox = inbox_with(&parts);
        let mut got = Vec::new();
        while got.len() < sent.len() {
            for (_, bytes, stride) in fetch(&mut inbox, size, count).await {
                got.extend(bytes.chunks(stride).map(<[u8]>::to_vec));
            }
        }
        assert_eq!(got, sent, "{size} {count}");
    }
}

// --- carry ---

/// A server's end that carries, and the client's end of its connection.
struct Carried {
    task: tokio::task::JoinHandle<End>,
    client: Records<DuplexStream>,
    outbox: Arc<Outbox>,
    delivered: mpsc::Receiver<Received>,
}

/// Both ends of a connection that holds so many bytes.
async fn joined(wire: usize) -> (Records<DuplexStream>, Records<DuplexStream>) {
    let identity = Identity::generate();
    let credential = Credential::new(&identity).unwrap();
    let (near, far) = duplex(wire);
    let config = credential.tunnel_client(Some(identity.peer_id())).unwrap();
    let client = records::connect(near, Arc::new(config), "localhost".try_into().unwrap());
    let config = credential.tunnel_server(None).unwrap();
    let server = records::accept(far, Arc::new(config));
    let (client, server) = tokio::join!(client, server);
    (client.unwrap(), server.unwrap())
}

/// With a connection that holds so many bytes, and room for so many messages.
async fn start(wire: usize, room: usize, waiting: usize) -> Carried {
    let (client, server) = joined(wire).await;
    let (deliver, delivered) = mpsc::channel(room);
    let pool = Pool::default();
    let outbox = Arc::new(Outbox::new(waiting, Budget::unlimited(), pool.clone()));
    let own = outbox.clone();
    let task = tokio::spawn(async move {
        let carrying = Carrying {
            role: Role::Server,
            outbox: &own,
            deliver: &deliver,
            from: from(),
            pool: &pool,
            patience: PATIENCE,
        };
        carry(server, &carrying).await
    });
    Carried {
        task,
        client,
        outbox,
        delivered,
    }
}

/// A message as a client sends it.
fn frame(packets: &[&[u8]]) -> Vec<u8> {
    batch(packets).seal(Some([9, 8, 7, 6])).plain()
}

fn ask(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    control(opcode, payload, Some([1, 2, 3, 4]))
}

/// What a client sends, and then closes; why it ended, what was delivered, and what was answered.
async fn carried(bytes: &[u8]) -> (End, Vec<Vec<u8>>, Vec<u8>) {
    let mut carried = start(1 << 20, 16, MAX_WAITING).await;
    carried.client.write_all(bytes).await.unwrap();
    carried.client.shutdown().await.unwrap();
    let end = carried.task.await.unwrap();
    let mut got = Vec::new();
    while let Ok(received) = carried.delivered.try_recv() {
        got.extend(packets(&received.packets));
    }
    let mut answer = Vec::new();
    carried.client.read_to_end(&mut answer).await.unwrap();
    (end, got, answer)
}

#[tokio::test]
async fn packets_are_delivered_until_a_message_is_malformed() {
    let good = frame(&[b"one", b"two"]);
    let ends_within_a_packet = ask(Opcode::Binary, &[0, 9, 1]);
    let bytes = [&good[..], &frame(&[]), &ends_within_a_packet, &good].concat();
    let (end, packets, answer) = carried(&bytes).await;
    let truncated = FrameError::Message(MessageError::Truncated);
    assert_eq!(end, End::Malformed(truncated));
    assert_eq!(packets, [b"one", b"two"]);
    assert_eq!(answer, control(Opcode::Close, &1002u16.to_be_bytes(), None));
    let (end, ..) = carried(&[0x81, 0x80, 0, 0, 0, 0]).await;
    assert_eq!(end, End::Malformed(FrameError::Text));
}

#[tokio::test]
async fn pings_and_a_close_are_answered() {
    let good = frame(&[b"one"]);
    let (ping, close) = (ask(Opcode::Ping, b"there?"), ask(Opcode::Close, &[]));
    let mut carried = start(1 << 20, 16, MAX_WAITING).await;
    carried.client.write_all(&ping).await.unwrap();
    let mut pong = [0; 8];
    carried.client.read_exact(&mut pong).await.unwrap();
    assert_eq!(pong[..], control(Opcode::Pong, b"there?", None));
    carried
        .client
        .write_all(&[good, close].concat())
        .await
        .unwrap();
    assert_eq!(carried.task.await.unwrap(), End::Closed);
    let received = carried.delivered.recv().await.unwrap();
    assert_eq!(packets(&received.packets), [b"one"]);
    let mut rest = Vec::new();
    carried.client.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, control(Opcode::Close, &1000u16.to_be_bytes(), None));
}

#[tokio::test]
async fn a_connection_that_ends_ends_it() {
    let (end, packets, _) = carried(&frame(&[b"one"])[..9]).await;
    assert_eq!((end, packets.len()), (End::Closed, 0));
    assert_eq!(carried(&[]).await.0, End::Closed);
}

#[tokio::test]
async fn what_is_put_into_the_outbox_comes_out_in_order() {
    // A wire so narrow that every message takes many writes.
    let mut carried = start(1000, 16, MAX_WAITING).await;
    for n in 0..500u16 {
        carried
            .outbox
            .push(&[&n.to_be_bytes()[..], &[7; 998]].concat(), None);
    }
    let (mut decoder, mut assembly) = (Decoder::new(Role::Client), Assembly::default());
    let (mut got, mut bytes) = (Vec::new(), [0; 700]);
    while got.len() < 500 {
        let count = carried.client.read(&mut bytes).await.unwrap();
        let mut input = &bytes[..count];
        while !input.is_empty() {
            let (taken, control) = decoder.read(input, &mut assembly).unwrap();
            assert_eq!(control, None::<Control>);
            input = &input[taken..];
            got.extend(packets(&assembly.split(Vec::new)));
        }
    }
    let numbers = got
        .iter()
        .map(|packet| u16::from_be_bytes(*packet.first_chunk().unwrap()));
    assert!(numbers.eq(0..500));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_fetched_stays_with_the_sender_while_the_rest_goes_on() {
    let mut carried = start(10_000, 1, MAX_WAITING).await;
    let good = frame(&[&[7; 1000]]);
    // More than the wire and the queue hold: this end is not read any more.
    let wait = Duration::from_secs(1);
    while time::timeout(wait, carried.client.write_all(&good))
        .await
        .is_ok()
    {}
    carried.outbox.push(b"still sent", None);
    let mut sent = [0; 14];
    carried.client.read_exact(&mut sent).await.unwrap();
    assert_eq!(sent[4..], *b"still sent");
    carried.delivered.recv().await.unwrap();
    assert!(!carried.task.is_finished());
}

#[tokio::test(start_paused = true)]
async fn silence_ends_it() {
    let began = Instant::now();
    let carried = start(1000, 1, MAX_WAITING).await;
    assert_eq!(carried.task.await.unwrap(), End::Idle);
    assert_eq!(began.elapsed(), PATIENCE);
}

#[tokio::test(start_paused = true)]
async fn a_sign_of_life_puts_it_off() {
    let began = Instant::now();
    let mut carried = start(1000, 1, MAX_WAITING).await;
    let (pong, later) = (ask(Opcode::Pong, b""), PATIENCE / 2);
    time::sleep(later).await;
    carried.client.write_all(&pong).await.unwrap();
    assert_eq!(carried.task.await.unwrap(), End::Idle);
    assert_eq!(began.elapsed(), later + PATIENCE);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_nothing_ends_it_and_holds_nobody_up() {
    let carried = start(1000, 1, MAX_MESSAGE).await;
    let (mut reads_nothing, pong) = (carried.client, ask(Opcode::Pong, b""));
    let (outbox, mut task) = (carried.outbox, carried.task);
    let alive = async {
        let mut ticks = every(Duration::from_millis(10));
        loop {
            ticks.tick().await;
            outbox.push(&[0; 1000], None);
            reads_nothing.write_all(&pong).await.unwrap();
        }
    };
    let end = tokio::select! {
        end = &mut task => end.unwrap(),
        () = alive => unreachable!("it never ends"),
    };
    assert_eq!(end, End::Stuck);
    assert!(outbox.dropped() > 2000, "{}", outbox.dropped());
}
