//! `gimlet bench PEER`: throughput of bulk data.

use std::fmt;

use gimlet::Endpoint;
use serde::Serialize;
use tokio::time::Instant;

use crate::args::BenchArgs;
use crate::describe;
use crate::exit::{Failure, Outcome, Status};
use crate::session::Context;
use crate::transfer;
use gimlet_apps::bench::{self, Direction};

#[derive(Serialize)]
struct Report {
    mib: u32,
    seconds: f64,
    mib_per_s: f64,
    path: &'static str,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            mib,
            seconds,
            mib_per_s,
            path,
        } = self;
        write!(
            f,
            "{mib} MiB in {seconds:.2} s: {mib_per_s:.1} MiB/s, {path}"
        )
    }
}

pub(super) async fn run(context: &Context, args: &BenchArgs) -> Outcome {
    let report = context
        .dialling(async |endpoint| measure(context, endpoint, args).await)
        .await?;
    context.output.print(&report)?;
    Ok(Status::Done)
}

async fn measure(
    context: &Context,
    endpoint: &Endpoint,
    args: &BenchArgs,
) -> Result<Report, Failure> {
    let (found, connection) = context.dial(endpoint, &args.peer, bench::ALPN).await?;
    let connection = match args.long_datagrams {
        true => transfer::enlarged(endpoint, connection).await,
        false => connection,
    };
    let direction = match args.reverse {
        false => Direction::Send,
        true => Direction::Receive,
    };
    let bytes = u64::from(args.mib) << 20;
    let began = Instant::now();
    (bench::run(&connection, direction, bytes).await)
        .map_err(|error| Failure::service(error, &found.label))?;
    let seconds = began.elapsed().as_secs_f64();
    let path = describe::path_kind(connection.path().kind);
    connection.close(0, b"");
    Ok(Report {
        mib: args.mib,
        seconds: (seconds * 10_000.0).round() / 10_000.0,
        mib_per_s: (f64::from(args.mib) / seconds * 10.0).round() / 10.0,
        path,
    })
}
