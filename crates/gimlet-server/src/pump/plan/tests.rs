//! What leaves is what came, in its order, in batches that the system can cut where they were joined.

use std::collections::BTreeMap;

use gimlet_proto::frame::{FrameKind, header};
use gimlet_proto::relay::runs::runs;
use gimlet_proto::secret::SessionId;
use proptest::prelude::*;

use super::*;

const BUFFER: usize = 4096;

/// Datagrams to one address.
type Sent = BTreeMap<SocketAddr, Vec<Vec<u8>>>;

fn addr(n: u8) -> SocketAddr {
    ([192, 0, 2, n], 1).into()
}

/// Receives these batches, one a buffer: of this session, so many datagrams of this length, and a last
/// one of that. What is sent, and in how many calls.
fn relay(batches: &[(u8, usize, usize, usize)], segments: usize) -> (Sent, Sent, usize) {
    let mut memory = vec![0; BUFFER * batches.len()];
    let mut plan = Plan::default();
    let mut came = Sent::new();
    let mut number = 0u32;
    for (index, &(session, count, stride, last)) in batches.iter().enumerate() {
        let lengths = std::iter::repeat_n(stride, count).chain((last > 0).then_some(last));
        let mut batch = Vec::new();
        for length in lengths {
            let mut datagram = header(FrameKind::Data, SessionId([session; 8])).to_vec();
            datagram.extend(number.to_be_bytes());
            datagram.resize(length, session);
            number += 1;
            batch.extend(&datagram);
            came.entry(addr(session)).or_default().push(datagram);
        }
        let at = index * BUFFER;
        memory[at..at + batch.len()].copy_from_slice(&batch);
        let mut offset = at;
        for run in runs(&batch, stride) {
            let end = offset + run.bytes.len();
            let origin = Origin {
                source: addr(100),
                here: None,
                ecn: None,
                at: offset,
                room: if end == at + batch.len() {
                    at + BUFFER - end
                } else {
                    0
                },
            };
            plan.push(addr(session), &origin, &run);
            offset = end;
        }
    }
    let (mut left, mut calls) = (Sent::new(), 0);
    for index in 0..plan.len() {
        if let Some(send) = plan.batch(index, segments, &mut memory) {
            calls += 1;
            let datagrams = memory[send.bytes()].chunks(send.stride);
            assert!(datagrams.len() <= segments.max(count_of(batches)));
            let to = left.entry(send.to).or_default();
            to.extend(datagrams.map(<[u8]>::to_vec));
        }
    }
    (came, left, calls)
}

fn count_of(batches: &[(u8, usize, usize, usize)]) -> usize {
    let counts = batches.iter().map(|b| b.1 + usize::from(b.3 > 0));
    counts.max().unwrap_or(0)
}

#[test]
fn short_batches_of_one_session_leave_as_one() {
    let (came, left, calls) = relay(&[(1, 10, 100, 0), (1, 10, 100, 0), (1, 9, 100, 50)], 64);
    assert_eq!(came, left);
    assert_eq!(calls, 1);
}

#[test]
fn sessions_that_take_turns_leave_as_one_batch_each() {
    let turns: Vec<_> = (0..12).map(|n| (n % 3, 3, 100, 0)).collect();
    let (came, left, calls) = relay(&turns, 64);
    assert_eq!(came, left);
    assert_eq!(calls, 3);
}

#[test]
fn nothing_is_joined_behind_a_short_datagram_or_beyond_what_the_system_takes() {
    let (came, left, calls) = relay(&[(1, 3, 100, 50), (1, 3, 100, 0)], 64);
    assert_eq!((came == left, calls), (true, 2));
    let (came, left, calls) = relay(&[(1, 6, 100, 0), (1, 6, 100, 0)], 10);
    assert_eq!((came == left, calls), (true, 2));
    let (came, left, calls) = relay(&[(1, 3, 100, 0), (1, 3, 120, 0), (1, 3, 100, 0)], 64);
    assert_eq!((came == left, calls), (true, 3));
}

proptest! {
    #[test]
    fn each_address_gets_its_datagrams_as_they_came(
        batches in proptest::collection::vec((0u8..4, 1usize..12, 20usize..40, 0usize..2), 1..20),
        segments in 1usize..40,
        same in any::<bool>(),
    ) {
        let batches: Vec<_> = batches
            .into_iter()
            .map(|(session, count, stride, last)| {
                let stride = if same { 30 } else { stride };
                (session, count, stride, if last == 1 { 18 } else { 0 })
            })
            .collect();
        let (came, left, _) = relay(&batches, segments);
        prop_assert_eq!(came, left);
    }
}
