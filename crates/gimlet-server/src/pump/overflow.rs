//! What the system drops because a pump did not get to read it: the sign of overload that receiving
//! itself can't see, where this process has to wait for a processor.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{self, MissedTickBehavior};

use crate::counters::Counters;

/// How often it is looked at, while anything is relayed.
const INTERVAL: Duration = Duration::from_millis(100);

/// Longest table looked at: some 8,000 sockets, a millisecond. On such a host shards notice standing queues only.
const MAX_TABLE: usize = 1 << 20;

/// The system's tables of UDP sockets, with what each has dropped.
const TABLES: [&str; 2] = ["/proc/self/net/udp", "/proc/self/net/udp6"];

/// Counts for as long as the server runs, or until there is no such table.
pub(crate) async fn watch(port: u16, counters: Arc<Counters>) -> std::io::Result<()> {
    let mut ticks = time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut seen, mut relayed) = (None, 0);
    loop {
        ticks.tick().await;
        let now = counters.relayed_packets.value();
        if seen.is_some() && now == relayed {
            continue;
        }
        relayed = now;
        let mut dropped = None;
        for table in TABLES {
            if let Ok(text) = tokio::fs::read(table).await {
                *dropped.get_or_insert(0) += drops(&text, port);
            }
        }
        let Some(dropped) = dropped else {
            return std::future::pending().await;
        };
        let since: u64 = seen.map_or(0, |seen| dropped.saturating_sub(seen));
        counters.receive_overflowed.add(since);
        seen = Some(dropped);
    }
}

/// Datagrams dropped by all sockets of this port.
fn drops(table: &[u8], port: u16) -> u64 {
    if table.len() > MAX_TABLE {
        return 0;
    }
    let text = String::from_utf8_lossy(table);
    let of_line = |line: &str| {
        let mut fields = line.split_whitespace();
        let (_, local) = fields.nth(1)?.rsplit_once(':')?;
        let is_ours = u16::from_str_radix(local, 16) == Ok(port);
        is_ours.then(|| fields.next_back()?.parse::<u64>().ok())?
    };
    text.lines().skip(1).filter_map(of_line).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  123: 0100007F:32C8 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 7777 2 0000000000000000 17
  124: 0100007F:32C8 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 7778 2 0000000000000000 5
  125: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 7779 2 0000000000000000 100
  126: nonsense
";

    #[test]
    fn drops_of_all_sockets_of_the_port_are_counted() {
        assert_eq!(drops(TABLE, 13_000), 22);
        assert_eq!(drops(TABLE, 53), 100);
        assert_eq!(drops(TABLE, 54), 0);
        assert_eq!(drops(b"", 53), 0);
    }
}
