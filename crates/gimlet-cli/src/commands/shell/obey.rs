//! What a typed line makes the shell do.

use std::pin::pin;
use std::time::Duration;

use tokio::time::timeout;

use super::asked::Asked;
use super::hall::Spoken;
use super::line::{self, Command, Line};
use super::{ALPNS, Shell, connected};
use crate::changes::Changes;
use crate::commands;
use crate::event::Event;
use crate::exit::{Failure, Status};
use crate::session::Found;
use crate::talk;

/// How long `punch` waits for the other side's program to let us in, before the next command has its turn.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(5);

impl Shell<'_> {
    /// Does what a line says; whether to leave.
    pub(super) async fn obey(&mut self, line: &str) -> bool {
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
                let report = commands::whoami::Report::of(self.context, &endpoint);
                let report = self.meanwhile(report).await;
                self.say(self.context.output.render(&report)).await;
            }
            Command::List => {
                self.need_sign_in()?;
                let listing = self
                    .meanwhile(endpoint.list())
                    .await
                    .map_err(Failure::request)?;
                self.say(commands::list::render(self.context.output, listing))
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
        let now = |label: &str| format!("Now talking to {label}.");
        let Some(with) = self.begin(peer, false, now).await? else {
            return Ok(());
        };
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
        let already = |label: &str| format!("You are talking to {label} already.");
        self.begin(peer, true, already).await.map(drop)
    }

    /// Turns to a peer whom we talk to, and says so, or who asks to talk; whether it is one of them.
    async fn talks_already(&mut self, peer: &str, saying: fn(&str) -> String) -> bool {
        match self.hall.select(peer) {
            Some(label) => {
                let said = saying(label);
                self.say(said).await;
                true
            }
            None => self.accept_instead(peer),
        }
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

    /// Begins a conversation: asks the peer for one, unless its own request comes first. Whom it is with; `None`
    /// where there was one before, or a request, and that is said or taken.
    async fn begin(
        &mut self,
        peer: &str,
        asks: bool,
        already: fn(&str) -> String,
    ) -> Result<Option<Found>, Failure> {
        if self.talks_already(peer, already).await {
            return Ok(None);
        }
        self.need_sign_in()?;
        if self.hall.is_full() {
            let error = anyhow::anyhow!("there are too many conversations");
            return Err(Failure::new(Status::Failed, error).hint("disconnect NAME ends one"));
        }
        let (endpoint, context) = (self.endpoint.clone(), self.context);
        let found = self.meanwhile(context.find(&endpoint, peer)).await?;
        // It may be called otherwise here than it was typed, and may have asked by now.
        let id = found.peer.to_string();
        if self.talks_already(&id, already).await {
            return Ok(None);
        }
        self.dialling = Some(found.clone());
        let asked = {
            let ask = talk::ask_found(context, &endpoint, (peer, &found), asks);
            let mut ask = pin!(ask);
            loop {
                tokio::select! {
                    asked = &mut ask => break Some(asked),
                    news = self.hall.next() => self.hear(news).await,
                }
                // Its request was taken, and ours is not made.
                if self.dialling.is_none() {
                    break None;
                }
            }
        };
        self.dialling = None;
        if let Some(conversation) = asked.transpose()? {
            self.hall.add(found.clone(), conversation, true);
            if asks {
                let label = &found.label;
                self.say(format_args!("Asked {label}; the answer may take a minute."))
                    .await;
            }
        }
        Ok(Some(found))
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
