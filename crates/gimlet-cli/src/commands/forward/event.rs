//! What `forward`, `socks` and `expose` tell: an object a line for programs, a line for people.

use std::fmt;
use std::net::SocketAddr;

use serde::Serialize;

use crate::describe;
use crate::event::Who;
use crate::output::{ms, printable_line};
use crate::session::Found;
use gimlet::{Connection, PeerId};
use gimlet_apps::forward::{self, Flow, FlowError, Place, ServiceName, Traffic};

/// Something to tell.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Line {
    /// A service is offered.
    Exposed { service: String, to: String },
    /// A local socket is there, whether the peer is or not.
    Ready {
        /// `None` while no server tells who is meant.
        peer: Option<String>,
        #[serde(skip)]
        label: String,
        /// `None`: a way out.
        service: Option<String>,
        listen: String,
    },
    /// The session behind a local socket is up.
    Connected(Reach),
    /// It takes another path.
    Path(Reach),
    /// There is no session; it is tried again.
    Away {
        #[serde(flatten)]
        who: Who,
        reason: String,
    },
    /// A connection was made, or the first datagram of a sender came.
    Opened(Told),
    /// It is over.
    Ended {
        #[serde(flatten)]
        told: Told,
        sent: u64,
        received: u64,
        dropped: u64,
        error: Option<String>,
    },
}

/// How a local socket's peer is reached.
#[derive(Debug, Serialize)]
pub(crate) struct Reach {
    #[serde(flatten)]
    who: Who,
    service: Option<String>,
    listen: String,
    path: &'static str,
    strategy: Option<&'static str>,
    local: Option<SocketAddr>,
    remote: Option<SocketAddr>,
    rtt_ms: f64,
    connected_ms: f64,
}

/// A flow.
#[derive(Debug, Serialize)]
pub(crate) struct Told {
    #[serde(flatten)]
    who: Who,
    number: u64,
    to: String,
    protocol: &'static str,
    from: Option<String>,
}

impl Line {
    pub(crate) fn exposed(service: impl fmt::Display, to: impl fmt::Display) -> Self {
        Self::Exposed {
            service: service.to_string(),
            to: to.to_string(),
        }
    }

    pub(crate) fn ready(
        peer: Option<PeerId>,
        label: &str,
        service: Option<&ServiceName>,
        place: &Place,
    ) -> Self {
        Self::Ready {
            peer: peer.map(|peer| peer.to_string()),
            label: label.to_owned(),
            service: service.map(ToString::to_string),
            listen: place.to_string(),
        }
    }

    pub(crate) fn away(found: &Found, reason: &impl fmt::Display) -> Self {
        Self::Away {
            who: Who::new(found),
            reason: reason.to_string(),
        }
    }

    /// `None` for what is not to be told.
    pub(crate) fn flow(found: &Found, event: forward::Event) -> Option<Self> {
        match event {
            forward::Event::Opened(flow) => Some(Self::Opened(Told::new(found, &flow))),
            forward::Event::Closed {
                flow,
                traffic,
                failure,
            } => Some(Self::ended(found, &flow, traffic, failure)),
            _ => None,
        }
    }

    fn ended(found: &Found, flow: &Flow, traffic: Traffic, failure: Option<FlowError>) -> Self {
        Self::Ended {
            told: Told::new(found, flow),
            sent: traffic.sent,
            received: traffic.received,
            dropped: traffic.dropped,
            error: failure.map(|failure| failure.to_string()),
        }
    }

    /// Whether a person wants to read it: connections that come and go are for programs.
    pub(crate) fn is_for_people(&self) -> bool {
        match self {
            Self::Opened(_) => false,
            Self::Ended { error, .. } => error.is_some(),
            Self::Exposed { .. }
            | Self::Ready { .. }
            | Self::Connected(_)
            | Self::Path(_)
            | Self::Away { .. } => true,
        }
    }
}

impl Reach {
    pub(crate) fn new(
        found: &Found,
        service: Option<&ServiceName>,
        listen: &Place,
        connection: &Connection,
    ) -> Self {
        let path = connection.path();
        Self {
            who: Who::new(found),
            service: service.map(ToString::to_string),
            listen: listen.to_string(),
            path: describe::path_kind(path.kind),
            strategy: path.strategy.map(gimlet::Strategy::name),
            local: path.local,
            remote: path.remote,
            rtt_ms: ms(path.rtt.unwrap_or_else(|| connection.rtt())),
            connected_ms: ms(connection.timings().connected),
        }
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path)?;
        if let (Some(local), Some(remote)) = (self.local, self.remote) {
            write!(f, ", {local} to {remote}")?;
        }
        write!(f, ", {:.1} ms", self.rtt_ms)
    }
}

impl Told {
    fn new(found: &Found, flow: &Flow) -> Self {
        Self {
            who: Who::new(found),
            number: flow.number,
            to: flow.goal.to_string(),
            protocol: match flow.is_udp {
                true => "udp",
                false => "tcp",
            },
            from: flow.from.clone(),
        }
    }
}

/// How a person writes a service of a peer; the peer alone where it is a way out.
fn of(label: &str, service: Option<&String>) -> String {
    match service {
        Some(service) => format!("{label}/{service}"),
        None => format!("whatever {label} reaches"),
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bold = anstyle::Style::new().bold();
        match self {
            Self::Exposed { service, to } => write!(f, "{bold}{service}{bold:#} leads to {to}."),
            Self::Ready {
                label,
                service,
                listen,
                ..
            } => write!(
                f,
                "{bold}{listen}{bold:#} leads to {}.",
                of(label, service.as_ref())
            ),
            Self::Connected(reach) => {
                let to = of(reach.who.label(), reach.service.as_ref());
                let after = reach.connected_ms;
                write!(f, "{to}: connected after {after:.1} ms, {reach}.")
            }
            Self::Path(reach) => {
                write!(
                    f,
                    "{}: now {reach}.",
                    of(reach.who.label(), reach.service.as_ref())
                )
            }
            Self::Away { who, reason } => {
                let reason = printable_line(reason);
                write!(f, "{} is away: {reason}. Trying again.", who.label())
            }
            Self::Opened(told) => write!(f, "{}: {} opened.", told.who.label(), told.to),
            Self::Ended { told, error, .. } => {
                let to = printable_line(&told.to);
                write!(f, "{}: {to}: ", told.who.label())?;
                match error {
                    Some(error) => write!(f, "{}.", printable_line(error)),
                    None => write!(f, "ended."),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gimlet_apps::forward::Goal;

    #[test]
    fn a_flow_that_failed_says_which_and_why() {
        let peer = PeerId::from_bytes([0; 32]);
        let found = Found {
            peer,
            label: "bob".to_owned(),
        };
        let flow = Flow {
            number: 3,
            peer,
            goal: Goal::Service("web".parse().unwrap()),
            is_udp: false,
            from: Some("127.0.0.1:5".to_owned()),
        };
        let line = Line::flow(
            &found,
            forward::Event::Closed {
                flow,
                traffic: Traffic::default(),
                failure: Some(FlowError::Refused),
            },
        );
        let line = line.unwrap();
        assert!(line.is_for_people());
        let text = line.to_string();
        assert!(text.starts_with("bob: web: the service refuses"), "{text}");
        let value = serde_json::to_value(&line).unwrap();
        assert_eq!(value["event"], "ended");
        assert_eq!(value["number"], 3);
        assert!(value["error"].is_string());
    }
}
