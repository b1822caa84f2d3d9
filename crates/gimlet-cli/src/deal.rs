//! Short codes at the command line: offering one, using one, and keeping who was met.

mod qr;

use std::fmt;
use std::future::pending;
use std::io::{self, IsTerminal as _};
use std::time::Duration;

use gimlet::{Connection, Endpoint, Name, PeerId};
use gimlet_apps::code::{self, ClaimError, Code, Met, Offer, OfferEvent, Options, Refusal};
use gimlet_apps::{NOT_SERVED, files};
use serde::Serialize;

use crate::args::CodeArgs;
use crate::exit::{Failure, Status};
use crate::output::printable_line;
use crate::session::{self, Context};
use crate::terminal::{self, Typed};

/// What is told about a code.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Told {
    /// The code, for the other side's person.
    Code { code: String, expires_s: u64 },
    /// The other side is the one that has the code.
    Met {
        peer: String,
        #[serde(skip)]
        label: String,
    },
    /// Somebody came with a code that is spent.
    CodeRefused { peer: String, reason: String },
    /// The other side is a contact now.
    Kept { peer: String, name: String },
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code { code, .. } => f.write_str(code),
            Self::Met { label, .. } => write!(f, "Met {label}, who has the code."),
            Self::CodeRefused { peer, reason } => write!(f, "Refused {peer}: {reason}."),
            Self::Kept { name, .. } => write!(f, "Kept as {name}."),
        }
    }
}

/// Prints what is no result: for programs all the same.
fn tell(context: &Context, told: &Told) -> io::Result<()> {
    match context.output.is_json() {
        true => context.output.print(told),
        false => {
            context.output.note(told);
            Ok(())
        }
    }
}

/// A code on offer, and who has used it.
pub(crate) struct Deal {
    offer: Offer,
    met: Option<Met>,
}

impl Deal {
    /// Makes a code and shows it.
    pub(crate) async fn offer(
        context: &Context,
        endpoint: &Endpoint,
        args: &CodeArgs,
    ) -> Result<Self, Failure> {
        session::online(endpoint).await?;
        let options = Options {
            words: args.words.into(),
            ttl: args.expires,
        };
        let offer = code::offer(endpoint, options).await;
        let offer = offer.map_err(|error| Failure::new(Status::Failed, error))?;
        let code = offer.code().to_string();
        let left = offer.expires_at() - tokio::time::Instant::now();
        let expires_s = left.as_secs_f64().round() as u64;
        if args.qr && !context.output.is_json() {
            match qr::text(&code) {
                Some(picture) => context.output.text(&picture)?,
                None => context.output.note("The code is too long for a QR code."),
            }
        }
        context.output.note(format_args!(
            "On the other machine, within {}: gimlet recv {code}",
            humantime::format_duration(Duration::from_secs(expires_s))
        ));
        context.output.print(&Told::Code { code, expires_s })?;
        Ok(Self { offer, met: None })
    }

    /// Takes what belongs to the code; the rest is given back if it is of the one that has the code.
    pub(crate) async fn admit(&self, connection: Connection) -> Option<Connection> {
        if connection.alpn() == code::ALPN {
            self.offer.door().answer(connection).await;
            return None;
        }
        let met = self.met.as_ref().map(|met| met.peer);
        if met == Some(connection.peer()) {
            return Some(connection);
        }
        connection.close(NOT_SERVED, b"not served");
        None
    }

    /// Waits for what comes of the code and tells it.
    ///
    /// # Errors
    ///
    /// The code is spent, and nobody was met.
    pub(crate) async fn follow(
        &mut self,
        context: &Context,
        keep: Option<&Name>,
    ) -> Result<(), Failure> {
        let spent = |why: String| Failure::new(Status::Failed, anyhow::anyhow!(why));
        let again = "the same command makes a new code";
        match self.offer.event().await {
            Some(OfferEvent::Met(met)) => {
                greet(context, met.peer, keep)?;
                self.met = Some(met);
                Ok(())
            }
            Some(OfferEvent::Guessed { by }) => Err(spent(format!(
                "{} tried a wrong code, so this one is spent: a slip of whoever you told it, or an \
                 attack",
                by.short()
            ))
            .hint(again)),
            Some(OfferEvent::Expired) => {
                Err(spent("nobody used the code in time".to_owned()).hint(again))
            }
            Some(OfferEvent::Late { by, told }) => {
                let reason = match told {
                    Refusal::Used => "it came with the code after it was used",
                    _ => "it came with a code that is spent",
                };
                Ok(tell(
                    context,
                    &Told::CodeRefused {
                        peer: by.to_string(),
                        reason: reason.to_owned(),
                    },
                )?)
            }
            Some(_) => Ok(()),
            None => pending().await,
        }
    }

    /// Who was met, if anybody.
    pub(crate) fn met(&self) -> Option<PeerId> {
        self.met.as_ref().map(|met| met.peer)
    }
}

/// What an endpoint that offers a code is bound with.
pub(crate) const ALPNS: [&[u8]; 2] = [files::ALPN, code::ALPN];

/// Finds who offers a code.
pub(crate) async fn claim(
    context: &Context,
    endpoint: &Endpoint,
    code: &Code,
    keep: Option<&Name>,
) -> Result<Met, Failure> {
    let met = code::claim(endpoint, code).await.map_err(failure)?;
    greet(context, met.peer, keep)?;
    Ok(met)
}

fn failure(error: ClaimError) -> Failure {
    match error {
        ClaimError::Request(error) => Failure::request(error),
        ClaimError::Connect(error) => Failure::connect(error, "who offers the code"),
        error @ (ClaimError::Unknown { .. } | ClaimError::Lost) => {
            Failure::new(Status::Unreachable, error)
        }
        error @ (ClaimError::Refused(_) | ClaimError::NotThem | ClaimError::Malformed(_)) => {
            Failure::new(Status::Failed, error)
        }
    }
}

/// Tells who was met, and keeps it under the name asked for. A name that can't be had is told; what
/// the code was for goes on.
fn greet(context: &Context, peer: PeerId, keep: Option<&Name>) -> Result<(), Failure> {
    let known = context.all_contacts()?.name_of(peer).cloned();
    let label = session::label(peer, known.as_ref());
    let told = Told::Met {
        peer: peer.to_string(),
        label,
    };
    tell(context, &told)?;
    match keep {
        Some(name) => keep_as(context, peer, name),
        None => Ok(()),
    }
}

fn keep_as(context: &Context, peer: PeerId, name: &Name) -> Result<(), Failure> {
    match context.keep(name, peer) {
        Ok(kept) => Ok(tell(
            context,
            &Told::Kept {
                peer: peer.to_string(),
                name: kept.name.to_string(),
            },
        )?),
        Err(failure) => {
            anstream::eprintln!("{failure}");
            Ok(())
        }
    }
}

/// Asks a person at the terminal whether who was met is to be kept, unless that was said already.
pub(crate) async fn ask_to_keep(context: &Context, peer: PeerId, keep: Option<&Name>) {
    let person = io::stdin().is_terminal() && io::stdout().is_terminal();
    let known = (context.all_contacts()).is_ok_and(|all| all.name_of(peer).is_some());
    if keep.is_some() || known || !person || !context.output.talks() {
        return;
    }
    let Ok((mut input, printer)) = terminal::open() else {
        return;
    };
    let prompt = format!(
        "Keep {} as a contact? A name, or Enter for no: ",
        peer.short()
    );
    while let Typed::Line(line) = input.next(&prompt).await {
        let line = line.trim();
        if line.is_empty() {
            break;
        }
        match line.parse::<Name>() {
            Ok(name) => match context.keep(&name, peer) {
                Ok(_) => {
                    printer.print(format_args!("Kept as {name}.")).await;
                    break;
                }
                Err(failure) => printer.print(failure).await,
            },
            Err(error) => {
                let said = format!("{}: {error}", printable_line(line));
                printer.print(said).await;
            }
        }
    }
    printer.flush().await;
}
