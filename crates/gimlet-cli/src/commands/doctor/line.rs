//! One stage as it is printed: an object for programs, some lines within 80 columns for people.

use std::fmt;

use gimlet::doctor::{Diagnosis, Fact, Health, Verdict};
use serde::Serialize;

use crate::exit::Failure;
use crate::output::printable_line;
use crate::width::wrapped;

/// Columns of a terminal that everybody has.
const WIDTH: usize = 80;

/// Where the text begins: after the mark and the longest stage.
const INDENT: usize = 22;

/// What was found at one stage, or at the end the verdict.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    stage: &'static str,
    ok: bool,
    found: String,
    advice: Option<String>,
    details: Option<Details>,
    /// What a person reads for the stage.
    #[serde(skip)]
    title: String,
    #[serde(skip)]
    health: Health,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Details {
    Fact(Fact),
    Verdict {
        verdict: &'static str,
        failed_stage: Option<&'static str>,
    },
}

impl Line {
    pub(super) fn new(fact: &Fact) -> Self {
        let words = fact.words();
        Self {
            stage: fact.stage().name(),
            ok: words.health != Health::Bad,
            found: printable_line(&words.found),
            advice: words.advice.map(str::to_owned),
            details: Some(Details::Fact(fact.clone())),
            title: fact.stage().to_string(),
            health: words.health,
        }
    }

    /// A stage at which we could not even begin.
    pub(super) fn failed(stage: &'static str, failure: &Failure) -> Self {
        Self {
            stage,
            ok: false,
            found: printable_line(&format!("{:#}", failure.error)),
            advice: failure.hint.clone(),
            details: None,
            title: stage.to_owned(),
            health: Health::Bad,
        }
    }

    pub(super) fn verdict(diagnosis: &Diagnosis) -> Self {
        let verdict = match diagnosis.verdict() {
            Verdict::Fine => "fine",
            Verdict::Direct => "direct",
            Verdict::RelayOnly(_) => "relay-only",
            Verdict::Wrong(_) => "wrong",
            Verdict::Unreachable(_) => "unreachable",
        };
        Self {
            stage: "verdict",
            ok: matches!(diagnosis.verdict(), Verdict::Fine | Verdict::Direct),
            found: printable_line(&diagnosis.sentence()),
            advice: None,
            details: Some(Details::Verdict {
                verdict,
                failed_stage: diagnosis.failed().map(gimlet::doctor::Stage::name),
            }),
            title: String::new(),
            health: Health::Good,
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.stage == "verdict" {
            let bold = anstyle::Style::new().bold();
            let text = wrapped(&self.found, WIDTH).join("\n");
            return write!(f, "\n{bold}{text}{bold:#}");
        }
        let (color, mark) = match self.health {
            Health::Good => (anstyle::AnsiColor::Green, "ok"),
            Health::Notice => (anstyle::AnsiColor::Yellow, "note"),
            Health::Bad => (anstyle::AnsiColor::Red, "FAIL"),
        };
        let style = color.on_default();
        let title = INDENT - 6;
        write!(f, "{style}{mark:<6}{style:#}{:<title$}", self.title)?;
        let found = wrapped(&self.found, WIDTH - INDENT);
        write!(f, "{}", found.join(&format!("\n{:INDENT$}", "")))?;
        if let Some(advice) = &self.advice {
            let advice = wrapped(advice, WIDTH - INDENT - 3).join(&format!("\n{:INDENT$}   ", ""));
            write!(f, "\n{:INDENT$}-> {advice}", "")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gimlet::doctor::{IntroductionFact, ServerFact, TcpAnswer};

    #[test]
    fn a_stage_fits_into_80_columns_with_its_advice_below() {
        let addr = "[2001:db8:1111:2222:3333:4444:5555:6666]:13000"
            .parse()
            .unwrap();
        let tcp = TcpAnswer::There;
        for fact in [
            Fact::Server(ServerFact::Silent { addr, tcp }),
            Fact::Introduction(IntroductionFact::Declined),
        ] {
            let text = Line::new(&fact).to_string();
            let text = anstream::adapter::strip_str(&text).to_string();
            assert!(text.starts_with("FAIL  "), "{text}");
            assert!(text.contains("\n                      -> "), "{text}");
            assert!(
                text.lines().all(|line| line.chars().count() <= WIDTH),
                "{text}"
            );
        }
    }

    #[test]
    fn an_object_has_the_same_keys_at_every_stage() {
        let fact = Fact::Introduction(IntroductionFact::Declined);
        let diagnosis = Diagnosis {
            facts: vec![fact.clone()],
            peer: None,
        };
        for line in [Line::new(&fact), Line::verdict(&diagnosis)] {
            let value = serde_json::to_value(&line).unwrap();
            let mut keys: Vec<_> = value
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .collect();
            keys.sort_unstable();
            assert_eq!(keys, ["advice", "details", "found", "ok", "stage"]);
        }
    }
}
