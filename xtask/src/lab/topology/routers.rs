//! The routers of each site.

use std::net::Ipv4Addr;

use patchbay::{
    Firewall, IpSupport, Lab, Nat, NatConfig, NatFiltering, NatMapping, Router, RouterPreset,
};

use super::Side;
use super::rules::{allow_udp_only_to, drop_forwarded};
use crate::lab::site::Site;

/// Makes a site's routers: the one for each of its two hosts.
pub(super) async fn place(
    lab: &Lab,
    site: Site,
    server: Ipv4Addr,
) -> anyhow::Result<[(Side, Router); 2]> {
    match site {
        Site::Lan => {
            let router = nat(lab, "lan", Nat::Moderate, None).await?;
            Ok([(Side::A, router.clone()), (Side::B, router)])
        }
        Site::Shared | Site::Hairpin => {
            let carrier = nat(lab, site.name(), shared_carrier(site)?, None).await?;
            // Open homes: what keeps the two apart is then the carrier and nothing else.
            Ok([
                (
                    Side::A,
                    home(lab, site, Side::A, Nat::Open, &carrier).await?,
                ),
                (
                    Side::B,
                    home(lab, site, Side::B, Nat::Open, &carrier).await?,
                ),
            ])
        }
        Site::None
        | Site::Open
        | Site::Moderate
        | Site::Strict
        | Site::Restricted
        | Site::Firewall
        | Site::Double
        | Site::Carrier
        | Site::ServerOnly
        | Site::Ipv6
        | Site::Upnp
        | Site::UpnpCarrier
        | Site::Blocked
        | Site::Proxied => Ok([
            (Side::A, apart(lab, site, Side::A, server).await?),
            (Side::B, apart(lab, site, Side::B, server).await?),
        ]),
    }
}

/// Makes the router, or the two in a row, for one host of a site that shares nothing.
async fn apart(lab: &Lab, site: Site, side: Side, server: Ipv4Addr) -> anyhow::Result<Router> {
    let name = format!("{}-{}-router", site.name(), side.letter());
    match site {
        Site::None => {
            lab.add_router(&name)
                .preset(RouterPreset::PublicV4)
                .build()
                .await
        }
        Site::Firewall => {
            let router = lab.add_router(&name).preset(RouterPreset::PublicV4);
            router.firewall(Firewall::BlockInbound).build().await
        }
        Site::Open => nat(lab, &name, Nat::Open, None).await,
        Site::Moderate => nat(lab, &name, Nat::Moderate, None).await,
        Site::Strict => nat(lab, &name, Nat::Strict, None).await,
        Site::Restricted => nat(lab, &name, restricted()?, None).await,
        Site::Double => behind(lab, site, side, Nat::Moderate, Nat::Moderate).await,
        Site::Carrier => behind(lab, site, side, Nat::Moderate, Nat::Strict).await,
        Site::UpnpCarrier => behind(lab, site, side, Nat::Strict, Nat::Moderate).await,
        Site::Upnp => {
            // The daemon opens nothing on the addresses that all else here has outside: they
            // are reserved for tests, and it takes them for a carrier's.
            let provider = lab.add_router(&format!("{name}-provider"));
            let provider = provider.preset(RouterPreset::PublicV4);
            let outside = match side {
                Side::A => "11.0.1.0/24",
                Side::B => "11.0.2.0/24",
            };
            let provider = provider.downstream_cidr(outside.parse()?).build().await?;
            nat(lab, &name, Nat::Strict, Some(&provider)).await
        }
        Site::ServerOnly => {
            let router = nat(lab, &name, Nat::Moderate, None).await?;
            allow_udp_only_to(&router, server)?;
            Ok(router)
        }
        Site::Blocked => {
            let router = nat(lab, &name, Nat::Moderate, None).await?;
            drop_forwarded(&router, "meta l4proto udp")?;
            Ok(router)
        }
        Site::Proxied => {
            let router = nat(lab, &name, Nat::Moderate, None).await?;
            drop_forwarded(&router, "meta l4proto { tcp, udp }")?;
            Ok(router)
        }
        Site::Ipv6 => {
            let router = lab.add_router(&name).preset(RouterPreset::Public);
            let router = router.ip_support(IpSupport::DualStack).nat(Nat::Strict);
            router.firewall(Firewall::BlockInbound).build().await
        }
        Site::Lan | Site::Shared | Site::Hairpin => anyhow::bail!("a shared site is not apart"),
    }
}

/// A home behind a carrier of its own.
async fn behind(
    lab: &Lab,
    site: Site,
    side: Side,
    kind: Nat,
    outer: Nat,
) -> anyhow::Result<Router> {
    let name = format!("{}-{}-router-carrier", site.name(), side.letter());
    let carrier = nat(lab, &name, outer, None).await?;
    home(lab, site, side, kind, &carrier).await
}

async fn home(
    lab: &Lab,
    site: Site,
    side: Side,
    kind: Nat,
    carrier: &Router,
) -> anyhow::Result<Router> {
    let name = format!("{}-{}-home", site.name(), side.letter());
    nat(lab, &name, kind, Some(carrier)).await
}

async fn nat(
    lab: &Lab,
    name: &str,
    kind: impl Into<Option<NatConfig>>,
    upstream: Option<&Router>,
) -> anyhow::Result<Router> {
    let router = lab.add_router(name).nat(kind);
    match upstream {
        Some(carrier) => router.upstream(carrier.id()).build().await,
        None => router.build().await,
    }
}

fn restricted() -> anyhow::Result<NatConfig> {
    Ok(NatConfig::builder()
        .mapping(NatMapping::EndpointIndependent)
        .filtering(NatFiltering::AddressDependent)
        .build()?)
}

fn shared_carrier(site: Site) -> anyhow::Result<NatConfig> {
    Ok(NatConfig::builder()
        .mapping(NatMapping::EndpointIndependent)
        .filtering(NatFiltering::AddressAndPortDependent)
        .hairpin(site == Site::Hairpin)
        .build()?)
}
