//! A server's address line: `gimlet://host:port?key=KEY&token=TOKEN`, or plain `host:port`.

use std::fmt;
use std::str::FromStr;

use crate::id::{ParseIdError, PeerId};

/// Where a server is, how it is known, and what lets one in.
///
/// # Examples
///
/// ```
/// use gimlet_proto::address::ServerAddress;
///
/// let plain: ServerAddress = "relay.example.org:443".parse()?;
/// assert_eq!((plain.host.as_str(), plain.port, plain.key), ("relay.example.org", 443, None));
/// # Ok::<(), gimlet_proto::address::ParseAddressError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ServerAddress {
    /// Host name or IP address, without brackets.
    pub host: String,
    /// UDP port, and TCP port for TLS unless `tls` names another.
    pub port: u16,
    /// The server's key. `None`: its certificate must chain to a trusted root.
    pub key: Option<PeerId>,
    /// What lets one sign in.
    pub token: Option<String>,
    /// TCP port for TLS, where it is another than the UDP port.
    pub tls: Option<u16>,
}

impl ServerAddress {
    /// The UDP port where an address names none, and where a server listens unless told otherwise.
    /// Not STUN's 3478, so that it runs beside a STUN or TURN server.
    pub const DEFAULT_PORT: u16 = 13000;

    /// The TCP port for TLS.
    pub fn tls_port(&self) -> u16 {
        self.tls.unwrap_or(self.port)
    }
}

impl FromStr for ServerAddress {
    type Err = ParseAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let rest = text.strip_prefix("gimlet://").unwrap_or(text);
        if rest.contains("://") {
            return Err(ParseAddressError::Scheme);
        }
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (host, port) = split_host_port(place.trim_end_matches('/'))?;
        let mut address = Self {
            host: host.to_owned(),
            port,
            key: None,
            token: None,
            tls: None,
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=').ok_or(ParseAddressError::Query)? {
                ("key", key) => address.key = Some(key.parse()?),
                ("token", token) if is_token(token) => address.token = Some(token.to_owned()),
                ("token", _) => return Err(ParseAddressError::Token),
                ("tls", port) => {
                    address.tls = Some(parse_port(port).ok_or(ParseAddressError::TlsPort)?);
                }
                // Later versions may add to the line; an unknown key must not stop an old client.
                _ => (),
            }
        }
        Ok(address)
    }
}

fn split_host_port(place: &str) -> Result<(&str, u16), ParseAddressError> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or(ParseAddressError::Host)?;
            (host, port.strip_prefix(':'))
        }
        None => match place.rsplit_once(':') {
            Some((host, _)) if host.contains(':') => return Err(ParseAddressError::Host),
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._:%".contains(&b);
    if host.is_empty() || host.len() > 253 || !host.bytes().all(plain) {
        return Err(ParseAddressError::Host);
    }
    let port = match port {
        Some(port) => parse_port(port).ok_or(ParseAddressError::Port)?,
        None => ServerAddress::DEFAULT_PORT,
    };
    Ok((host, port))
}

fn parse_port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|&port| port != 0)
}

/// Whether a text may be a token: 1 to 128 letters, digits, `-` and `_`.
pub fn is_token(text: &str) -> bool {
    (1..=crate::message::SignIn::MAX_TOKEN).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "gimlet://[{}]:{}", self.host, self.port)?,
            false => write!(f, "gimlet://{}:{}", self.host, self.port)?,
        }
        let key = self.key.map(|key| format!("key={key}"));
        let token = self.token.as_ref().map(|token| format!("token={token}"));
        let tls = self.tls.map(|port| format!("tls={port}"));
        let query: Vec<_> = [key, token, tls].into_iter().flatten().collect();
        match query.is_empty() {
            true => Ok(()),
            false => write!(f, "?{}", query.join("&")),
        }
    }
}

impl fmt::Debug for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerAddress")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("key", &self.key)
            .field("token", &self.token.as_ref().map(|_| ".."))
            .field("tls", &self.tls)
            .finish()
    }
}

/// Why a text is not a server address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseAddressError {
    /// Something other than `gimlet://`.
    #[error("a server address begins with gimlet:// or is plain host:port")]
    Scheme,
    /// No host, an IPv6 address without brackets, or characters no host name has.
    #[error(
        "the host is missing or malformed; write an IPv6 address in brackets: [2001:db8::1]:13000"
    )]
    Host,
    /// Not a number from 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    Port,
    /// A query part without `=`.
    #[error("what follows '?' is not of the form key=...&token=...; was the line cut off?")]
    Query,
    /// The key is not a peer id.
    #[error("the server key is not valid ({0}); was the line cut off?")]
    Key(#[from] ParseIdError),
    /// The token has characters no token has.
    #[error("the token is not valid: letters, digits, '-' and '_' only")]
    Token,
    /// The TLS port is not a number from 1 to 65535.
    #[error("tls= is not followed by a port from 1 to 65535")]
    TlsPort,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_printed_line_parses_back() {
        for host in ["192.0.2.1", "2001:db8::1", "relay.example.org"] {
            let address = ServerAddress {
                host: host.to_owned(),
                port: 13000,
                key: Some(PeerId::from_bytes([3; 32])),
                token: Some("abc-123".to_owned()),
                tls: host.starts_with("relay").then_some(443),
            };
            assert_eq!(address.to_string().parse(), Ok(address));
        }
    }

    #[test]
    fn errors_name_the_part_at_fault() {
        use ParseAddressError::*;
        let parse = |text: &str| text.parse::<ServerAddress>().map(|_| ()).unwrap_err();
        assert_eq!(parse("https://host:1"), Scheme);
        assert_eq!(parse("2001:db8::1:3478"), Host);
        assert_eq!(parse(":13000"), Host);
        assert_eq!(parse("host:0"), Port);
        assert_eq!(parse("host:port"), Port);
        assert_eq!(parse("host:1?key"), Query);
        assert_eq!(
            parse("host:1?key=abc"),
            Key(ParseIdError::Length { found: 3 })
        );
        assert_eq!(parse("host:1?token=a b"), Token);
        assert_eq!(parse("host:1?tls=0"), TlsPort);
    }

    #[test]
    fn a_missing_port_is_the_default_and_unknown_parts_are_ignored() {
        let address: ServerAddress = "gimlet://host?later=1".parse().unwrap();
        assert_eq!(
            (address.port, address.key, address.token),
            (13000, None, None)
        );
    }

    #[test]
    fn a_token_does_not_show_in_debug_output() {
        let address: ServerAddress = "host:1?token=hunter2".parse().unwrap();
        assert!(!format!("{address:?}").contains("hunter2"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,80}") {
            if let Ok(address) = text.parse::<ServerAddress>() {
                prop_assert_eq!(address.to_string().parse::<ServerAddress>(), Ok(address));
            }
        }
    }
}
