//! `gimlet shell`: every command of a peer in one place, and conversations with several peers.
//!
//! One task, one `select!`. Commands run one after the other; what peers say is printed meanwhile.

mod asked;
mod connected;
mod hall;
mod line;

use std::future::{Future, pending};
use std::pin::pin;
use std::time::Duration;

use gimlet::{AcceptPolicy, Endpoint};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::args::AcceptArgs;
use crate::attempts::Recorder;
use crate::changes::Changes;
use crate::event::{Event, Who};
use crate::exit::{Failure, Outcome, Status};
use crate::policy::{self, Policy, Question};
use crate::session::{self, Context, Found};
use crate::talk;
use crate::terminal::{self, Input, Printer, Typed};
use asked::{Asked, Waiting};
use gimlet_apps::chat::{self, Conversation, Request};
use gimlet_apps::echo;
use hall::{Hall, News, Spoken};
use line::{Command, Line};

/// What the shell answers: conversations, and the punches of others.
const ALPNS: [&[u8]; 2] = [chat::ALPN, echo::ALPN];

/// How long `punch` waits for the other side's program to let us in, before the next command has its turn.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(5);

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
    asked: Waiting,
    /// The number of the last line typed.
    typed: u64,
    printer: Printer,
}

pub(super) async fn run(context: &Context, args: &AcceptArgs) -> Outcome {
    let accept = context.settings.accept(args)?;
    let Policy { policy, questions } = policy::new(accept);
    let (endpoint, recorder) = context.bind(&ALPNS, policy.clone()).await?;
    let ready = context.ready(&endpoint).await?;
    let (input, printer) = terminal::open()?;
    let name = context.settings.name.as_ref();
    let mut shell = Shell {
        context,
        changes: Changes::of(&endpoint).knowing(context.all_contacts()?),
        endpoint,
        recorder,
        policy,
        logged_out: false,
        hall: Hall::new(name.map_or("", |name| name.as_str())),
        asked: Waiting::default(),
        typed: 0,
        printer,
    };
    shell.tell(&Event::ready(&ready)).await;
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
                        self.typed = input.number();
                        if self.obey(&line).await {
                            return;
                        }
                    }
                    Typed::Interrupted => self.say("Ctrl-D or exit leaves.").await,
                    Typed::End => return,
                },
                news = self.hall.next() => self.hear(news).await,
                connection = self.endpoint.accept(), if !self.logged_out => {
                    let Some(connection) = connection else { return };
                    let with = self.changes.who(&connection);
                    self.hall.welcome(connection, with);
                }
                event = self.changes.next() => {
                    self.logged_out |= event.is_final();
                    self.tell(&event).await;
                }
                question = next_question(&mut questions) => self.ask(Asked::Connect(question)).await,
                () = self.asked.expiry() => self.expire().await,
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
            Command::ListConnected => {
                let connected = connected::render(self.context.output, &self.hall.lines());
                self.say(connected).await;
            }
            Command::Leave => match self.hall.leave_current() {
                Some(label) => self.say(format_args!("Left {label}.")).await,
                None => return Err(nobody_to_talk_to()),
            },
            Command::Disconnect(peer) => match self.hall.leave(peer) {
                Some(label) => self.say(format_args!("Left {label}.")).await,
                None => return Err(not_talking_to(peer)),
            },
            Command::Request(peer) => self.request(peer).await?,
            Command::Message(peer, text) => match self.hall.speak_to(peer, text, self.typed) {
                Spoken::Said => (),
                Spoken::Full(label) => return Err(full(&label)),
                Spoken::Nobody => return Err(not_talking_to(peer)),
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
        if self.accept_instead(peer) {
            return Ok(());
        }
        let (with, conversation) = self.begin(peer, false).await?;
        self.hall.add(with.clone(), conversation, true);
        self.accept_instead(&with.peer.to_string());
        // A script's next command finds it standing, or refused.
        let settled = async {
            while self.hall.is_asking(&with) {
                let news = self.hall.next().await;
                self.hear(news).await;
            }
        };
        let _ = timeout(SETTLE_TIMEOUT, settled).await;
        Ok(())
    }

    /// Asks the person there.
    async fn request(&mut self, peer: &str) -> Result<(), Failure> {
        if let Some(label) = self.hall.select(peer) {
            let already = format!("You are talking to {label} already.");
            self.say(already).await;
            return Ok(());
        }
        if self.accept_instead(peer) {
            return Ok(());
        }
        let (with, conversation) = self.begin(peer, true).await?;
        self.say(format_args!(
            "Asked {}; the answer may take a minute.",
            with.label
        ))
        .await;
        let id = with.peer.to_string();
        self.hall.add(with, conversation, true);
        // It may have asked while we dialled: then both want to.
        self.accept_instead(&id);
        Ok(())
    }

    /// Takes the request of a peer that we want to talk to ourselves; whether there was one.
    fn accept_instead(&mut self, peer: &str) -> bool {
        let asked = self.asked.take(peer);
        let was_asked = asked.is_some();
        match asked {
            Some(Asked::Talk(with, request)) => self.hall.add(with, request.accept(), true),
            Some(Asked::Connect(question)) => question.answer(true),
            None => (),
        }
        was_asked
    }

    /// Connects to a peer to talk to it.
    async fn begin(&mut self, peer: &str, asks: bool) -> Result<(Found, Conversation), Failure> {
        self.need_sign_in()?;
        if self.hall.is_full() {
            let error = anyhow::anyhow!("there are too many conversations");
            return Err(Failure::new(Status::Failed, error).hint("disconnect NAME ends one"));
        }
        let (endpoint, context) = (self.endpoint.clone(), self.context);
        self.meanwhile(talk::ask(context, &endpoint, peer, asks))
            .await
    }

    /// Signs in again, with new sockets. Conversations keep those they have.
    async fn login(&mut self) -> Result<(), Failure> {
        if !self.logged_out {
            self.say("You are signed in already.").await;
            return Ok(());
        }
        let (endpoint, recorder) = self.context.bind(&ALPNS, self.policy.clone()).await?;
        let ready = self.meanwhile(self.context.ready(&endpoint)).await?;
        self.changes = Changes::of(&endpoint).knowing(self.context.all_contacts()?);
        self.endpoint = endpoint;
        self.recorder = recorder;
        self.logged_out = false;
        self.tell(&Event::again(&ready)).await;
        Ok(())
    }

    async fn speak(&mut self, text: &str) -> Result<(), Failure> {
        match self.hall.speak(text, self.typed) {
            Spoken::Said => Ok(()),
            Spoken::Full(label) => Err(full(&label)),
            Spoken::Nobody => Err(nobody_to_talk_to()),
        }
    }

    async fn hear(&mut self, news: News) {
        match news {
            News::Event(event) => self.tell(&event).await,
            News::Delivered { event, typed } => match self.context.output.is_json() {
                true => self.tell(&event).await,
                false => self.printer.mark(typed).await,
            },
            News::Request(with, request) => self.requested(with, request).await,
        }
    }

    /// Somebody wants to talk. The person is asked where that is wished for, and not twice.
    async fn requested(&mut self, with: Found, request: Request) {
        let is_asked_already = matches!(self.policy, AcceptPolicy::Ask(_));
        if request.asks() && !is_asked_already && !self.hall.is_asking(&with) {
            self.ask(Asked::Talk(with, request)).await;
        } else if !self.hall.is_full() {
            self.hall.add(with, request.accept(), false);
        }
    }

    /// Waits for something, and shows what peers say meanwhile.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                news = self.hall.next() => self.hear(news).await,
            }
        }
    }

    async fn ask(&mut self, asked: Asked) {
        let who = Who::new(asked.who());
        if self.asked.add(asked) {
            self.tell(&Event::Asked { who }).await;
        }
    }

    /// Answers the request of that peer that is still open.
    fn answer(&mut self, peer: &str, yes: bool) -> Result<(), Failure> {
        let Some(asked) = self.asked.take(peer) else {
            let error = anyhow::anyhow!("{peer} is not waiting for an answer");
            return Err(Failure::new(Status::Failed, error));
        };
        match (asked, yes) {
            (Asked::Connect(question), yes) => question.answer(yes),
            (Asked::Talk(with, request), true) => self.hall.add(with, request.accept(), false),
            (Asked::Talk(_, request), false) => request.deny(),
        }
        Ok(())
    }

    /// Forgets requests that can be answered no more.
    async fn expire(&mut self) {
        for with in self.asked.expire() {
            let who = Who::new(&with);
            self.tell(&Event::Expired { who }).await;
        }
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
        for lost in self.hall.leave_all().await {
            self.tell(&lost).await;
        }
        self.printer.flush().await;
        self.context.leave(&self.endpoint, self.recorder).await;
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

fn not_talking_to(peer: &str) -> Failure {
    let error = anyhow::anyhow!("you are not talking to {peer}");
    Failure::new(Status::Failed, error).hint("list connected shows whom you are talking to")
}

fn full(label: &str) -> Failure {
    let error = anyhow::anyhow!("not sent: too many lines wait for {label} already");
    Failure::new(Status::Failed, error)
}

fn nobody_to_talk_to() -> Failure {
    let error = anyhow::anyhow!("there is nobody to talk to yet");
    Failure::new(Status::Failed, error).hint("punch PEER connects; list shows who is there")
}
