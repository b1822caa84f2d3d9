//! What the NAT does: for JSON with all that was measured, for people in a sentence.

use std::fmt;

use gimlet::nat::Report;
use gimlet::{Allocation, Behaviour, NatClass};
use serde::Serialize;

/// The NAT in front of this host.
#[derive(Serialize)]
pub(super) struct Nat {
    #[serde(flatten)]
    class: NatClass,
    /// Whether two server addresses have answered, so that mapping and filtering are exact.
    exact: bool,
    /// From one sequential port to the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<i16>,
    /// First and last port of this host's block.
    #[serde(skip_serializing_if = "Option::is_none")]
    block: Option<(u16, u16)>,
    /// How long a silent mapping was seen to live.
    #[serde(skip_serializing_if = "Option::is_none")]
    lifetime_s: Option<u64>,
    /// Whether two NATs are in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    double_nat: Option<bool>,
    /// Whether IPv6 packets from elsewhere are kept out.
    #[serde(skip_serializing_if = "Option::is_none")]
    ipv6_firewall: Option<bool>,
    #[serde(skip)]
    translated: Option<bool>,
}

impl From<&Report> for Nat {
    fn from(report: &Report) -> Self {
        Self {
            class: report.class,
            exact: report.two_addresses,
            step: report.step,
            block: report.block,
            lifetime_s: report.lifetime.map(|lifetime| lifetime.as_secs()),
            double_nat: report.double_nat,
            ipv6_firewall: report.firewall_v6,
            translated: report.translated,
        }
    }
}

impl fmt::Display for Nat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mapping = match (self.translated, self.class.mapping) {
            (Some(false), _) => Some("none: others see this host's own address".to_owned()),
            (_, mapping) => mapping.map(|mapping| self.ports(mapping)),
        };
        let filtering = self.class.filtering.map(|filtering| {
            let who = match (filtering, self.exact) {
                (Behaviour::EndpointIndependent, _) => "anybody",
                (Behaviour::AddressDependent, true) => "addresses it was sent to",
                (Behaviour::AddressDependent, false) => {
                    "at least any port of an address it was sent to"
                }
                (Behaviour::AddressAndPortDependent, _) => "what it was sent to, and nothing else",
            };
            format!("lets in {who}")
        });
        let hairpin = self.class.hairpin.map(|hairpin| match hairpin {
            true => "two hosts behind it can meet at their outside addresses".to_owned(),
            false => "two hosts behind it can't meet at their outside addresses".to_owned(),
        });
        let double = (self.double_nat == Some(true)).then(|| "there seem to be two".to_owned());
        let v6 = (self.ipv6_firewall == Some(true)).then(|| "a firewall guards IPv6".to_owned());
        let known: Vec<_> = [mapping, filtering, hairpin, double, v6]
            .into_iter()
            .flatten()
            .collect();
        match known.is_empty() {
            true => f.write_str("not known"),
            false => f.write_str(&known.join("; ")),
        }
    }
}

impl Nat {
    fn ports(&self, mapping: Behaviour) -> String {
        let which = match mapping {
            Behaviour::EndpointIndependent => "one outside port for everybody",
            Behaviour::AddressDependent => "another outside port for each address",
            Behaviour::AddressAndPortDependent => "another outside port for each destination",
        };
        let how = match (self.class.allocation, self.step, self.block) {
            (Some(Allocation::Preserving), _, _) => ", the inside one".to_owned(),
            (Some(Allocation::Sequential), Some(step), _) => format!(", {step} after the last"),
            (Some(Allocation::RandomBlock), _, Some((first, last))) => {
                format!(", somewhere from {first} to {last}")
            }
            (Some(Allocation::Random), _, _) => ", anywhere".to_owned(),
            (Some(Allocation::Sequential), None, _) => ", one after the other".to_owned(),
            (Some(Allocation::RandomBlock), _, None) => ", in a block".to_owned(),
            (None, _, _) => String::new(),
        };
        format!("{which}{how}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(mapping: Behaviour, allocation: Allocation) -> Report {
        let mut report = Report::default();
        report.class.mapping = Some(mapping);
        report.class.allocation = Some(allocation);
        report.translated = Some(true);
        report
    }

    #[test]
    fn a_nat_is_told_in_plain_words() {
        assert_eq!(Nat::from(&Report::default()).to_string(), "not known");
        let mut home = report(Behaviour::EndpointIndependent, Allocation::Preserving);
        home.class.filtering = Some(Behaviour::AddressAndPortDependent);
        home.class.hairpin = Some(false);
        assert_eq!(
            Nat::from(&home).to_string(),
            "one outside port for everybody, the inside one; lets in what it was sent to, and \
             nothing else; two hosts behind it can't meet at their outside addresses"
        );
        let mut hard = report(Behaviour::AddressAndPortDependent, Allocation::Sequential);
        hard.step = Some(2);
        assert_eq!(
            Nat::from(&hard).to_string(),
            "another outside port for each destination, 2 after the last"
        );
        let mut none = report(Behaviour::EndpointIndependent, Allocation::Preserving);
        none.translated = Some(false);
        assert_eq!(
            Nat::from(&none).to_string(),
            "none: others see this host's own address"
        );
    }

    #[test]
    fn the_four_words_of_the_contract_are_always_there_and_the_rest_where_known() {
        let bare = serde_json::to_value(Nat::from(&Report::default())).unwrap();
        let keys: Vec<_> = bare.as_object().unwrap().keys().cloned().collect();
        assert_eq!(
            keys,
            ["allocation", "exact", "filtering", "hairpin", "mapping"]
        );
        let mut hard = report(Behaviour::AddressAndPortDependent, Allocation::RandomBlock);
        hard.block = Some((2_048, 3_071));
        let hard = serde_json::to_value(Nat::from(&hard)).unwrap();
        assert_eq!(hard["mapping"], "address-and-port-dependent");
        assert_eq!(hard["allocation"], "random-block");
        assert_eq!(hard["block"], serde_json::json!([2_048, 3_071]));
    }
}
