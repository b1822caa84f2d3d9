//! Rules that routers judge by what they pass on, besides `patchbay`'s own.

use std::io::Write;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use patchbay::Router;

use crate::sandbox::on_path;

/// Adds the firewall that `patchbay` has no preset for: UDP to one address and back.
pub(super) fn allow_udp_only_to(router: &Router, server: Ipv4Addr) -> anyhow::Result<()> {
    let rules = format!(
        "ip daddr {server} accept
        ip saddr {server} ct state established,related accept
        meta l4proto udp drop"
    );
    nft(router, forward_table("server_only", &rules))
}

/// Adds a firewall that passes nothing on that matches.
pub(super) fn drop_forwarded(router: &Router, what: &str) -> anyhow::Result<()> {
    nft(router, forward_table("blocked", &format!("{what} drop")))
}

/// A table that judges what a router passes on.
pub(super) fn forward_table(name: &str, rules: &str) -> String {
    format!(
        "table inet {name} {{
            chain forward {{
                type filter hook forward priority 20; policy accept;
                {rules}
            }}
        }}"
    )
}

/// Adds rules to a router.
pub(super) fn nft(router: &Router, rules: String) -> anyhow::Result<()> {
    router.run_sync(move || {
        let nft = on_path("nft").context("the command `nft` is not installed")?;
        let mut nft = Command::new(nft)
            .args(["-f", "-"])
            .stdin(Stdio::piped())
            .spawn()?;
        nft.stdin
            .take()
            .context("nft has no input")?
            .write_all(rules.as_bytes())?;
        ensure!(nft.wait()?.success(), "nft refused the rules");
        Ok(())
    })
}
