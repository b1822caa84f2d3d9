//! Sending as fast as the system takes it, and counting what became of it.

use std::collections::HashMap;
use std::fs::read_to_string;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use quinn::udp::Transmit;

use super::super::batch;
use super::Lane;
use crate::bench::message::{Drive, Driven};

/// Bursts sent before other tasks of this thread get their turn.
const TURN: usize = 16;

/// Sinks that got nothing this often, so far apart, will get nothing more: a relay's queues hold
/// milliseconds, but a busy machine may let it wait for some more.
const QUIET: (u32, Duration) = (4, Duration::from_millis(25));

/// Sends for the time given, waits until all is out of the relay, and counts.
pub(super) async fn drive(lanes: &[Lane], drive: Drive) -> anyhow::Result<Driven> {
    let before: Vec<_> = counts(lanes)?;
    let sent = send(lanes, drive).await?;
    let (mut last, mut quiet) = (0, 0);
    while quiet < QUIET.0 {
        tokio::time::sleep(QUIET.1).await;
        let now = lanes.iter().map(|l| l.received.load(Ordering::Relaxed));
        let now = now.sum();
        quiet = if now == last { quiet + 1 } else { 0 };
        last = now;
    }
    let after = counts(lanes)?;
    let delivered = after
        .iter()
        .zip(before)
        .map(|(after, before)| after - before);
    Ok(Driven {
        offered: sent,
        delivered: delivered.collect(),
    })
}

async fn send(lanes: &[Lane], drive: Drive) -> anyhow::Result<Vec<u64>> {
    let burst = usize::from(drive.burst);
    let bursts: Vec<_> = lanes
        .iter()
        .map(|lane| lane.head.datagram(drive.size))
        .map(|datagram| (datagram.len(), datagram.repeat(burst)))
        .collect();
    let mut pollers: Vec<_> = lanes
        .iter()
        .map(|lane| lane.source.clone().create_io_poller())
        .collect();
    let mut sent = vec![0; lanes.len()];
    let until = Instant::now() + Duration::from_secs_f64(drive.seconds);
    let mut turn = 0;
    while Instant::now() < until {
        for (index, lane) in lanes.iter().enumerate() {
            let (length, contents) = &bursts[index];
            let transmit = Transmit {
                destination: drive.to,
                ecn: None,
                contents,
                segment_size: (burst > 1).then_some(*length),
                src_ip: None,
            };
            let times = if index == 0 { drive.first } else { 1 };
            for _ in 0..times {
                batch::send(&*lane.source, &mut pollers[index], &transmit).await?;
                sent[index] += u64::from(drive.burst);
                turn += 1;
                if turn % TURN == 0 {
                    tokio::task::yield_now().await;
                }
            }
        }
    }
    Ok(sent)
}

/// Datagrams that came out for each sink, those included that it had no room for: the relay has done
/// its work on them.
fn counts(lanes: &[Lane]) -> anyhow::Result<Vec<u64>> {
    let table = read_to_string("/proc/self/net/udp")?;
    let drops: HashMap<u16, u64> = table.lines().filter_map(drops).collect();
    let counts = lanes.iter().map(|lane| {
        let port = lane.sink.local_addr()?.port();
        let dropped = drops.get(&port).copied().unwrap_or(0);
        Ok(lane.received.load(Ordering::Relaxed) + dropped)
    });
    counts.collect()
}

/// Port and drops of a line of the system's table of UDP sockets.
fn drops(line: &str) -> Option<(u16, u64)> {
    let mut fields = line.split_whitespace();
    let local = fields.nth(1)?;
    let (_, port) = local.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    Some((port, fields.last()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_the_last_field_of_a_sockets_line() {
        let line = "  77: 0100007F:C353 00000000:0000 07 00000000:00000000 00:00000000 00000000 \
                    0 0 1234 2 ffff8881 17";
        assert_eq!(drops(line), Some((50_003, 17)));
        assert_eq!(drops("  sl  local_address rem_address   st"), None);
        assert_eq!(drops(""), None);
    }
}
