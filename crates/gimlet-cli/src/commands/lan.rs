//! `gimlet lan`: peers on this network, found and talked to with no server and no internet.

use std::fmt;
use std::net::SocketAddr;

use gimlet::{AcceptPolicy, Endpoint};
use gimlet_apps::Router;
use gimlet_apps::contacts::Contacts;
use gimlet_apps::lan::{self, Answer, Lan, LanPeer, Message, Options, Outcome as Taken};
use serde::Serialize;

use crate::args::{AcceptArgs, LanAction, LanArgs};
use crate::exit::{Failure, Outcome, Status};
use crate::output::{Table, ms, printable};
use crate::policy;
use crate::session::{self, Context};

/// A peer as it is printed.
#[derive(Serialize)]
struct Entry {
    peer: String,
    /// What it calls itself; nothing vouches for that.
    name: Option<String>,
    /// What this user calls it.
    contact: Option<String>,
    addresses: Vec<SocketAddr>,
}

/// What became of a message with one peer.
#[derive(Serialize)]
struct Told {
    peer: String,
    name: Option<String>,
    outcome: &'static str,
    after_ms: Option<f64>,
}

/// What became of it in all.
#[derive(Serialize)]
struct Summary {
    peers: usize,
    answered: usize,
}

/// What is heard.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Heard {
    Ready {
        peer: String,
    },
    Message {
        peer: String,
        #[serde(skip)]
        label: String,
        text: String,
    },
}

pub(super) async fn run(context: &Context, args: &LanArgs) -> Outcome {
    match &args.action {
        None => {
            let work = async |_: &Endpoint, lan: Lan| list(context, args, &lan).await;
            with(context, AcceptPolicy::Nobody, false, work).await
        }
        Some(LanAction::Broadcast { text }) => {
            let work = async |_: &Endpoint, lan: Lan| broadcast(context, args, &lan, text).await;
            with(context, AcceptPolicy::Nobody, false, work).await
        }
        Some(LanAction::Listen { count, accept }) => {
            let policy = listeners(context, accept)?;
            let work =
                async |endpoint: &Endpoint, lan: Lan| listen(context, endpoint, lan, *count).await;
            with(context, policy, true, work).await
        }
    }
}

fn listeners(context: &Context, accept: &AcceptArgs) -> Result<AcceptPolicy, Failure> {
    policy::without_asking(context.settings.accept(accept)?)
}

/// Works with an endpoint on this network alone.
async fn with(
    context: &Context,
    policy: AcceptPolicy,
    announce: bool,
    work: impl AsyncFnOnce(&Endpoint, Lan) -> Outcome,
) -> Outcome {
    let alpns = match announce {
        true => vec![lan::ALPN.to_vec()],
        false => Vec::new(),
    };
    let builder = Endpoint::builder()
        .identity(context.identity()?)
        .alpns(alpns)
        .accept(policy)
        .port_mapping(false)
        .lan(true);
    let endpoint = builder.bind().await.map_err(Failure::bind)?;
    let name = context.settings.name.clone();
    let lan = Lan::start(&endpoint, Options { announce, name });
    let lan = lan.map_err(|error| Failure::new(Status::Failed, error))?;
    let done = session::unless_interrupted(work(&endpoint, lan)).await;
    endpoint.close().await;
    done
}

async fn look(args: &LanArgs, lan: &Lan) {
    lan.wait_for(args.peers.unwrap_or(usize::MAX), args.wait)
        .await;
}

async fn list(context: &Context, args: &LanArgs, lan: &Lan) -> Outcome {
    look(args, lan).await;
    let contacts = context.all_contacts()?;
    let entries: Vec<_> = lan
        .peers()
        .iter()
        .map(|peer| entry(peer, &contacts))
        .collect();
    if context.output.is_json() {
        for entry in &entries {
            context.output.print(entry)?;
        }
    } else if !entries.is_empty() {
        let mut table = Table::new(&["name", "id", "contact", "address"]);
        for entry in &entries {
            table.row(vec![
                entry.name.clone().unwrap_or_default(),
                entry.peer.chars().take(10).collect(),
                entry.contact.clone().unwrap_or_default(),
                some(&entry.addresses),
            ]);
        }
        context.output.text(&table)?;
    }
    match entries.is_empty() {
        false => Ok(Status::Done),
        true => nobody(),
    }
}

/// The first address, and how many more there are: a line has 80 columns.
fn some(addresses: &[SocketAddr]) -> String {
    match addresses {
        [] => String::new(),
        [only] => only.to_string(),
        [first, more @ ..] => format!("{first} and {} more", more.len()),
    }
}

fn nobody() -> Outcome {
    let error = anyhow::anyhow!("nobody on this network was found");
    Err(Failure::new(Status::Unreachable, error)
        .hint("the others have to run `gimlet lan listen` or `gimlet up --lan`"))
}

fn entry(peer: &LanPeer, contacts: &Contacts) -> Entry {
    Entry {
        peer: peer.peer.to_string(),
        name: peer.name.as_ref().map(ToString::to_string),
        contact: contacts.name_of(peer.peer).map(ToString::to_string),
        addresses: peer.addrs.clone(),
    }
}

async fn broadcast(context: &Context, args: &LanArgs, lan: &Lan, text: &str) -> Outcome {
    look(args, lan).await;
    let answers = lan.broadcast(text.as_bytes()).await;
    for answer in &answers {
        context.output.print(&Told::from(answer))?;
    }
    let answered = answers.iter().filter(|answer| answer.outcome.is_answered());
    let summary = Summary {
        peers: answers.len(),
        answered: answered.count(),
    };
    context.output.print(&summary)?;
    match (summary.peers, summary.answered) {
        (0, _) => nobody(),
        (all, some) if some == all => Ok(Status::Done),
        (all, some) => Err(Failure::new(
            Status::Failed,
            anyhow::anyhow!("{} of {all} did not take it", all - some),
        )),
    }
}

async fn listen(
    context: &Context,
    endpoint: &Endpoint,
    mut lan: Lan,
    count: Option<u64>,
) -> Outcome {
    let contacts = context.all_contacts()?;
    let door = lan.door();
    let router = Router::new().on(lan::ALPN, move |connection| {
        let door = door.clone();
        async move { door.answer(connection).await }
    });
    let peer = endpoint.peer_id().to_string();
    context.output.print(&Heard::Ready { peer })?;
    let mut left = count;
    while left != Some(0) {
        tokio::select! {
            () = router.serve(endpoint) => break,
            message = lan.message() => {
                context.output.print(&heard(&lan, &contacts, message))?;
                left = left.map(|left| left - 1);
            }
        }
    }
    Ok(Status::Done)
}

fn heard(lan: &Lan, contacts: &Contacts, message: Message) -> Heard {
    let peers = lan.peers();
    let said = peers.iter().find(|peer| peer.peer == message.from);
    let name = contacts.name_of(message.from);
    let name = name.or_else(|| said.and_then(|peer| peer.name.as_ref()));
    Heard::Message {
        peer: message.from.to_string(),
        label: session::label(message.from, name),
        text: String::from_utf8_lossy(&message.content).into_owned(),
    }
}

impl From<&Answer> for Told {
    fn from(answer: &Answer) -> Self {
        let (outcome, after) = match &answer.outcome {
            Taken::Answered { after } => ("answered", Some(*after)),
            Taken::Full => ("full", None),
            Taken::Declined => ("declined", None),
            Taken::TooLong => ("too-long", None),
            // And what later versions know.
            _ => ("silent", None),
        };
        Self {
            peer: answer.peer.peer.to_string(),
            name: answer.peer.name.as_ref().map(ToString::to_string),
            outcome,
            after_ms: after.map(ms),
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.peer)
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short: String = self.peer.chars().take(10).collect();
        let label = self.name.as_deref().unwrap_or(&short);
        match self.after_ms {
            Some(after) => write!(f, "{label} has it, after {after} ms"),
            None => write!(f, "{label} does not have it: {}", self.outcome),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} answered", self.answered, self.peers)
    }
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready { peer } => write!(f, "Listening as {peer}; Ctrl-C leaves."),
            Self::Message { label, text, .. } => write!(f, "{label}: {}", printable(text)),
        }
    }
}
