//! `gimlet punch PEER`: connect, wait for a direct path, report.

mod report;

use std::time::Duration;

use tokio::time::{Instant, interval, timeout};

use crate::args::PunchArgs;
use crate::exit::{Failure, Outcome, Status};
use crate::failure;
use crate::output::ms;
use crate::progress::Progress;
use crate::session::Context;
use gimlet::{Connection, Endpoint, RecvStream, SendStream};
use gimlet_apps::echo;
use report::Report;

/// How long the peer's first byte may take. A peer that serves no echo refuses at once.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a person is told what is going on.
const PROGRESS: Duration = Duration::from_millis(500);

pub(super) async fn run(context: &Context, args: &PunchArgs) -> Outcome {
    let mut report = Report {
        relay_only: context.settings.relay_only,
        label: args.peer.clone(),
        ..Report::default()
    };
    let mut progress = Progress::new(&context.output);
    let work = async |endpoint: &Endpoint| {
        punch(context, endpoint, args, &mut report, &mut progress).await
    };
    let reached = context.dialling(work).await;
    drop(progress);
    if reached.is_ok() || context.output.is_json() {
        context.output.print(&report)?;
    }
    match reached {
        Ok(()) => Ok(report.status()),
        // 1 means that it works over the relay, so no failure to get there may end with it.
        Err(failure) if failure.status == Status::Failed => Err(Failure {
            status: Status::Unreachable,
            ..failure
        }),
        Err(failure) => Err(failure),
    }
}

/// Fills in the report as far as it gets.
async fn punch(
    context: &Context,
    endpoint: &Endpoint,
    args: &PunchArgs,
    report: &mut Report,
    progress: &mut Progress,
) -> Result<(), Failure> {
    report.failed("sign-in", "not-signed-in");
    // The clock of connect starts after both.
    let find = context.find(endpoint, &args.peer);
    let (ready, found) = tokio::try_join!(context.ready(endpoint), async { Ok(find.await) })?;
    report.sign_in_ms = ready.signed_in.map(|signed_in| ms(signed_in.elapsed));
    report.failed("introduction", "unknown-peer");
    let found = found?;
    report.peer = Some(found.peer.to_string());
    report.label = found.label;
    let began = Instant::now();
    let connection = (endpoint.connect(found.peer, echo::ALPN).await).map_err(|error| {
        let (stage, reason) = failure::stage_and_reason(&error);
        report.failed(stage, reason);
        Failure::connect(error, &report.label)
    })?;
    let mut echo = FirstByte::wait(&connection, began).await;
    // Writing takes the disk's time, so what is measured comes first.
    context.remember(&args.peer, found.peer);
    report.first_byte_ms = echo.as_ref().map(|echo| ms(echo.after));
    let is_direct = wait_direct(&connection, args.wait_direct, progress).await;
    if let (true, Some(echo)) = (is_direct, &mut echo) {
        // A path counts when data of ours has gone over it and come back.
        echo.again().await;
    }
    report.describe(&connection);
    connection.close(0, b"");
    Ok(())
}

/// The stream on which the peer's first byte came back.
struct FirstByte {
    send: SendStream,
    recv: RecvStream,
    after: Duration,
}

impl FirstByte {
    /// `None` where the peer serves no echo.
    async fn wait(connection: &Connection, began: Instant) -> Option<Self> {
        let echo = async {
            let (mut send, mut recv) = connection.open_bi().await.ok()?;
            echo::round_trip(&mut recv, &mut send, 0).await.ok()?;
            let after = began.elapsed();
            Some(Self { send, recv, after })
        };
        timeout(FIRST_BYTE_TIMEOUT, echo).await.ok().flatten()
    }

    async fn again(&mut self) {
        let echo = echo::round_trip(&mut self.recv, &mut self.send, 1);
        // What became of it shows in the path reported.
        let _ = timeout(FIRST_BYTE_TIMEOUT, echo).await;
    }
}

/// Waits for a direct path, or until it is clear that there is none; whether there is one.
async fn wait_direct(connection: &Connection, at_most: Duration, progress: &mut Progress) -> bool {
    let began = Instant::now();
    let mut changes = connection.path_changes();
    let settled = async {
        tokio::select! {
            _ = changes.wait_for(|path| path.is_direct()) => (),
            _ = connection.settled() => (),
        }
    };
    let telling = async {
        let mut ticks = interval(PROGRESS);
        // The first tick comes at once, and most are direct before the second.
        ticks.tick().await;
        loop {
            ticks.tick().await;
            progress.show(looking(connection, began.elapsed()));
        }
    };
    tokio::select! {
        // Whichever way it ends, the path in use is the answer.
        _ = timeout(at_most, settled) => (),
        () = telling => (),
    }
    connection.path().is_direct()
}

/// What is being done to find a direct path, in a line.
fn looking(connection: &Connection, since: Duration) -> String {
    let seconds = since.as_secs_f64();
    let search = connection.outcome().search;
    match search.strategy {
        Some(_) if search.ended.is_none() => format!(
            "works over the relay; searching for a port, {} packets sent, {seconds:.0} s",
            search.packets
        ),
        Some(_) | None => {
            format!("works over the relay; looking for a direct path, {seconds:.0} s")
        }
    }
}
