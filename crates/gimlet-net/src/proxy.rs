//! HTTP proxies: which one to use, and a TCP connection through it (CONNECT, RFC 9110 section 9.3.6).

use std::fmt;
use std::str::FromStr;

use hyper_util::client::proxy::matcher::Matcher;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Uri};

mod connect;
#[cfg(test)]
mod tests;

pub use connect::ProxyError;
pub(crate) use connect::connect;

/// Longest URL of a proxy, and longest list of hosts to reach without one. Both come from whoever
/// starts the program; the bound keeps a mistake from becoming a request.
const MAX_TEXT: usize = 4096;

/// Where `http://` without a port leads: what squid listens on and most proxies of offices do. URLs
/// of proxies without a port are rare, and port 80 is hardly ever meant.
const DEFAULT_PORT: u16 = 3128;

/// An HTTP proxy, and how to be let through.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    host: String,
    port: u16,
    /// `Basic` and what follows.
    authorization: Option<HeaderValue>,
}

/// A text that names no proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseProxyError {
    /// Another kind of proxy.
    #[error("only http:// proxies can be used; write http://HOST:PORT")]
    Scheme,
    /// Not a URL.
    #[error(
        "the proxy is not of the form http://HOST:PORT or http://USER:PASSWORD@HOST:PORT; write '@' \
         in a password as %40"
    )]
    Malformed,
}

impl FromStr for Proxy {
    type Err = ParseProxyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.len() > MAX_TEXT {
            return Err(ParseProxyError::Malformed);
        }
        match text.split_once("://") {
            Some((scheme, _)) if !scheme.eq_ignore_ascii_case("http") => {
                return Err(ParseProxyError::Scheme);
            }
            Some(_) | None => (),
        }
        let any = Uri::from_static("https://server.invalid/");
        let matcher = Matcher::builder().all(text.to_owned()).build();
        let found = matcher.intercept(&any).ok_or(ParseProxyError::Malformed)?;
        let host = found.uri().host().filter(|host| !host.is_empty());
        let host = host.ok_or(ParseProxyError::Malformed)?;
        // Also a port that is no number leaves something behind the host.
        let authority = found.uri().authority().map_or("", |all| all.as_str());
        let port = match (authority.strip_prefix(host), found.uri().port_u16()) {
            (Some(""), _) => DEFAULT_PORT,
            (_, Some(port @ 1..)) => port,
            (_, Some(0) | None) => return Err(ParseProxyError::Malformed),
        };
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            authorization: found.basic_auth().cloned(),
        })
    }
}

impl Proxy {
    /// The proxy that the environment names for a TLS connection to `host`: `https_proxy`, else
    /// `all_proxy`, in small or capital letters, unless `no_proxy` names the host, a domain it is in, or a
    /// network. `env` looks a variable up.
    ///
    /// # Errors
    ///
    /// [`ParseProxyError`], where a variable is set that cannot be understood.
    pub fn from_environment(
        env: impl Fn(&str) -> Option<String>,
        host: &str,
    ) -> Result<Option<Self>, ParseProxyError> {
        let set = |names: [&str; 2]| {
            let values = names.into_iter().filter_map(&env);
            values.into_iter().find(|value| !value.trim().is_empty())
        };
        let proxy = set(["https_proxy", "HTTPS_PROXY"]).or_else(|| set(["all_proxy", "ALL_PROXY"]));
        let Some(proxy) = proxy else { return Ok(None) };
        let spared = set(["no_proxy", "NO_PROXY"]).unwrap_or_default();
        if spared.len() <= MAX_TEXT && spares(&spared, host) {
            return Ok(None);
        }
        proxy.parse().map(Some)
    }
}

/// Whether a list of `no_proxy` names this host.
fn spares(list: &str, host: &str) -> bool {
    let Ok(uri) = format!("https://{}/", bracketed(host)).parse::<Uri>() else {
        return false;
    };
    let matcher = Matcher::builder().all("http://proxy.invalid:1").no(list);
    matcher.build().intercept(&uri).is_none()
}

/// A host as it stands in front of a port.
pub(crate) fn bracketed(host: &str) -> String {
    match host.contains(':') {
        true => format!("[{host}]"),
        false => host.to_owned(),
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", bracketed(&self.host), self.port)
    }
}

/// Without the password.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("authorization", &self.authorization.as_ref().map(|_| ".."))
            .finish()
    }
}
