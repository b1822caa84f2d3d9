//! `gimlet publish`: lines, files or arguments to every subscriber of this peer.

mod input;

use std::fmt;
use std::pin::pin;
use std::time::Duration;

use gimlet::{Endpoint, PeerId};
use gimlet_apps::Router;
use gimlet_apps::topic::{self, Config, Event, Limits, Publisher};
use serde::Serialize;
use tokio::sync::broadcast;
use tokio::time::{Instant, sleep_until, timeout};

use crate::args::PublishArgs;
use crate::exit::{Failure, Outcome, Status};
use crate::output::{Output, printable_line};
use crate::policy;
use crate::session::{self, Context};
use input::Input;

/// How long a subscriber that is connected may take to have the last messages, beyond `--stay`.
const DELIVERY: Duration = Duration::from_secs(60);

/// Connections of subscribers. Each costs a few tasks and buffers.
const MAX_CONNECTIONS: usize = 4096;

/// What a program reads.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Line {
    Ready {
        peer: String,
        name: Option<String>,
        topic: String,
    },
    Published {
        topic: String,
        seq: u64,
        bytes: usize,
    },
    Subscribed {
        peer: String,
        topic: String,
    },
    Unsubscribed {
        peer: String,
        topic: String,
    },
    Done {
        messages: u64,
        subscribers: usize,
        behind: usize,
    },
}

pub(super) async fn run(context: &Context, args: &PublishArgs) -> Outcome {
    let policy = policy::without_asking(context.settings.accept(&args.accept)?)?;
    let input = Input::new(args)?;
    let config = Config {
        limits: Limits {
            keep: args.keep,
            keep_bytes: args.keep_bytes,
        },
        state: args.state.clone(),
    };
    let publisher = Publisher::start(config).await?;
    let router = Router::new()
        .on(topic::ALPN, publisher.handler())
        .limit(MAX_CONNECTIONS);
    let work = async |endpoint: &Endpoint| {
        tokio::select! {
            done = publish(context, args, endpoint, &publisher, input) => done,
            () = router.serve(endpoint) => Ok(Status::Done),
        }
    };
    context.with(&[topic::ALPN], policy, work).await
}

/// Publishes to the end of the input, and stays for those who have not everything yet.
async fn publish(
    context: &Context,
    args: &PublishArgs,
    endpoint: &Endpoint,
    publisher: &Publisher,
    mut input: Input,
) -> Outcome {
    let output = context.output;
    let mut events = publisher.events();
    let ready = session::unless_interrupted(context.ready(endpoint)).await?;
    let called = ready.called();
    let topic = match args.topic.as_str() {
        "main" => String::new(),
        topic => format!(" --topic {topic}"),
    };
    output.note(format_args!(
        "Publishing; on the other side: gimlet subscribe {called}{topic}"
    ));
    tell(
        output,
        &Line::Ready {
            peer: ready.peer.to_string(),
            name: ready.name.as_ref().map(ToString::to_string),
            topic: args.topic.to_string(),
        },
    )?;
    let mut messages = 0;
    let mut interrupted = pin!(session::interrupted());
    loop {
        let payload = tokio::select! {
            payload = input.next() => payload?,
            event = events.recv() => {
                show(output, event)?;
                continue;
            }
            () = &mut interrupted => return Ok(Status::Done),
        };
        let Some(payload) = payload else { break };
        let bytes = payload.len();
        let seq = publisher.publish(&args.topic, payload).await?;
        messages += 1;
        let topic = args.topic.to_string();
        tell(output, &Line::Published { topic, seq, bytes })?;
    }
    let until = Instant::now() + args.stay;
    let mut delivered = pin!(async {
        sleep_until(until).await;
        // Who does not take it has its chance with the next command, if there is a state folder.
        let _ = timeout(DELIVERY, publisher.delivered()).await;
    });
    loop {
        tokio::select! {
            () = &mut delivered => break,
            event = events.recv() => show(output, event)?,
            () = &mut interrupted => break,
        }
    }
    let status = publisher.status();
    let done = Line::Done {
        messages,
        subscribers: status.subscribers,
        behind: status.behind,
    };
    output.note(&done);
    tell(output, &done)?;
    Ok(Status::Done)
}

/// Shows who comes and goes.
fn show(output: Output, event: Result<Event, broadcast::error::RecvError>) -> Result<(), Failure> {
    let line = match event {
        Ok(Event::Subscribed { peer, topic }) => Line::Subscribed {
            peer: peer.to_string(),
            topic: topic.to_string(),
        },
        Ok(Event::Unsubscribed { peer, topic }) => Line::Unsubscribed {
            peer: peer.to_string(),
            topic: topic.to_string(),
        },
        // Nobody needs all of them.
        Ok(_) | Err(_) => return Ok(()),
    };
    output.note(&line);
    tell(output, &line)
}

/// For programs only; people are told on standard error.
fn tell(output: Output, line: &Line) -> Result<(), Failure> {
    if output.is_json() {
        output.print(line)?;
    }
    Ok(())
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |peer: &str| {
            peer.parse()
                .map_or(peer.to_owned(), |id: PeerId| id.short())
        };
        match self {
            Self::Ready { peer, .. } => write!(f, "Publishing as {peer}."),
            Self::Published { seq, bytes, .. } => write!(f, "Message {seq}, {bytes} bytes."),
            Self::Subscribed { peer, topic } => {
                write!(f, "{} hears {}.", short(peer), printable_line(topic))
            }
            Self::Unsubscribed { peer, topic } => {
                write!(
                    f,
                    "{} hears {} no more.",
                    short(peer),
                    printable_line(topic)
                )
            }
            Self::Done {
                messages,
                subscribers,
                behind,
            } => {
                let have = subscribers - behind;
                write!(
                    f,
                    "Published {messages}; {have} of {subscribers} subscribers have all."
                )
            }
        }
    }
}
