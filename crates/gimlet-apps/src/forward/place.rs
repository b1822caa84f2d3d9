//! Where a service listens, or where a forward is to listen.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Host that a bare port means: others on the network get nothing that was not meant for them.
const LOOPBACK: &str = "127.0.0.1";

/// A socket of this host, or one that it reaches. Written `PORT`, `HOST:PORT` or `unix:/path`, with
/// `tcp:` or `udp:` before it where the default does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// Host and port; the host may be a name.
    Tcp(String),
    /// Host and port; the host may be a name.
    Udp(String),
    /// A Unix stream socket.
    Unix(PathBuf),
}

/// A text is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not PORT, ADDR:PORT or unix:/path")]
pub struct ParsePlaceError;

impl Place {
    /// Reads a place; one that does not say is UDP where `udp`, and TCP otherwise.
    pub fn parse(text: &str, udp: bool) -> Result<Self, ParsePlaceError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.is_empty() || path.contains('\0') {
                true => Err(ParsePlaceError),
                false => Ok(Self::Unix(path.into())),
            };
        }
        match (text.strip_prefix("udp:"), text.strip_prefix("tcp:")) {
            (Some(text), _) => Ok(Self::Udp(host_and_port(text)?)),
            (None, Some(text)) => Ok(Self::Tcp(host_and_port(text)?)),
            (None, None) if udp => Ok(Self::Udp(host_and_port(text)?)),
            (None, None) => Ok(Self::Tcp(host_and_port(text)?)),
        }
    }

    /// Whether datagrams go there.
    pub fn is_udp(&self) -> bool {
        matches!(self, Self::Udp(_))
    }
}

/// Host and port, the host added where there is none.
fn host_and_port(text: &str) -> Result<String, ParsePlaceError> {
    let (host, port) = match text.rsplit_once(':') {
        Some(("", port)) => (LOOPBACK, port),
        Some((host, port)) => (host, port),
        None => (LOOPBACK, text),
    };
    // What is left of an IPv6 address without brackets would be taken for host and port.
    let bracketed = host.starts_with('[') && host.ends_with(']');
    let sound = |b: u8| b.is_ascii_graphic() && !matches!(b, b'/' | b'@');
    let is_host = !host.is_empty() && (bracketed || !host.contains(':')) && host.bytes().all(sound);
    let port: u16 = port.parse().map_err(|_| ParsePlaceError)?;
    match is_host {
        true => Ok(format!("{host}:{port}")),
        false => Err(ParsePlaceError),
    }
}

impl FromStr for Place {
    type Err = ParsePlaceError;

    fn from_str(text: &str) -> Result<Self, ParsePlaceError> {
        Self::parse(text, false)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(place) => f.write_str(place),
            Self::Udp(place) => write!(f, "udp:{place}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_people_write_them() {
        let tcp = |text: &str| Place::Tcp(text.to_owned());
        let udp = |text: &str| Place::Udp(text.to_owned());
        for (text, by_default, place) in [
            ("8080", false, tcp("127.0.0.1:8080")),
            (":8080", false, tcp("127.0.0.1:8080")),
            ("0.0.0.0:1", false, tcp("0.0.0.0:1")),
            ("[::1]:80", false, tcp("[::1]:80")),
            ("db.lan:5432", false, tcp("db.lan:5432")),
            ("53", true, udp("127.0.0.1:53")),
            ("udp:53", false, udp("127.0.0.1:53")),
            ("tcp:53", true, tcp("127.0.0.1:53")),
            ("unix:/run/x.sock", true, Place::Unix("/run/x.sock".into())),
        ] {
            assert_eq!(Place::parse(text, by_default), Ok(place), "{text}");
        }
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in [
            "",
            "web",
            "1.2.3.4",
            "::1:80",
            "a b:1",
            "h:65536",
            "unix:",
            "h:",
            "http://h:1",
        ] {
            assert_eq!(Place::parse(text, false), Err(ParsePlaceError), "{text}");
        }
    }

    #[test]
    fn a_place_is_shown_as_it_can_be_read() {
        for text in ["127.0.0.1:1", "udp:[::1]:2", "unix:/a/b"] {
            assert_eq!(text.parse::<Place>().unwrap().to_string(), text);
        }
    }
}
