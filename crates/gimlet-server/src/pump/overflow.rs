//! What the system drops because a pump did not get to read it: the sign of overload that receiving
//! itself can't see, where this process has to wait for a processor.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{self, MissedTickBehavior};

use super::losses::Losses;
use crate::counters::Counters;

/// How often it is looked at, while anything is relayed.
const INTERVAL: Duration = Duration::from_millis(100);

/// Longest table looked at: some 8,000 sockets, a millisecond. On such a host shards notice standing queues only.
const MAX_TABLE: usize = 1 << 20;

/// The system's tables of UDP sockets, with what each has dropped.
const TABLES: [&str; 2] = ["/proc/self/net/udp", "/proc/self/net/udp6"];

/// Counts for as long as the server runs, or until there is no such table.
pub(crate) async fn watch(
    port: u16,
    losses: Arc<Losses>,
    counters: Arc<Counters>,
) -> std::io::Result<()> {
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
                *dropped.get_or_insert(0) += drops(&text, port, &losses);
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

/// Datagrams dropped by the shared sockets of this port. What annexes dropped is noted.
fn drops(table: &[u8], port: u16, losses: &Losses) -> u64 {
    if table.len() > MAX_TABLE {
        return 0;
    }
    let text = String::from_utf8_lossy(table);
    let of_line = |line: &str| {
        let mut fields = line.split_whitespace();
        let local = address(fields.nth(1)?)?;
        let peer = address(fields.next()?)?;
        let dropped = fields.next_back()?.parse::<u64>().ok()?;
        match (local.port() == port, peer.port()) {
            (false, _) => None,
            (true, 0) => Some(dropped),
            (true, _) => {
                losses.note(peer, dropped);
                None
            }
        }
    };
    text.lines().skip(1).filter_map(of_line).sum()
}

/// An address as the table has it: words of the machine's byte order in hexadecimal, and a port.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let word = |at: usize| u32::from_str_radix(ip.get(at..at + 8)?, 16).ok();
    let ip = match ip.len() {
        8 => IpAddr::from(word(0)?.to_ne_bytes()),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            let bytes = words.map(u32::to_ne_bytes);
            IpAddr::from(<[u8; 16]>::try_from(bytes.concat()).ok()?)
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  123: 0100007F:32C8 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 7777 2 0000000000000000 17
  124: 0100007F:32C8 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 7778 2 0000000000000000 5
  125: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 7779 2 0000000000000000 100
  126: 0100007F:0037 0100007F:0036 01 00000000:00000000 00:00000000 00000000     0        0 7780 2 0000000000000000 9
  127: nonsense
";

    #[test]
    fn drops_of_all_sockets_of_the_port_are_counted() {
        let losses = Losses::default();
        assert_eq!(drops(TABLE, 13_000, &losses), 22);
        assert_eq!(drops(TABLE, 53, &losses), 100);
        assert_eq!(drops(TABLE, 54, &losses), 0);
        assert_eq!(drops(b"", 53, &losses), 0);
    }

    #[test]
    fn drops_of_an_annex_are_its_senders_and_not_everybodys() {
        let losses = Losses::default();
        let mut loss = losses.watch("127.0.0.1:54".parse().unwrap());
        assert_eq!(drops(TABLE, 55, &losses), 0);
        assert_eq!((loss.since(), loss.since()), (9, 0));
        let mapped = address("0000000000000000FFFF00000100007F:0035");
        assert_eq!(mapped, "[::ffff:127.0.0.1]:53".parse().ok());
        assert_eq!(address("0000:0035"), None);
    }
}
