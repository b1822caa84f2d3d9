//! The kinds of site the lab can put a host at.
//!
//! `none`, `open`, `moderate` and `strict` are `patchbay`'s own, as iroh tests with, so that
//! results compare directly. Mind that *strict* is theirs: a symmetric NAT with random ports.

use clap::ValueEnum;

/// One kind of site: what stands between a host and the public network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Site {
    /// A public address, nothing in between.
    None,
    /// Endpoint-independent mapping and filtering ("full cone").
    Open,
    /// Endpoint-independent mapping, address-and-port-dependent filtering: most homes.
    Moderate,
    /// Endpoint-dependent mapping with random ports ("symmetric").
    #[value(alias = "symmetric")]
    Strict,
    /// Endpoint-independent mapping, address-dependent filtering.
    Restricted,
    /// A public address behind a stateful firewall.
    Firewall,
    /// A moderate home NAT behind a moderate carrier NAT.
    Double,
    /// A moderate home NAT behind a symmetric carrier NAT.
    Carrier,
    /// A firewall that lets UDP go to the server's address and nowhere else.
    ServerOnly,
    /// IPv6 behind a stateful firewall, and IPv4 behind a symmetric NAT.
    Ipv6,
    /// Both hosts behind the same moderate router: only with itself.
    Lan,
    /// Two homes behind one carrier NAT that does not hairpin: only with itself.
    Shared,
    /// Two homes behind one carrier NAT that hairpins: only with itself.
    Hairpin,
    /// A symmetric NAT that opens ports when asked (UPnP-IGD, NAT-PMP, PCP).
    Upnp,
    /// The same behind a moderate carrier NAT, where its openings lead nowhere.
    UpnpCarrier,
    /// A moderate NAT whose firewall drops all UDP.
    Blocked,
    /// A firewall that lets nothing out; an HTTP proxy on it does (tinyproxy).
    Proxied,
}

/// Whether the two hosts of a pair stand behind routers of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// Each has everything for itself.
    Apart,
    /// Something is shared, so the site makes sense only with itself.
    Shared,
}

impl Site {
    /// The name used on the command line and in results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Open => "open",
            Self::Moderate => "moderate",
            Self::Strict => "strict",
            Self::Restricted => "restricted",
            Self::Firewall => "firewall",
            Self::Double => "double",
            Self::Carrier => "carrier",
            Self::ServerOnly => "server-only",
            Self::Ipv6 => "ipv6",
            Self::Lan => "lan",
            Self::Shared => "shared",
            Self::Hairpin => "hairpin",
            Self::Upnp => "upnp",
            Self::UpnpCarrier => "upnp-carrier",
            Self::Blocked => "blocked",
            Self::Proxied => "proxied",
        }
    }

    /// What the site is, in one line.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::None => "public address, nothing in between",
            Self::Open => "endpoint-independent mapping and filtering (full cone)",
            Self::Moderate => "endpoint-independent mapping, address-and-port filtering",
            Self::Strict => "symmetric: a random port per destination",
            Self::Restricted => "endpoint-independent mapping, address filtering",
            Self::Firewall => "public address behind a stateful firewall",
            Self::Double => "moderate home NAT behind a moderate carrier NAT",
            Self::Carrier => "moderate home NAT behind a symmetric carrier NAT",
            Self::ServerOnly => "UDP may go to the server and nowhere else",
            Self::Ipv6 => "firewalled IPv6 beside symmetric IPv4",
            Self::Lan => "both hosts behind the same moderate router",
            Self::Shared => "two homes behind one carrier NAT, no hairpin",
            Self::Hairpin => "two homes behind one carrier NAT that hairpins",
            Self::Upnp => "symmetric, opens ports when asked (miniupnpd)",
            Self::UpnpCarrier => "the same behind a moderate carrier NAT",
            Self::Blocked => "moderate NAT whose firewall drops all UDP",
            Self::Proxied => "nothing gets out but through an HTTP proxy (tinyproxy)",
        }
    }

    /// Whether a pair of this site with itself shares routers.
    pub(crate) fn sharing(self) -> Sharing {
        match self {
            Self::Lan | Self::Shared | Self::Hairpin => Sharing::Shared,
            Self::None
            | Self::Open
            | Self::Moderate
            | Self::Strict
            | Self::Restricted
            | Self::Firewall
            | Self::Double
            | Self::Carrier
            | Self::ServerOnly
            | Self::Ipv6
            | Self::Upnp
            | Self::UpnpCarrier
            | Self::Blocked
            | Self::Proxied => Sharing::Apart,
        }
    }

    /// Whether no UDP gets out, so that the server is reached over TLS.
    pub(crate) fn blocks_udp(self) -> bool {
        matches!(self, Self::Blocked | Self::Proxied)
    }

    /// Whether its router opens ports when asked.
    pub(crate) fn opens_ports(self) -> bool {
        matches!(self, Self::Upnp | Self::UpnpCarrier)
    }
}
