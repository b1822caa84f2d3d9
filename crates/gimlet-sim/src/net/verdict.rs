//! What the oracle says about two hosts of this network.

use super::Net;
use super::topology::{Gate, HostId, NodeId, RouterId};
use crate::oracle::{Family, Layer, Site, Verdict, oracle_behind_one_router};

impl Net {
    /// The site a host is at: every gate between it and the internet.
    pub fn site(&self, host: HostId) -> Site {
        self.site_of(self.topology.ancestors(host.into()))
    }

    /// Whether plain checks can join two hosts, over the better of the families both have, with
    /// host addresses tried as well as outside ones. It looks at gates only: not at links, dark
    /// nodes, or addresses used twice.
    pub fn verdict(&self, a: HostId, b: HostId) -> Verdict {
        let has = |host: HostId, family: Family| {
            let addrs = &self.topology.node(NodeId::Host(host)).addrs;
            addrs.iter().any(|address| Family::of(*address) == family)
        };
        let (mut above_a, mut above_b) = (
            self.topology.ancestors(a.into()),
            self.topology.ancestors(b.into()),
        );
        let mut shared = Vec::new();
        while let (Some(last), true) = (above_a.last(), above_a.last() == above_b.last()) {
            shared.insert(0, *last);
            above_a.pop();
            above_b.pop();
        }
        let [a_site, b_site, shared] = [above_a, above_b, shared].map(|above| self.site_of(above));
        Family::ALL
            .into_iter()
            .filter(|family| has(a, *family) && has(b, *family))
            .map(|family| oracle_behind_one_router(&shared, &a_site, &b_site, family).best())
            .min()
            .unwrap_or(Verdict::Relay)
    }

    fn site_of(&self, routers: Vec<RouterId>) -> Site {
        let layer = |router: RouterId| match &self.topology.router(router).gate {
            Gate::Nat { nat, .. } => Some(Layer::Nat(nat.config().clone())),
            Gate::Firewall(firewall) => Some(Layer::Firewall(firewall.config().clone())),
            Gate::Plain => None,
        };
        Site {
            layers: routers.into_iter().filter_map(layer).collect(),
        }
    }
}
