//! What `whoami` says of each site's NAT, beside how the NAT is configured.

use std::time::Duration;

use clap::ValueEnum;
use gimlet_sim::{Allocation, Filtering, Layer, Mapping};
use serde::Serialize;
use serde_json::Value;

use super::layout::{Layout, uplink};
use super::{Pair, Spot, World};
use crate::gimlet::Place;
use crate::lab::topology::Side;
use crate::lab::{Crew, Part};

/// How long one `whoami` may take, whatever happens.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(40);

/// One NAT, as configured and as found out.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Probed {
    pub(crate) site: &'static str,
    /// Mapping, filtering, allocation.
    pub(crate) must: [&'static str; 3],
    /// The same as `whoami` says it; nothing for what it does not know.
    pub(crate) says: [Option<String>; 3],
    pub(crate) took_ms: Option<f64>,
}

impl Probed {
    /// Whether everything was found out, and right.
    pub(crate) fn is_right(&self) -> bool {
        self.must
            .iter()
            .zip(&self.says)
            .all(|(must, says)| says.as_deref() == Some(must))
    }
}

/// Asks at every site of `pairs`, two at a time.
pub(crate) async fn probe(
    crew: &Crew,
    world: &World,
    server: &str,
    pairs: &[Pair],
    run: usize,
) -> anyhow::Result<Vec<Probed>> {
    let is_used = |spot: &&Spot| pairs.iter().any(|pair| [pair.a, pair.b].contains(spot));
    let spots: Vec<_> = Spot::value_variants().iter().filter(is_used).collect();
    let folder = crew.folder(Part::Tun, run, "probed")?;
    let mut all = Vec::new();
    for two in spots.chunks(2) {
        let (a, b) = (*two[0], *two[two.len() - 1]);
        let layout = Layout {
            a: a.whole(),
            b: b.whole(),
            shared: None,
            link: uplink(0.0),
        };
        world.lay(run as u64, &layout)?;
        let ask = async |side, spot: Spot| {
            let place = Place::Namespace(world.host(side).clone());
            let host = crew.host(place, server, &folder, spot.name());
            let whoami = host.run(&["whoami"], COMMAND_TIMEOUT).await?;
            anyhow::Ok(judge(spot, whoami.last()))
        };
        let (first, second) = tokio::try_join!(ask(Side::A, a), ask(Side::B, b))?;
        all.push(first);
        if two.len() > 1 {
            all.push(second);
        }
    }
    Ok(all)
}

fn judge(spot: Spot, whoami: &Value) -> Probed {
    let says = ["mapping", "filtering", "allocation"];
    let says = says.map(|key| whoami["nat"][key].as_str().map(str::to_owned));
    Probed {
        site: spot.name(),
        must: configured(spot),
        says,
        took_ms: whoami["elapsed_ms"].as_f64(),
    }
}

/// What a faultless prober would find: of several layers, the stricter one of each, and the
/// ports of the outermost that does not keep them.
fn configured(spot: Spot) -> [&'static str; 3] {
    let mut mapping = Mapping::EndpointIndependent;
    let mut filtering = Filtering::EndpointIndependent;
    let mut allocation = Allocation::Preserving;
    for layer in spot.whole().layers {
        match layer {
            Layer::Nat(nat) => {
                mapping = mapping.max(nat.mapping);
                filtering = filtering.max(nat.filtering);
                if nat.allocation != Allocation::Preserving {
                    allocation = nat.allocation;
                }
            }
            Layer::Firewall(_) => filtering = Filtering::AddressAndPortDependent,
        }
    }
    [
        match mapping {
            Mapping::EndpointIndependent => "endpoint-independent",
            Mapping::AddressDependent => "address-dependent",
            Mapping::AddressAndPortDependent => "address-and-port-dependent",
        },
        match filtering {
            Filtering::EndpointIndependent => "endpoint-independent",
            Filtering::AddressDependent => "address-dependent",
            Filtering::AddressAndPortDependent => "address-and-port-dependent",
        },
        match allocation {
            Allocation::Preserving => "preserving",
            Allocation::Sequential { .. } => "sequential",
            Allocation::Random => "random",
            Allocation::RandomBlock { .. } => "random-block",
        },
    ]
}
