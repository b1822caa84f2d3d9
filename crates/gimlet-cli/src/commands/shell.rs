//! `gimlet shell`: every command of a peer in one place, and conversations with several peers.
//!
//! One task, one `select!`. Commands run one after the other; what peers say is printed meanwhile.

mod asked;
mod connected;
mod hall;
mod line;
mod obey;

use std::future::{Future, pending};
use std::pin::pin;

use gimlet::{AcceptPolicy, Endpoint};
use tokio::sync::mpsc;

use crate::args::AcceptArgs;
use crate::attempts::Recorder;
use crate::changes::Changes;
use crate::event::{Event, Who};
use crate::exit::{Failure, Outcome, Status};
use crate::policy::{self, Policy, Question};
use crate::session::{self, Context, Found};
use crate::terminal::{self, Input, Printer, Typed};
use asked::{Asked, Waiting};
use gimlet_apps::chat::{self, Request};
use gimlet_apps::echo;
use hall::{Hall, Meeting, News};

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
    /// Whom we dial to ask for a conversation, until there is one.
    dialling: Option<Found>,
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
        dialling: None,
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
        if !request.is_open() {
            return;
        }
        if let Some(dialled) = self.dialling.take_if(|dialled| dialled.peer == with.peer) {
            // Whom we are about to ask has asked us.
            return self.hall.add(dialled, request.accept(), true);
        }
        match self.hall.meet(&with, &request) {
            Meeting::Ours => self.hall.hold(with, request),
            Meeting::Theirs => self.hall.add(with, request.accept(), false),
            Meeting::Nothing if request.asks() && !is_asked_already => {
                self.ask(Asked::Talk(with, request)).await;
            }
            Meeting::Nothing if self.hall.is_full() => (),
            Meeting::Nothing => self.hall.add(with, request.accept(), false),
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
