//! `gimlet forward LOCAL PEER/NAME`: sockets of this host that lead to services of peers.

pub(super) mod event;
pub(super) mod links;

use std::str::FromStr as _;

use gimlet::{AcceptPolicy, Endpoint};
use gimlet_apps::forward::{self, Place, ServiceName};

use crate::args::ForwardArgs;
use crate::exit::{Failure, Outcome, Status};
use crate::session::{self, Context};
use links::Links;

/// What one pair of arguments asks for.
#[derive(Debug, PartialEq, Eq)]
struct Pair {
    local: Place,
    peer: String,
    service: ServiceName,
}

pub(super) async fn run(context: &Context, args: &ForwardArgs) -> Outcome {
    let pairs = read(&args.pairs, args.udp)?;
    super::raise_descriptor_limit();
    let work = async |endpoint: &Endpoint| {
        tokio::select! {
            done = forward(context, endpoint, &pairs) => done,
            () = session::interrupted() => Ok(Status::Done),
        }
    };
    context.with(&[], AcceptPolicy::Nobody, work).await
}

/// Listens until interrupted.
async fn forward(context: &Context, endpoint: &Endpoint, pairs: &[Pair]) -> Outcome {
    let mut links = Links::new(context, endpoint);
    let mut listening = Vec::new();
    for pair in pairs {
        let nth = links.to(&pair.peer).await?;
        let socket = forward::listen(links.link(nth), &pair.local, pair.service.clone()).await;
        let socket = socket.map_err(|error| cannot_listen(&pair.local, error))?;
        let ready = links.serves(nth, Some(pair.service.clone()), socket.place());
        context.output.print(&ready)?;
        listening.push(socket);
    }
    links.tell().await
}

/// A failure to get a local socket.
pub(super) fn cannot_listen(place: &Place, error: std::io::Error) -> Failure {
    let error = anyhow::Error::new(error).context(format!("cannot listen on {place}"));
    Failure::new(Status::Failed, error).hint("port 0 takes a free one")
}

fn read(texts: &[String], udp: bool) -> Result<Vec<Pair>, Failure> {
    let usage = |error: anyhow::Error| Failure::new(Status::Usage, error);
    if !texts.len().is_multiple_of(2) {
        let error = anyhow::anyhow!("every LOCAL wants a PEER/NAME behind it");
        return Err(usage(error));
    }
    let pair = |pair: &[String]| {
        let [local, to] = pair else {
            anyhow::bail!("every LOCAL wants a PEER/NAME behind it");
        };
        let Some((peer, service)) = to.rsplit_once('/').filter(|(peer, _)| !peer.is_empty()) else {
            anyhow::bail!("{to}: which service of it? Write PEER/NAME");
        };
        let named = |what: &str, error: &dyn std::fmt::Display| anyhow::anyhow!("{what}: {error}");
        Ok(Pair {
            local: Place::parse(local, udp).map_err(|error| named(local, &error))?,
            peer: peer.to_owned(),
            service: ServiceName::from_str(service).map_err(|error| named(service, &error))?,
        })
    };
    texts
        .chunks(2)
        .map(pair)
        .collect::<Result<_, _>>()
        .map_err(usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_line(line: &str) -> Result<Vec<Pair>, Failure> {
        let texts: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        read(&texts, false)
    }

    #[test]
    fn pairs_are_a_socket_and_a_service_of_a_peer() {
        let pairs = read_line("8080 bob/web udp:53 bob/dns unix:/run/db alice/db").unwrap();
        let shown = |pair: &Pair| format!("{} {} {}", pair.local, pair.peer, pair.service);
        let shown: Vec<_> = pairs.iter().map(shown).collect();
        assert_eq!(
            shown,
            [
                "127.0.0.1:8080 bob web",
                "udp:127.0.0.1:53 bob dns",
                "unix:/run/db alice db"
            ]
        );
    }

    #[test]
    fn what_is_no_pair_is_a_usage_error() {
        for line in [
            "8080",
            "8080 bob",
            "8080 /web",
            "8080 bob/",
            "x bob/web",
            "80 b/w 81",
        ] {
            assert_eq!(read_line(line).unwrap_err().status, Status::Usage, "{line}");
        }
    }
}
