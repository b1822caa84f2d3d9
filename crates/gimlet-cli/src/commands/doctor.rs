//! `gimlet doctor [PEER]`: each stage on the way to a direct session, what was found, what to do.

mod line;

use gimlet::doctor::{ConfigurationFact, Diagnosis, Fact, Options, Verdict};
use gimlet::{Endpoint, PeerId};

use crate::args::DoctorArgs;
use crate::exit::{Failure, Outcome, Status};
use crate::session::Context;
use gimlet_apps::echo;
use line::Line;

pub(super) async fn run(context: &Context, args: &DoctorArgs) -> Outcome {
    let me = match context.identity() {
        Ok(identity) => identity.peer_id(),
        Err(failure) => return unusable(context, &Line::failed("configuration", &failure)),
    };
    if context.settings.servers.is_empty() {
        return without_server(context, me);
    }
    let contacts = match context.all_contacts() {
        Ok(contacts) => contacts,
        Err(failure) => return unusable(context, &Line::failed("configuration", &failure)),
    };
    let peer = args.peer.as_ref();
    let peer = peer.map(|text| {
        let contact = contacts.named(text);
        contact.map_or_else(|| text.clone(), |contact| contact.peer.to_string())
    });
    let options = Options {
        peer,
        alpn: echo::ALPN.to_vec(),
        wait_direct: args.wait_direct,
        try_tcp: true,
    };
    // Whoever reads our output may leave; the examination then goes on and nobody hears it.
    let mut printed = Ok(());
    let work = async |endpoint: &Endpoint| {
        let tell = |fact: &Fact| {
            let line = Line::new(fact);
            printed =
                std::mem::replace(&mut printed, Ok(())).and_then(|()| context.output.print(&line));
        };
        Ok(endpoint.examine(&options, tell).await)
    };
    let diagnosis = match context.dialling(work).await {
        Ok(diagnosis) => diagnosis,
        Err(failure) => return unusable(context, &Line::failed("network", &failure)),
    };
    printed?;
    conclude(context, &diagnosis)
}

/// What stops us before there is anything to examine.
fn unusable(context: &Context, line: &Line) -> Outcome {
    context.output.print(line)?;
    Ok(Status::Failed)
}

fn without_server(context: &Context, me: PeerId) -> Outcome {
    let me = me.to_string();
    let diagnosis = Diagnosis {
        facts: vec![Fact::Configuration(ConfigurationFact::NoServer { me })],
        peer: None,
    };
    for fact in &diagnosis.facts {
        context.output.print(&Line::new(fact))?;
    }
    conclude(context, &diagnosis)
}

fn conclude(context: &Context, diagnosis: &Diagnosis) -> Result<Status, Failure> {
    context.output.print(&Line::verdict(diagnosis))?;
    Ok(match diagnosis.verdict() {
        Verdict::Fine | Verdict::Direct => Status::Done,
        Verdict::RelayOnly(_) | Verdict::Wrong(_) => Status::Failed,
        Verdict::Unreachable(_) => Status::Unreachable,
    })
}
