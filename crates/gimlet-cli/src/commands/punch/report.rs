//! What `punch` says at the end: the object of the contract, and a few lines for a person.

use std::fmt;
use std::net::SocketAddr;

use serde::Serialize;

use crate::describe::{self, nat};
use crate::exit::Status;
use crate::output::ms;
use crate::width::{self, hung};
use gimlet::{Connection, NatClass};

/// How connecting went. Times in milliseconds from the call of connect, except `sign_in_ms`.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) peer: Option<String>,
    pub(crate) path: Option<&'static str>,
    pub(crate) strategy: Option<&'static str>,
    pub(crate) local: Option<SocketAddr>,
    pub(crate) remote: Option<SocketAddr>,
    pub(crate) rtt_ms: Option<f64>,
    pub(crate) introduced_ms: Option<f64>,
    pub(crate) connected_ms: Option<f64>,
    pub(crate) first_byte_ms: Option<f64>,
    pub(crate) direct_ms: Option<f64>,
    pub(crate) nat_local: Option<NatClass>,
    pub(crate) nat_remote: Option<NatClass>,
    pub(crate) failed_stage: Option<&'static str>,
    pub(crate) reason: Option<&'static str>,
    pub(crate) sign_in_ms: Option<f64>,
    /// What a search for a port took, if there was one.
    pub(crate) search: Option<Search>,
    /// The reason in a sentence.
    #[serde(skip)]
    pub(crate) because: Option<String>,
    /// How a person calls the peer.
    #[serde(skip)]
    pub(crate) label: String,
    /// Whether the user wants no direct path.
    #[serde(skip)]
    pub(crate) relay_only: bool,
}

/// A search for a port, this side's part.
#[derive(Debug, Serialize)]
pub(crate) struct Search {
    pub(crate) rounds: u32,
    pub(crate) packets: u32,
    pub(crate) sockets: u32,
}

impl Report {
    /// Direct, only over the relay, or not at all.
    pub(crate) fn status(&self) -> Status {
        match self.path {
            Some("direct") => Status::Done,
            Some(_) => Status::Failed,
            None => Status::Unreachable,
        }
    }
}

impl Report {
    /// Where and why it stands if it gets no further.
    pub(crate) fn failed(&mut self, stage: &'static str, reason: &'static str) {
        self.failed_stage = Some(stage);
        self.reason = Some(reason);
    }

    /// Takes over what the session knows of itself.
    pub(crate) fn describe(&mut self, connection: &Connection) {
        let path = connection.path();
        let timings = connection.timings();
        let (nat_local, nat_remote) = connection.nats();
        let failure = connection.outcome().failure.filter(|_| !path.is_direct());
        self.path = Some(describe::path_kind(path.kind));
        self.strategy = path.strategy.map(gimlet::Strategy::name);
        self.local = path.local;
        self.remote = path.remote;
        self.rtt_ms = Some(ms(path.rtt.unwrap_or_else(|| connection.rtt())));
        self.introduced_ms = timings.introduced.map(ms);
        self.connected_ms = Some(ms(timings.connected));
        self.direct_ms = timings.direct.map(ms);
        self.nat_local = Some(nat_local);
        self.nat_remote = Some(nat_remote);
        let search = connection.outcome().search;
        self.search = (search.rounds > 0).then_some(Search {
            rounds: search.rounds,
            packets: search.packets,
            sockets: search.sockets,
        });
        self.failed_stage = failure.map(|failure| failure.stage.name());
        self.reason = failure.map(|failure| failure.reason.name());
        self.because = failure.map(|failure| failure.reason.to_string());
        if failure.is_none() && !path.is_direct() {
            self.failed("checks", "timed-out");
            self.because =
                Some("none was found in the time given; --wait-direct gives more".into());
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bold = anstyle::Style::new().bold();
        let label = &self.label;
        match self.path {
            None => return write!(f, "No session with {label}."),
            Some("direct") => write!(f, "{bold}Direct{bold:#} to {label}")?,
            Some(_) => write!(
                f,
                "{bold}Relayed{bold:#} to {label}: works, through the server"
            )?,
        }
        if let (Some(local), Some(remote)) = (self.local, self.remote) {
            write!(f, ", {local} to {remote}")?;
        }
        if let Some(strategy) = &self.strategy {
            write!(f, " ({strategy})")?;
        }
        if let Some(rtt) = self.rtt_ms {
            write!(f, ", round trip {rtt:.1} ms")?;
        }
        writeln!(f)?;
        for (what, ms) in [
            ("signed in after", self.sign_in_ms),
            ("introduced after", self.introduced_ms),
            ("connected after", self.connected_ms),
            ("first byte back after", self.first_byte_ms),
            ("direct after", self.direct_ms),
        ] {
            if let Some(ms) = ms {
                writeln!(f, "  {what:<22} {ms:>8.1} ms")?;
            }
        }
        if let Some(search) = &self.search {
            let (rounds, packets) = (search.rounds, search.packets);
            writeln!(
                f,
                "  searched for a port: {packets} packets in {rounds} rounds"
            )?;
        }
        let unknown = NatClass::default();
        let nat = |title: &str, of: &Option<NatClass>| {
            let text = nat(of.as_ref().unwrap_or(&unknown));
            format!(
                "  {title}{}",
                hung(&text, 2 + title.len(), width::of_stdout())
            )
        };
        let (ours, theirs) = (
            nat("my NAT: ", &self.nat_local),
            nat("its NAT: ", &self.nat_remote),
        );
        write!(f, "{ours}\n{theirs}")?;
        if self.path == Some("direct") {
            return Ok(());
        }
        if let Some(because) = &self.because {
            write!(f, "\n  not direct: {because}")?;
        }
        let advice = match self.relay_only {
            true => "without --relay-only a direct path is tried",
            false => {
                "everything works over the relay, only slower; for a direct path forward a UDP \
                 port on one of the two routers, or use a network that lets UDP through"
            }
        };
        write!(f, "\n  hint: {advice}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_has_every_key_of_the_contract_even_when_nothing_worked() {
        let value = serde_json::to_value(Report::default()).unwrap();
        let keys: Vec<&str> = value
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        for key in [
            "peer",
            "path",
            "strategy",
            "local",
            "remote",
            "rtt_ms",
            "introduced_ms",
            "connected_ms",
            "first_byte_ms",
            "direct_ms",
            "nat_local",
            "nat_remote",
            "failed_stage",
            "reason",
            "sign_in_ms",
        ] {
            assert!(keys.contains(&key), "{key}");
        }
    }

    #[test]
    fn the_status_follows_the_path() {
        let with = |path| Report {
            path,
            ..Report::default()
        };
        assert_eq!(with(Some("direct")).status(), Status::Done);
        assert_eq!(with(Some("relay")).status(), Status::Failed);
        assert_eq!(with(None).status(), Status::Unreachable);
    }

    #[test]
    fn a_relayed_session_says_what_to_do() {
        let report = Report {
            path: Some("relay"),
            label: "bob".to_owned(),
            ..Report::default()
        };
        let text = anstream::adapter::strip_str(&report.to_string()).to_string();
        assert!(text.starts_with("Relayed to bob"), "{text}");
        assert!(text.contains("hint: "), "{text}");
    }
}
