//! What is exposed and to whom: flags and configuration.

use std::collections::{BTreeMap, HashSet};

use gimlet::{Endpoint, PeerId};
use gimlet_apps::forward::{Allow, Exit, Exposed, Place, Rules, ServiceName};

use crate::args::ExposeArgs;
use crate::commands::forward::event::Line;
use crate::exit::{Failure, Status};
use crate::session::Context;
use crate::settings::ExposeFile;

/// What the way out is called in `--allow`, in the configuration, and where it is told.
const SOCKS: &str = "socks";

/// All that is exposed, the peers as they were typed.
#[derive(Debug)]
pub(in crate::commands) struct Offer {
    services: BTreeMap<ServiceName, Service>,
    exit: Option<WayOut>,
}

#[derive(Debug)]
struct Service {
    place: Place,
    allow: Vec<String>,
}

#[derive(Debug)]
struct WayOut {
    rules: Rules,
    /// As they were typed.
    shown: String,
    allow: Vec<String>,
}

impl Offer {
    /// What flags and configuration say together; the flags win for a service that both name.
    pub(super) fn read(args: &ExposeArgs, file: &ExposeFile) -> Result<Self, Failure> {
        let offer = Self::merge(args, file);
        let offer = offer.map_err(|error| Failure::new(Status::Usage, error))?;
        if offer.services.is_empty() && offer.exit.is_none() {
            let error = anyhow::anyhow!("nothing is to be exposed");
            return Err(Failure::new(Status::Usage, error).hint(
                "write gimlet expose NAME ADDR:PORT, or [expose] in the configuration, or --socks",
            ));
        }
        Ok(offer)
    }

    /// What `up` exposes: the configuration, and a way out where the flag says so; `None`: nothing.
    pub(in crate::commands) fn of_file(
        file: &ExposeFile,
        socks: bool,
    ) -> Result<Option<Self>, Failure> {
        let args = ExposeArgs {
            socks: socks && file.socks.is_none(),
            ..ExposeArgs::default()
        };
        let offer = Self::merge(&args, file);
        let offer = offer.map_err(|error| Failure::new(Status::Usage, error))?;
        let is_empty = offer.services.is_empty() && offer.exit.is_none();
        Ok((!is_empty).then_some(offer))
    }

    fn merge(args: &ExposeArgs, file: &ExposeFile) -> anyhow::Result<Self> {
        let mut services = BTreeMap::new();
        for (name, service) in &file.services {
            let place = Place::parse(&service.to, false);
            let place = place.map_err(|error| anyhow::anyhow!("{}: {error}", service.to))?;
            let allow = service.allow.clone();
            services.insert(name.clone(), Service { place, allow });
        }
        anyhow::ensure!(
            args.services.len().is_multiple_of(2),
            "every NAME wants an ADDR:PORT behind it"
        );
        for pair in args.services.chunks(2) {
            let [name, place] = pair else { continue };
            let named =
                |what: &str, error: &dyn std::fmt::Display| anyhow::anyhow!("{what}: {error}");
            let place = Place::parse(place, args.udp).map_err(|error| named(place, &error))?;
            let name: ServiceName = name.parse().map_err(|error| named(name, &error))?;
            let allow = Vec::new();
            services.insert(name, Service { place, allow });
        }
        let mut exit = file.socks.as_ref().map(|socks| WayOut {
            shown: show(&socks.rules),
            rules: rules(&socks.rules),
            allow: socks.allow.clone(),
        });
        if args.socks {
            exit = Some(WayOut {
                shown: show(&args.socks_allow),
                rules: rules(&args.socks_allow),
                allow: Vec::new(),
            });
        }
        let mut offer = Self { services, exit };
        for text in &args.allow {
            offer.allow(text)?;
        }
        Ok(offer)
    }

    /// Takes `PEER` for everything, or `NAME=PEER` for one thing.
    fn allow(&mut self, text: &str) -> anyhow::Result<()> {
        let Some((name, peer)) = text.split_once('=') else {
            let services = self.services.values_mut().map(|service| &mut service.allow);
            let exit = self.exit.iter_mut().map(|exit| &mut exit.allow);
            services
                .chain(exit)
                .for_each(|allow| allow.push(text.to_owned()));
            return Ok(());
        };
        let service = self
            .services
            .iter_mut()
            .find(|(known, _)| known.as_str() == name);
        let allow = match (service, &mut self.exit) {
            (Some((_, service)), _) => &mut service.allow,
            (None, Some(exit)) if name == SOCKS => &mut exit.allow,
            (None, Some(_) | None) => anyhow::bail!("--allow {text}: {name} is not exposed"),
        };
        allow.push(peer.to_owned());
        Ok(())
    }

    /// The peers found.
    pub(in crate::commands) async fn resolve(
        &self,
        context: &Context,
        endpoint: &Endpoint,
    ) -> Result<Exposed, Failure> {
        let mut found = BTreeMap::new();
        let services = self.services.values().flat_map(|service| &service.allow);
        for text in services.chain(self.exit.iter().flat_map(|exit| &exit.allow)) {
            if !found.contains_key(text) {
                found.insert(text.clone(), peer(context, endpoint, text).await?);
            }
        }
        let allow = |texts: &[String]| match texts.is_empty() {
            true => Allow::Everyone,
            false => Allow::Only(found_of(&found, texts)),
        };
        let mut exposed = Exposed::new();
        for (name, Service { place, allow: to }) in &self.services {
            exposed = exposed.service(name.clone(), place.clone(), allow(to));
        }
        if let Some(exit) = &self.exit {
            exposed = exposed.exit(Exit {
                allow: allow(&exit.allow),
                rules: exit.rules.clone(),
            });
        }
        Ok(exposed)
    }

    /// What is exposed, to be told.
    pub(super) fn lines(&self) -> impl Iterator<Item = Line> {
        let service =
            |(name, service): (&ServiceName, &Service)| Line::exposed(name, &service.place);
        let exit = self.exit.iter();
        let services = self.services.iter().map(service);
        services.chain(exit.map(|exit| Line::exposed(SOCKS, &exit.shown)))
    }
}

/// An id needs nobody to be looked up; other texts are found as everywhere.
async fn peer(context: &Context, endpoint: &Endpoint, text: &str) -> Result<PeerId, Failure> {
    match text.parse() {
        Ok(peer) => Ok(peer),
        Err(_) => Ok(context.find(endpoint, text).await?.peer),
    }
}

fn found_of(found: &BTreeMap<String, PeerId>, texts: &[String]) -> HashSet<PeerId> {
    texts
        .iter()
        .filter_map(|text| found.get(text).copied())
        .collect()
}

fn rules(rules: &[gimlet_apps::forward::Rule]) -> Rules {
    match rules.is_empty() {
        true => Rules::default(),
        false => Rules::new(rules.to_vec()),
    }
}

fn show(rules: &[gimlet_apps::forward::Rule]) -> String {
    let rules: Vec<_> = rules.iter().map(ToString::to_string).collect();
    match rules.is_empty() {
        true => "public".to_owned(),
        false => rules.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command};

    fn read(line: &str) -> Result<Offer, Failure> {
        let words = ["gimlet", "expose"]
            .into_iter()
            .chain(line.split_whitespace());
        let Command::Expose(args) = Cli::try_parse_from(words).unwrap().command else {
            panic!("not expose");
        };
        Offer::read(&args, &ExposeFile::default())
    }

    #[test]
    fn several_services_each_have_the_peers_that_were_named_for_them() {
        let offer = read("web 80 db unix:/run/db dns udp:53 --allow bob --allow db=alice").unwrap();
        let shown: Vec<_> = offer
            .services
            .iter()
            .map(|(name, service)| format!("{name} {} {:?}", service.place, service.allow))
            .collect();
        assert_eq!(
            shown,
            [
                r#"db unix:/run/db ["bob", "alice"]"#,
                r#"dns udp:127.0.0.1:53 ["bob"]"#,
                r#"web 127.0.0.1:80 ["bob"]"#,
            ]
        );
    }

    #[test]
    fn the_way_out_is_public_unless_rules_say_otherwise() {
        let shown = |line| read(line).unwrap().exit.unwrap().shown;
        assert_eq!(shown("--socks"), "public");
        assert_eq!(
            shown("--socks --socks-allow 10.0.0.0/8:22 --socks-allow public --allow socks=bob"),
            "10.0.0.0/8:22, public"
        );
    }

    #[test]
    fn what_cannot_be_exposed_is_a_usage_error() {
        for line in [
            "",
            "web",
            "web x",
            "a/b 80",
            "web 80 --allow db=bob",
            "web 80 --allow socks=b",
        ] {
            assert_eq!(read(line).unwrap_err().status, Status::Usage, "{line}");
        }
    }
}
