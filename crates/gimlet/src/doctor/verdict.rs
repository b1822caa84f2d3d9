//! The one sentence at the end.

use super::{
    Fact, HandshakeFact, Health, IntroductionFact, PeerFact, RelayFact, ServerFact, Stage,
};

/// What all stages together come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// This side is in order; no peer was asked for.
    Fine,
    /// The session is direct.
    Direct,
    /// The session works over the relay only, because of this stage.
    RelayOnly(Stage),
    /// Something is wrong at this stage.
    Wrong(Stage),
    /// Nobody is reachable, because of this stage.
    Unreachable(Stage),
}

/// What was found, in order, and what it comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnosis {
    /// Stage by stage. What comes after a stage that everything else needs is not there.
    pub facts: Vec<Fact>,
    /// How a person calls the peer, where there is one.
    pub peer: Option<String>,
}

impl Diagnosis {
    /// The stage that failed: with a session or on the way to one the first that has to do with the
    /// peer, else the first at all.
    pub fn failed(&self) -> Option<Stage> {
        self.worst().map(Fact::stage)
    }

    fn worst(&self) -> Option<&Fact> {
        let bad = || {
            self.facts
                .iter()
                .filter(|fact| fact.health() == Health::Bad)
        };
        let with_peer = bad().find(|fact| fact.stage().is_with_peer());
        with_peer.or_else(|| bad().next())
    }

    fn has(&self, stage: Stage) -> bool {
        let good = |fact: &&Fact| fact.stage() == stage && fact.health() != Health::Bad;
        self.facts.iter().any(|fact| good(&fact))
    }

    /// What it comes to.
    pub fn verdict(&self) -> Verdict {
        if self.has(Stage::Direct) {
            return Verdict::Direct;
        }
        match self.worst() {
            None => Verdict::Fine,
            Some(fact) if self.has(Stage::Handshake) => Verdict::RelayOnly(fact.stage()),
            Some(fact) if is_silence(fact) => Verdict::Unreachable(fact.stage()),
            Some(fact) => Verdict::Wrong(fact.stage()),
        }
    }

    /// The verdict in a sentence.
    pub fn sentence(&self) -> String {
        let peer = self.peer.as_deref().unwrap_or("the peer");
        let also = |stage: Option<Stage>| match stage {
            Some(stage) => format!(" Look at \"{stage}\" all the same."),
            None => String::new(),
        };
        match self.verdict() {
            Verdict::Fine => "Everything on this side is in order.".to_owned(),
            Verdict::Direct => {
                format!("{peer} is connected directly.{}", also(self.failed()))
            }
            Verdict::RelayOnly(stage) => format!(
                "{peer} is connected, but only through the server: it fails at \"{stage}\"."
            ),
            Verdict::Wrong(stage) if stage.is_with_peer() => {
                format!("{peer} can't be connected: it fails at \"{stage}\".")
            }
            Verdict::Wrong(stage) => format!("Something is wrong on this side: see \"{stage}\"."),
            Verdict::Unreachable(stage) if stage.is_with_peer() => {
                format!("{peer} can't be reached: it fails at \"{stage}\".")
            }
            Verdict::Unreachable(stage) => {
                format!("Nobody can be reached from here: it fails at \"{stage}\".")
            }
        }
    }
}

/// Whether it fails because nobody answers, rather than because somebody says no.
fn is_silence(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::Network(_)
            | Fact::Server(
                ServerFact::Unresolved { .. }
                    | ServerFact::Silent { .. }
                    | ServerFact::NoHandshake { .. }
            )
            | Fact::Peer(PeerFact::Offline { .. } | PeerFact::Unknown)
            | Fact::Introduction(IntroductionFact::Offline | IntroductionFact::Unanswered)
            | Fact::Relay(RelayFact::Silent)
            | Fact::Handshake(HandshakeFact::Lost { .. })
    )
}
