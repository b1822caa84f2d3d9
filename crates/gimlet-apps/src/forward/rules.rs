//! Which destinations an exit allows.
//!
//! A rule names addresses or a host name, and ports if not all: `public`, `private`, `any`,
//! `10.0.0.0/8`, `192.168.1.7:80`, `[fd00::/8]:8000-8100`, `*.example.org:443`. A destination is
//! allowed when one rule allows it. Addresses are judged after names are looked up, and dialled as they
//! were judged, so that a name can't mean one address to the rule and another to the socket.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::str::FromStr;

/// What an exit allows: whatever one of its rules does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules(Vec<Rule>);

/// One kind of destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    whom: Whom,
    ports: RangeInclusive<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Whom {
    /// The internet, and nothing that is only reachable from where the exit is.
    Public,
    /// The networks of RFC 1918, RFC 6598 and RFC 4193.
    Private,
    /// Everything that is one host, this one too.
    Any,
    /// The addresses that begin with so many bits.
    Net(IpAddr, u8),
    /// A host by name.
    Name(String),
    /// All hosts under a name.
    Under(String),
}

/// A text is no rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not public, private, any, ADDR, ADDR/BITS or a host name, with :PORT or :FROM-TO behind it"
)]
pub struct ParseRuleError;

impl Rules {
    /// Of these rules; without any, nothing is allowed.
    pub fn new(rules: Vec<Rule>) -> Self {
        Self(rules)
    }

    /// Whether a connection to `addr` is allowed, which was found under `name` if it has one. `is_own`:
    /// it is an address of this host.
    pub(super) fn allow(&self, name: Option<&str>, addr: SocketAddr, is_own: bool) -> bool {
        let ip = addr.ip().to_canonical();
        is_one_host(ip)
            && self
                .0
                .iter()
                .any(|rule| rule.allows(name, ip, addr.port(), is_own))
    }
}

/// The internet, at every port, and nothing private: who lends a way out does not lend a way in.
impl Default for Rules {
    fn default() -> Self {
        Self(vec![Rule {
            whom: Whom::Public,
            ports: 0..=u16::MAX,
        }])
    }
}

impl Rule {
    fn allows(&self, name: Option<&str>, ip: IpAddr, port: u16, is_own: bool) -> bool {
        let whom = match &self.whom {
            Whom::Public => !is_own && is_public(ip),
            Whom::Private => !is_own && is_private(ip),
            Whom::Any => true,
            Whom::Net(net, bits) => is_within(ip, *net, *bits),
            Whom::Name(host) => name.is_some_and(|name| same(plain(name), host)),
            Whom::Under(host) => name.is_some_and(|name| {
                let name = plain(name);
                let at = name.len().checked_sub(host.len() + 1);
                let split = at.and_then(|at| name.split_at_checked(at));
                split.is_some_and(|(_, end)| end.starts_with('.') && same(&end[1..], host))
            }),
        };
        whom && self.ports.contains(&port)
    }
}

/// A name without the dot that ends an absolute one.
fn plain(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

/// Not nobody and not many.
fn is_one_host(ip: IpAddr) -> bool {
    let broadcast = ip == IpAddr::V4(Ipv4Addr::BROADCAST);
    !ip.is_unspecified() && !ip.is_multicast() && !broadcast
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || is_shared(ip),
        IpAddr::V6(ip) => ip.is_unique_local(),
    }
}

/// RFC 6598: behind a carrier's NAT.
fn is_shared(ip: Ipv4Addr) -> bool {
    matches!(ip.octets(), [100, 64..=127, ..])
}

/// Of the internet, as the registries of IANA have it.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            !is_private(ip)
                && !v4.is_loopback()
                && !v4.is_link_local()
                && !v4.is_documentation()
                && !matches!(
                    v4.octets(),
                    // This network; protocol assignments; benchmarks; reserved.
                    [0, ..] | [192, 0, 0, _] | [198, 18..=19, ..] | [240..=255, ..]
                )
        }
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

/// Global unicast, without what has an IPv4 address inside that would be judged by nobody: 6to4 and
/// Teredo. NAT64 (64:ff9b::/96) is not in 2000::/3.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [first, second, ..] = ip.segments();
    let is_global = (0x2000..0x4000).contains(&first);
    // 2001::/23 is for protocols, 2001:db8::/32 and 3fff::/20 for documentation, 2002::/16 is 6to4.
    let special = match first {
        0x2001 => second < 0x200 || second == 0xdb8,
        0x2002 => true,
        0x3fff => second < 0x1000,
        _ => false,
    };
    is_global && !special
}

fn is_within(ip: IpAddr, net: IpAddr, bits: u8) -> bool {
    match (ip, net) {
        (IpAddr::V4(ip), IpAddr::V4(net)) => {
            let differing = u32::from(ip) ^ u32::from(net);
            differing.leading_zeros() >= u32::from(bits)
        }
        (IpAddr::V6(ip), IpAddr::V6(net)) => {
            let differing = u128::from(ip) ^ u128::from(net);
            differing.leading_zeros() >= u32::from(bits)
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

impl FromStr for Rule {
    type Err = ParseRuleError;

    fn from_str(text: &str) -> Result<Self, ParseRuleError> {
        let (whom, ports) = match text.strip_prefix('[') {
            Some(rest) => {
                let (whom, ports) = rest.split_once(']').ok_or(ParseRuleError)?;
                match ports {
                    "" => (whom, None),
                    ports => (whom, Some(ports.strip_prefix(':').ok_or(ParseRuleError)?)),
                }
            }
            // Several colons are an IPv6 address.
            None => match text.split_once(':') {
                Some((whom, ports)) if !ports.contains(':') => (whom, Some(ports)),
                Some(_) | None => (text, None),
            },
        };
        Ok(Self {
            whom: whom.parse()?,
            ports: ports.map_or(Ok(0..=u16::MAX), parse_ports)?,
        })
    }
}

fn parse_ports(text: &str) -> Result<RangeInclusive<u16>, ParseRuleError> {
    let port = |text: &str| text.parse().map_err(|_| ParseRuleError);
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let (from, to) = (port(from)?, port(to)?);
    match from <= to {
        true => Ok(from..=to),
        false => Err(ParseRuleError),
    }
}

impl FromStr for Whom {
    type Err = ParseRuleError;

    fn from_str(text: &str) -> Result<Self, ParseRuleError> {
        match text {
            "public" => return Ok(Self::Public),
            "private" => return Ok(Self::Private),
            "any" => return Ok(Self::Any),
            _ => (),
        }
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => {
                let bits: u8 = bits.parse().map_err(|_| ParseRuleError)?;
                (address, Some(bits))
            }
            None => (text, None),
        };
        match (address.parse::<IpAddr>(), bits) {
            (Ok(ip), bits) => {
                let most = if ip.is_ipv4() { 32 } else { 128 };
                let bits = bits.unwrap_or(most);
                (bits <= most)
                    .then_some(Self::Net(ip, bits))
                    .ok_or(ParseRuleError)
            }
            (Err(_), None) => {
                let (host, under) = match text.strip_prefix("*.") {
                    Some(host) => (host, true),
                    None => (text, false),
                };
                let sound = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
                let host = plain(host).to_ascii_lowercase();
                match (!host.is_empty() && host.bytes().all(sound), under) {
                    (true, true) => Ok(Self::Under(host)),
                    (true, false) => Ok(Self::Name(host)),
                    (false, _) => Err(ParseRuleError),
                }
            }
            (Err(_), Some(_)) => Err(ParseRuleError),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.whom {
            Whom::Public => f.write_str("public")?,
            Whom::Private => f.write_str("private")?,
            Whom::Any => f.write_str("any")?,
            Whom::Net(ip @ IpAddr::V4(_), bits) => write!(f, "{ip}/{bits}")?,
            Whom::Net(ip @ IpAddr::V6(_), bits) => write!(f, "[{ip}/{bits}]")?,
            Whom::Name(host) => f.write_str(host)?,
            Whom::Under(host) => write!(f, "*.{host}")?,
        }
        match (*self.ports.start(), *self.ports.end()) {
            (0, u16::MAX) => Ok(()),
            (from, to) if from == to => write!(f, ":{from}"),
            (from, to) => write!(f, ":{from}-{to}"),
        }
    }
}

#[cfg(test)]
mod tests;
