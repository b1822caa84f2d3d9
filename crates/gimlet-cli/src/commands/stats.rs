//! `gimlet stats`: how many attempts got how far, by stage, pair of NATs and strategy.

mod line;
mod text;

use gimlet::Endpoint;
use gimlet::stats::Summary;

use crate::args::StatsArgs;
use crate::attempts;
use crate::exit::{Failure, Outcome, Status};
use crate::output;
use crate::session::{self, Context};

/// Whose attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// Everybody's, as the server counted them for so many seconds.
    Server { counted_s: u64 },
    /// This user's.
    Own,
}

pub(super) async fn run(context: &Context, args: &StatsArgs) -> Outcome {
    if args.own {
        return own(context);
    }
    let work = async |endpoint: &Endpoint| {
        let (_, stats) = session::signed_in_and(endpoint, endpoint.stats()).await?;
        stats.map_err(Failure::request)
    };
    let stats = context.dialling(work).await?;
    let counted_s = stats.counted_s;
    print(context, Whose::Server { counted_s }, &stats.summary)?;
    if !context.output.is_json() {
        context.output.text(&"")?;
    }
    own(context)
}

fn own(context: &Context) -> Outcome {
    let file = context.settings.attempts().ok_or_else(|| {
        let error = anyhow::anyhow!("there is no home folder that attempts are recorded in");
        Failure::new(Status::Failed, error)
    })?;
    let summary = attempts::table(&file)?.summary();
    print(context, Whose::Own, &summary)?;
    Ok(Status::Done)
}

fn print(context: &Context, whose: Whose, summary: &Summary) -> std::io::Result<()> {
    if !context.output.is_json() {
        return context.output.text(&text::Tables { whose, summary });
    }
    for line in line::lines(whose, summary) {
        context.output.text(&output::json(&line))?;
    }
    Ok(())
}
