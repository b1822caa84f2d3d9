//! The wire of a host: what it has carried, how fast it is, and which way it leads.

use std::process::Command;

use anyhow::{Context, ensure};
use patchbay::Device;

use crate::sandbox::on_path;

/// The interface of every host.
const INTERFACE: &str = "eth0";

/// Slow enough that two processes and a server don't fill the machine, and that a transfer of a few
/// seconds has room for what is done to it. The queue is 5 ms: what stands in it when a process dies
/// was sent in vain, on any network.
const LINK: [&str; 6] = ["rate", "400mbit", "burst", "64kb", "limit", "256kb"];

/// Bytes that a host has sent and received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Traffic {
    pub(super) received: u64,
    pub(super) sent: u64,
}

/// What a host's interface has carried. What its queue has dropped is not in it.
pub(super) fn traffic(host: &Device) -> anyhow::Result<Traffic> {
    // Of this thread's network: the process's own may be another one.
    let table = host.run_sync(|| Ok(std::fs::read_to_string("/proc/thread-self/net/dev")?))?;
    parse(&table).with_context(|| format!("no {INTERFACE} among {table:?}"))
}

fn parse(table: &str) -> Option<Traffic> {
    let line = (table.lines()).find_map(|line| line.trim().strip_prefix(INTERFACE))?;
    let mut fields = line.strip_prefix(':')?.split_whitespace();
    let received = fields.next()?.parse().ok()?;
    let sent = fields.nth(7)?.parse().ok()?;
    Some(Traffic { received, sent })
}

/// Makes what a host sends as slow as a link.
pub(super) fn slow_down(host: &Device) -> anyhow::Result<()> {
    host.run_sync(|| {
        let tc = on_path("tc").context("the command `tc` is not installed (package iproute2)")?;
        let mut command = Command::new(tc);
        command.args(["qdisc", "replace", "dev", INTERFACE, "root", "tbf"]);
        let output = command.args(LINK).output()?;
        let says = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "no token bucket on this kernel (CONFIG_NET_SCH_TBF): {}",
            says.trim()
        );
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_the_interface_are_found_in_the_systems_table() {
        let table = "Inter-|   Receive  |  Transmit\n face |bytes packets\n    \
            lo: 5 1 0 0 0 0 0 0 6 1 0 0 0 0 0 0\n  \
            eth0: 1234 7 0 0 0 0 0 0 56789 8 0 0 0 0 0 0\n";
        let (received, sent) = (1234, 56789);
        assert_eq!(parse(table), Some(Traffic { received, sent }));
        assert_eq!(parse("lo: 5 1"), None);
        assert_eq!(parse(""), None);
    }
}
