//! Two sites below one router: hairpin and LAN.

use serde::{Deserialize, Serialize};

use super::{Family, Site, SiteClass, Verdict, oracle};

/// What two hosts below one router can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SharedVerdict {
    /// By sending to each other's outside endpoints, which the router must hairpin.
    pub outside: Verdict,
    /// By sending to each other's host addresses too, below the router.
    pub lan: Verdict,
}

impl SharedVerdict {
    /// The better of both.
    pub fn best(self) -> Verdict {
        self.outside.min(self.lan)
    }
}

/// Whether plain simultaneous sending joins two hosts that are both below `shared`. `a` and `b` are
/// what each has below it. With nothing shared it says what [`oracle`] says.
///
/// Two hosts at home are two public sites below the home's NAT; two homes behind one carrier are
/// two NATs below the carrier's.
pub fn oracle_behind_one_router(
    shared: &Site,
    a: &Site,
    b: &Site,
    family: Family,
) -> SharedVerdict {
    SharedVerdict {
        outside: over_outside(shared, a, b, family),
        lan: over_lan(a, b, family),
    }
}

fn over_outside(shared: &Site, a: &Site, b: &Site, family: Family) -> Verdict {
    if shared.class(family) == SiteClass::UdpBlocked {
        // Nobody can tell them their outside endpoints.
        return Verdict::Relay;
    }
    // Packets turn at the box that has the announced address: the outermost shared NAT. What lies
    // above it never sees them.
    match shared.outermost_nat(family) {
        Some((_, nat)) if !nat.hairpin => Verdict::Relay,
        Some((at, _)) => {
            let passed = &shared.layers[..=at];
            oracle(
                a.within(passed).class(family),
                b.within(passed).class(family),
            )
        }
        None => oracle(a.class(family), b.class(family)),
    }
}

/// Host addresses are of use as far as the nearest NAT. A host behind one can still reach a
/// neighbour that is not, if that one is open to strangers.
fn over_lan(a: &Site, b: &Site, family: Family) -> Verdict {
    let (a_class, b_class) = (a.class(family), b.class(family));
    let (hidden, open) = match (a.translates(family), b.translates(family)) {
        (false, false) => return oracle(a_class, b_class),
        (true, true) => return Verdict::Relay,
        (true, false) => (a_class, b_class),
        (false, true) => (b_class, a_class),
    };
    match (hidden, open) {
        (SiteClass::ServerOnly | SiteClass::UdpBlocked, _) => Verdict::Relay,
        (_, SiteClass::Open) => Verdict::DirectPeerReflexive,
        (_, _) => Verdict::Relay,
    }
}
