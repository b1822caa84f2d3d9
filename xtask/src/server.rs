//! The server that a task's hosts sign in to.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use anyhow::Context;

use crate::gimlet::{Gimlet, Place, Running};

/// The server's port in a namespace, where nobody else can have it.
const PORT: u16 = 4433;

/// Starts a server that its clients reach at `ip`, and for STUN at `second` too; returns the
/// address line they use. What it keeps and logs goes to `folder`.
pub(crate) async fn serve(
    binary: &Path,
    place: Place,
    ip: IpAddr,
    second: Option<IpAddr>,
    folder: &Path,
) -> anyhow::Result<(Running, String)> {
    let listen = match place {
        Place::Namespace(_) => SocketAddr::new([0, 0, 0, 0].into(), PORT),
        Place::Here => SocketAddr::new(ip, 0),
    };
    let gimlet = Gimlet {
        binary: binary.to_owned(),
        place,
        server: None,
        folder: folder.to_owned(),
        name: "server".to_owned(),
        flags: vec![],
    };
    let state = folder.join("state");
    let state = state
        .to_str()
        .context("the workspace's path is not UTF-8")?;
    let listen = listen.to_string();
    let second = second.map(|second| second.to_string());
    let mut args = vec!["serve", "--listen", &listen, "--state", state];
    if let Some(second) = &second {
        args.extend(["--listen-alt", second]);
    }
    let server = gimlet.start(&args).await?;
    let line = server.ready["address"]
        .as_str()
        .context("the server told no address")?;
    let address = readdress(line, ip)?;
    Ok((server, address))
}

/// The address line with another host: the one it comes with names what the server listens
/// on, and clients need what they can reach.
fn readdress(line: &str, ip: IpAddr) -> anyhow::Result<String> {
    let rest = line
        .strip_prefix("gimlet://")
        .context("the server's address has no scheme")?;
    let (host, query) = rest
        .split_once('?')
        .context("the server's address has no key")?;
    let (_, port) = host
        .rsplit_once(':')
        .context("the server's address has no port")?;
    let port = port
        .trim_end_matches('/')
        .parse()
        .context("the server's port is no number")?;
    Ok(format!("gimlet://{}?{query}", SocketAddr::new(ip, port)))
}

#[cfg(test)]
mod tests {
    use super::readdress;

    #[test]
    fn key_and_token_and_port_stay_when_the_host_changes() {
        let to = |line, ip: &str| readdress(line, ip.parse().unwrap());
        let v4 = to("gimlet://0.0.0.0:4433?key=k&token=t", "198.18.1.2").unwrap();
        assert_eq!(v4, "gimlet://198.18.1.2:4433?key=k&token=t");
        let v6 = to("gimlet://[::]:9/?key=k", "2001:db8::1").unwrap();
        assert_eq!(v6, "gimlet://[2001:db8::1]:9?key=k");
        for line in ["", "gimlet://h:1", "gimlet://h?key=k", "http://h:1?key=k"] {
            assert!(to(line, "::1").is_err(), "{line:?}");
        }
    }
}
