//! The tables of the crowd.

use super::{Crowd, SignIns, Storm, Times};
use crate::bench::report::heading;
use crate::term::table::{Table, number, text};

const KIB: f64 = 1024.0;

/// Prints all of it.
pub(in crate::bench::relay) fn print(crowd: &Crowd) {
    memory(crowd);
    peers(crowd);
    meetings(crowd);
    storms(&crowd.storms);
}

fn memory(crowd: &Crowd) {
    heading("memory while idle, KiB");
    let table = Table([
        number("peers", 8),
        number("signed-in peer", 14),
        number("bare quinn", 12),
        number("ratio", 8),
        number("session, besides", 20),
    ]);
    table.titles();
    for level in &crowd.levels {
        let cells = [
            level.peers.to_string(),
            format!("{:.1}", level.peer / KIB),
            format!("{:.1}", level.bare / KIB),
            format!("{:.2}", level.peer / level.bare),
            format!("{:.2}", level.session / KIB),
        ];
        table.row(cells);
    }
}

fn peers(crowd: &Crowd) {
    heading("peers that come and stay");
    let table = Table([
        text("", 44),
        number("Gimlet", 12),
        number("bare quinn", 12),
        number("ratio", 8),
    ]);
    table.titles();
    let both = |what: &str, [gimlet, bare]: [f64; 2], ratio: f64, digits: usize| {
        let cells = [
            what.to_owned(),
            format!("{gimlet:.digits$}"),
            format!("{bare:.digits$}"),
            format!("{ratio:.2}"),
        ];
        table.row(cells);
    };
    let SignIns {
        per_s,
        ratio,
        server_ms,
        peers_ms,
    } = &crowd.sign_ins;
    let per_s = per_s.map(|figure| figure.median);
    let over = |[ours, bare]: [f64; 2]| ours / bare;
    both(
        "sign-ins (bare: handshakes) a second",
        per_s,
        ratio.median,
        0,
    );
    both("server's CPU for one, ms", *server_ms, over(*server_ms), 2);
    both("the peer's CPU for one, ms", *peers_ms, over(*peers_ms), 2);
    let percent = crowd.keep_alive.map(|share| share * 100.0);
    both("keep-alives of all, % of a core", percent, over(percent), 1);
}

fn meetings(crowd: &Crowd) {
    let meetings = &crowd.meetings;
    let spread = |t: &Times| format!("p50 {:.1}, p99 {:.1}, max {:.1} ms", t.p50, t.p99, t.max);
    anstream::println!(
        "introductions: {:.0}/s flat out, {:.2} ms of CPU each, {}",
        meetings.per_s,
        meetings.cpu_ms,
        spread(&meetings.flat_out)
    );
    anstream::println!(
        "               {:.0}/s at ease, {}",
        meetings.easy_per_s,
        spread(&meetings.easy)
    );
}

fn storms(storms: &[Storm]) {
    heading("a restart: seconds until peers are back");
    let table = Table([
        text("the server was", 22),
        number("back", 16),
        number("p50", 8),
        number("p95", 8),
        number("last", 8),
        number("its CPU, s", 12),
    ]);
    table.titles();
    for storm in storms {
        let cells = [
            storm.away.label().to_owned(),
            format!("{} of {}", storm.back, storm.peers),
            format!("{:.1}", storm.seconds.p50),
            format!("{:.1}", storm.seconds.p95),
            format!("{:.1}", storm.seconds.max),
            format!("{:.1}", storm.cpu_s),
        ];
        table.row(cells);
    }
}
