//! A router that opens ports when asked: the real `miniupnpd` in its namespace, which serves
//! UPnP-IGD, NAT-PMP and PCP.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::Context;
use patchbay::Router;
use tokio::process::Child;

use super::nft;
use crate::gimlet::tethered;
use crate::sandbox::on_path;
use crate::workspace;

/// Where the daemon puts the openings. The router's own filter lets in what was opened, as the
/// firmware of a home router has it.
const CHAINS: &str = "
table inet miniupnpd {
    chain forward { }
    chain opened { }
    chain leaving { }
    chain prerouting {
        type nat hook prerouting priority dstnat; policy accept;
        jump opened
    }
    chain postrouting {
        type nat hook postrouting priority srcnat; policy accept;
        jump leaving
    }
}
insert rule ip filter forward ct status dnat accept
";

/// Starts the daemon on a router, for whoever is below it. It ends when dropped.
pub(super) fn start(router: &Router) -> anyhow::Result<Child> {
    let daemon = on_path("miniupnpd")
        .context("the command `miniupnpd` is not installed (package miniupnpd-nftables)")?;
    let interfaces = router.interfaces();
    let [outside, inside] = interfaces.as_slice() else {
        anyhow::bail!("a router with other than two sides");
    };
    let (outside, inside) = (outside.name(), inside.name());
    let config = format!(
        "ext_ifname={outside}
listening_ip={inside}
enable_natpmp=yes
enable_upnp=yes
secure_mode=yes
system_uptime=yes
uuid=6d9d1f3e-1f2a-4c35-9a3b-0f6e5d0c7a11
upnp_table_name=miniupnpd
upnp_nat_table_name=miniupnpd
upnp_forward_chain=forward
upnp_nat_chain=opened
upnp_nat_postrouting_chain=leaving
allow 1024-65535 0.0.0.0/0 1024-65535
"
    );
    nft(router, CHAINS.to_owned())?;
    let file = |ending: &str| -> PathBuf {
        let name = format!("{}.{ending}", router.name());
        workspace::target().join("lab").join("miniupnpd").join(name)
    };
    let (settings, log) = (file("conf"), file("log"));
    std::fs::create_dir_all(settings.with_file_name(""))?;
    std::fs::write(&settings, config)?;
    let log = std::fs::File::create(log)?;
    let mut command = tethered(&daemon);
    // In the foreground, where it dies with us.
    command.arg("-d").arg("-f").arg(settings);
    command.arg("-P").arg(file("pid"));
    command.stdin(Stdio::null()).stdout(log.try_clone()?);
    command.stderr(log).kill_on_drop(true);
    router.spawn_command(command)
}
