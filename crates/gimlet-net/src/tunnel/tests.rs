use std::future::poll_fn;

use bytes::Bytes;
use futures_util::StreamExt;
use gimlet_proto::tunnel::{MAX_MESSAGE, MAX_PACKET, MessageError, check, push, split_first};
use tokio::sync::mpsc;
use tokio::time::{Instant, interval as every};

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

fn from() -> SocketAddr {
    "192.0.2.1:443".parse().unwrap()
}

fn message(packets: &[&[u8]]) -> Bytes {
    let mut message = Vec::new();
    assert!(packets.iter().all(|packet| push(&mut message, packet)));
    message.into()
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
    let outbox = Outbox::new(MAX_WAITING, Budget::unlimited());
    outbox.push(b"aaabbbc", Some(3));
    outbox.push(b"dd", None);
    let message = outbox.next().await;
    assert_eq!(check(&message), Ok(()));
    assert_eq!(packets(&message), [&b"aaa"[..], b"bbb", b"c", b"dd"]);
}

#[tokio::test]
async fn a_full_outbox_drops_the_oldest_and_counts_them() {
    let outbox = Outbox::new(3 * MAX_MESSAGE, Budget::unlimited());
    let all = 1000u64;
    for n in 0..all {
        let mut packet = vec![0; 1000];
        packet[..8].copy_from_slice(&n.to_be_bytes());
        outbox.push(&packet, None);
    }
    let mut left = Vec::new();
    while let Some(message) = outbox.take() {
        assert!(message.len() <= MAX_MESSAGE);
        left.extend(packets(&message));
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

#[tokio::test]
async fn packets_that_are_too_long_are_dropped() {
    let outbox = Outbox::new(MAX_WAITING, Budget::unlimited());
    outbox.push(&[0; MAX_PACKET + 1], None);
    outbox.push(&[], None);
    assert_eq!((outbox.dropped(), outbox.take()), (1, None));
}

#[tokio::test]
async fn outboxes_share_a_budget_and_give_it_back() {
    let budget = Budget::new(10_000);
    let (one, other) = (
        Outbox::new(MAX_WAITING, budget.clone()),
        Outbox::new(MAX_WAITING, budget),
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
    assert_eq!(packets(&other.next().await).len(), 1);
}

// --- inbox ---

/// An inbox with one message in it.
fn inbox_with(packets: &[&[u8]]) -> Inbox {
    let (sender, inbox) = inbox();
    let (from, message) = (from(), message(packets));
    sender.try_send(Received { from, message }).unwrap();
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

type Failed = std::convert::Infallible;

/// Runs `carry` over what `stream` brings, with nothing to send; why it ended and what it delivered.
async fn received(incoming: Vec<Incoming>) -> (End, Vec<Bytes>) {
    let (deliver, mut delivered) = mpsc::channel(16);
    let stream = futures_util::stream::iter(incoming.into_iter().map(Ok::<_, Failed>));
    let sink = futures_util::sink::drain();
    let outbox = Outbox::new(MAX_WAITING, Budget::unlimited());
    let end = carry(stream, sink, &outbox, &deliver, from(), PATIENCE).await;
    let mut messages = Vec::new();
    while let Ok(received) = delivered.try_recv() {
        messages.push(received.message);
    }
    (end, messages)
}

#[tokio::test]
async fn messages_are_delivered_until_one_is_malformed() {
    let good = message(&[b"one", b"two"]);
    let incoming = vec![
        Incoming::Packets(good.clone()),
        Incoming::Nothing,
        Incoming::Packets(Bytes::new()),
        Incoming::Packets(Bytes::from_static(&[0, 9, 1])),
        Incoming::Packets(good.clone()),
    ];
    let (end, messages) = received(incoming).await;
    assert_eq!(end, End::Malformed(MessageError::Truncated));
    assert_eq!(messages, [good]);
    assert_eq!(received(vec![Incoming::Foreign]).await.0, End::Foreign);
    assert_eq!(received(vec![Incoming::Close]).await.0, End::Closed);
    assert_eq!(received(vec![]).await.0, End::Closed);
}

#[tokio::test(start_paused = true)]
async fn silence_ends_it() {
    let (deliver, _delivered) = mpsc::channel(16);
    let stream = futures_util::stream::pending::<Result<Incoming, Failed>>();
    let sink = futures_util::sink::drain();
    let outbox = Outbox::new(MAX_WAITING, Budget::unlimited());
    let began = Instant::now();
    let end = carry(stream, sink, &outbox, &deliver, from(), PATIENCE).await;
    assert_eq!((end, began.elapsed()), (End::Idle, PATIENCE));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_nothing_ends_it_and_holds_nobody_up() {
    let (deliver, _delivered) = mpsc::channel(16);
    let alive = futures_util::stream::unfold(every(Duration::from_secs(1)), async |mut seconds| {
        seconds.tick().await;
        let nothing = Ok::<_, mpsc::error::SendError<Bytes>>(Incoming::Nothing);
        Some((nothing, seconds))
    });
    // Room for one message, and nobody reads.
    let (sender, _receiver) = mpsc::channel::<Bytes>(1);
    let sink = futures_util::sink::unfold(sender, async |sender, bytes| {
        sender.send(bytes).await.map(|()| sender)
    });
    let outbox = Outbox::new(MAX_MESSAGE, Budget::unlimited());
    let sending = async {
        let mut ticks = every(Duration::from_millis(10));
        loop {
            outbox.push(&[0; 1000], None);
            ticks.tick().await;
        }
    };
    let end = tokio::select! {
        end = carry(alive.boxed(), sink, &outbox, &deliver, from(), PATIENCE) => end,
        () = sending => unreachable!("it never ends"),
    };
    assert_eq!(end, End::Stuck);
    assert!(outbox.dropped() > 2000, "{}", outbox.dropped());
}
