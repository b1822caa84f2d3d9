//! `gimlet shell`: every command of a peer in one place, and conversations with several peers.
//!
//! One task, one `select!`. Commands run one after the other; what peers say is printed meanwhile.

mod hall;
mod line;

use std::future::{Future, pending};
use std::pin::pin;

use gimlet::{AcceptPolicy, Endpoint};
use tokio::sync::mpsc;

use crate::args::AcceptArgs;
use crate::attempts::Recorder;
use crate::changes::Changes;
use crate::describe;
use crate::event::Event;
use crate::exit::{Failure, Outcome, Status};
use crate::policy::{self, Policy, Question};
use crate::session::{self, Context};
use crate::terminal::{self, Input, Printer, Typed};
use gimlet_apps::{chat, echo};
use hall::Hall;
use line::{Command, Line};

/// What the shell answers: conversations, and the punches of others.
const ALPNS: [&[u8]; 2] = [chat::ALPN, echo::ALPN];

/// The shell's state.
struct Shell<'a> {
    context: &'a Context,
    endpoint: Endpoint,
    recorder: Recorder,
    changes: Changes,
    policy: AcceptPolicy,
    /// Whether the person has signed out. A server that is lost is signed in to again by itself.
    logged_out: bool,
    hall: Hall,
    /// Requests that wait for `accept` or `deny`.
    asked: Vec<Question>,
    printer: Printer,
}

pub(super) async fn run(context: &Context, args: &AcceptArgs) -> Outcome {
    let accept = context.settings.accept(args)?;
    let Policy { policy, questions } = policy::new(accept);
    let (endpoint, recorder) = context.bind(&ALPNS, policy.clone()).await?;
    let signed_in = session::online(&endpoint).await?;
    let (input, printer) = terminal::open()?;
    let name = context.settings.name.as_ref();
    let mut shell = Shell {
        context,
        changes: Changes::of(&endpoint),
        endpoint,
        recorder,
        policy,
        logged_out: false,
        hall: Hall::new(name.map_or_else(String::new, ToString::to_string)),
        asked: Vec::new(),
        printer,
    };
    shell.tell(&Event::ready(&shell.endpoint, &signed_in)).await;
    if !context.output.is_json() {
        shell.say("help lists the commands.").await;
    }
    shell.run(input, questions).await;
    shell.leave().await;
    Ok(Status::Done)
}

impl Shell<'_> {
    async fn run(&mut self, mut input: Input, mut questions: Option<mpsc::Receiver<Question>>) {
        loop {
            let prompt = self.hall.prompt();
            tokio::select! {
                typed = input.next(&prompt) => match typed {
                    Typed::Line(line) => {
                        if self.obey(&line).await {
                            return;
                        }
                    }
                    Typed::Interrupted => self.say("Ctrl-D or exit leaves.").await,
                    Typed::End => return,
                },
                event = self.hall.next() => self.tell(&event).await,
                connection = self.endpoint.accept(), if !self.logged_out => {
                    let Some(connection) = connection else { return };
                    let with = self.changes.who(&connection);
                    self.hall.welcome(connection, with);
                }
                event = self.changes.next() => {
                    self.logged_out |= event.is_final();
                    self.tell(&event).await;
                }
                question = next_question(&mut questions) => self.ask(question).await,
                () = session::interrupted() => return,
            }
        }
    }

    /// Does what a line says; whether to leave.
    async fn obey(&mut self, line: &str) -> bool {
        let done = match line::parse(line) {
            Line::Empty => Ok(()),
            Line::Misused(usage) => {
                let advice = "begin with a blank to send it as text";
                self.say(format_args!("usage: {usage}; {advice}")).await;
                Ok(())
            }
            Line::Text(text) => self.speak(text).await,
            Line::Command(Command::Exit) => return true,
            Line::Command(command) => self.command(command).await,
        };
        if let Err(failure) = done {
            self.say(failure).await;
        }
        false
    }

    async fn command(&mut self, command: Command<'_>) -> Result<(), Failure> {
        let endpoint = self.endpoint.clone();
        match command {
            Command::Help => self.say(line::HELP).await,
            // Seen to by the caller.
            Command::Exit => (),
            Command::Whoami => {
                let report = super::whoami::Report::of(self.context, &endpoint);
                let report = self.meanwhile(report).await;
                self.say(self.context.output.render(&report)).await;
            }
            Command::List => {
                self.need_sign_in()?;
                let listing = self
                    .meanwhile(endpoint.list())
                    .await
                    .map_err(Failure::request)?;
                self.say(super::list::render(self.context.output, listing))
                    .await;
            }
            Command::Punch(peer) => self.punch(peer).await?,
            Command::Leave => match self.hall.leave_current().await {
                Some(label) => self.say(format_args!("Left {label}.")).await,
                None => return Err(nobody_to_talk_to()),
            },
            Command::Accept(peer) => self.answer(peer, true)?,
            Command::Deny(peer) => self.answer(peer, false)?,
            Command::Login => self.login().await?,
            Command::Logout => {
                self.need_sign_in()?;
                endpoint.sign_out().await;
                self.logged_out = true;
                self.say("Signed out. Direct conversations go on; login signs in again.")
                    .await;
            }
        }
        Ok(())
    }

    async fn punch(&mut self, peer: &str) -> Result<(), Failure> {
        if let Some(label) = self.hall.select(peer) {
            let now = format!("Now talking to {label}.");
            self.say(now).await;
            return Ok(());
        }
        self.need_sign_in()?;
        let (context, endpoint) = (self.context, self.endpoint.clone());
        let dialled = self
            .meanwhile(context.dial(&endpoint, peer, chat::ALPN))
            .await;
        let (with, connection) = dialled?;
        let event = self.hall.begin(connection, with).await?;
        self.tell(&event).await;
        Ok(())
    }

    /// Signs in again, with new sockets. Conversations keep those they have.
    async fn login(&mut self) -> Result<(), Failure> {
        if !self.logged_out {
            self.say("You are signed in already.").await;
            return Ok(());
        }
        let (endpoint, recorder) = self.context.bind(&ALPNS, self.policy.clone()).await?;
        let signed_in = self.meanwhile(session::online(&endpoint)).await?;
        self.changes = Changes::of(&endpoint);
        self.endpoint = endpoint;
        self.recorder = recorder;
        self.logged_out = false;
        self.tell(&Event::SignedIn {
            observed: describe::observed(&signed_in),
            transport: describe::transport(signed_in.transport),
        })
        .await;
        Ok(())
    }

    async fn speak(&mut self, text: &str) -> Result<(), Failure> {
        match self.hall.speak(text).await {
            Some(Ok(())) => (),
            Some(Err(event)) => self.tell(&event).await,
            None => return Err(nobody_to_talk_to()),
        }
        Ok(())
    }

    /// Waits for something, and shows what peers say meanwhile.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                event = self.hall.next() => self.tell(&event).await,
            }
        }
    }

    async fn ask(&mut self, question: Question) {
        let label = &question.who.label;
        self.say(format_args!(
            "{label} wants to talk: accept {label}, or deny {label}"
        ))
        .await;
        self.asked.push(question);
    }

    /// Answers the request of that peer that is still open.
    fn answer(&mut self, peer: &str, yes: bool) -> Result<(), Failure> {
        self.asked.retain(|question| !question.is_expired());
        let Some(index) = self.asked.iter().position(|question| question.who.is(peer)) else {
            let error = anyhow::anyhow!("{peer} is not waiting for an answer");
            return Err(Failure::new(Status::Failed, error));
        };
        self.asked.swap_remove(index).answer(yes);
        Ok(())
    }

    fn need_sign_in(&self) -> Result<(), Failure> {
        match self.logged_out {
            false => Ok(()),
            true => Err(
                Failure::new(Status::Failed, anyhow::anyhow!("you are not signed in"))
                    .hint("login signs in"),
            ),
        }
    }

    async fn tell(&self, event: &Event) {
        self.say(self.context.output.render(event)).await;
    }

    async fn say(&self, text: impl std::fmt::Display) {
        self.printer.print(text).await;
    }

    /// Leaves every conversation, and the server.
    async fn leave(mut self) {
        self.hall.leave_all().await;
        self.printer.flush().await;
        self.endpoint.sign_out().await;
        self.endpoint.close().await;
        self.recorder.finish().await;
    }
}

async fn next_question(questions: &mut Option<mpsc::Receiver<Question>>) -> Question {
    if let Some(questions) = questions
        && let Some(question) = questions.recv().await
    {
        return question;
    }
    pending().await
}

fn nobody_to_talk_to() -> Failure {
    let error = anyhow::anyhow!("there is nobody to talk to yet");
    Failure::new(Status::Failed, error).hint("punch PEER connects; list shows who is there")
}
