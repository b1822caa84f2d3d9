//! A table for each part.

use super::heading;
use super::target::threads;
use crate::bench::figures::{Figure, Spread};
use crate::bench::files::Files;
use crate::bench::forward;
use crate::bench::memory::Memory;
use crate::bench::relay::{Relay, Relays};
use crate::bench::setup::Times;
use crate::bench::simulated::RTT_MS;
use crate::bench::throughput::{Line, Variant};
use crate::bench::topic::Topics;
use crate::term::table::{Table, number, text};
use crate::term::{NOTE, paint};

/// Fastest over slowest round of plain quinn from which the machine was too busy to be believed.
const NOISY: f64 = 1.5;

/// Share of bytes on another path from which a measurement is not what it says.
const STRAYED: f64 = 0.01;

/// Times of setting up; as multiples of the round trip where there is one.
pub(super) fn times(title: &str, times: &Times, with_rtt: bool) {
    heading(title);
    let trips = if with_rtt { "p50, round trips" } else { "" };
    let table = Table([
        text("ms", 12),
        number("p50", 9),
        number("p95", 9),
        number("max", 9),
        number(trips, 18),
    ]);
    table.titles();
    let stages = [
        ("signed in", Some(times.signed_in)),
        ("connected", Some(times.connected)),
        ("direct", times.direct),
        ("confirmed", times.confirmed),
    ];
    for (stage, spread) in stages {
        let value = |of: fn(&Spread) -> f64| {
            spread
                .as_ref()
                .map_or("-".to_owned(), |s| format!("{:.1}", of(s)))
        };
        let trips = match spread {
            _ if !with_rtt => String::new(),
            Some(spread) => format!("{:.2}", spread.p50 / RTT_MS),
            None => "-".to_owned(),
        };
        table.row([
            stage.to_owned(),
            value(|s| s.p50),
            value(|s| s.p95),
            value(|s| s.max),
            trips,
        ]);
    }
    let Times {
        went_direct,
        attempts,
        ..
    } = times;
    anstream::println!("{went_direct} of {attempts} went direct");
}

/// Streams: medians, and in brackets their relation to the baseline.
pub(super) fn throughput(what: &str, lines: &[Line]) {
    heading(&format!(
        "{what}; CPU in seconds per GiB; (ratio to its baseline)"
    ));
    let table = Table([
        text("", 28),
        text("runtime", 9),
        number("MB/s", 16),
        number("CPU sending", 14),
        number("CPU receiving", 14),
        number("CPU relay", 14),
    ]);
    table.titles();
    for line in lines {
        let ratios = line.ratios;
        let cells = [
            line.variant.label().to_owned(),
            threads(line.threads).to_owned(),
            cell(Some(line.mb_per_s), ratios.map(|r| r.mb_per_s), 0),
            cell(Some(line.cpu_sender), ratios.map(|r| r.cpu_sender), 2),
            cell(Some(line.cpu_receiver), ratios.map(|r| r.cpu_receiver), 2),
            cell(line.cpu_relay, ratios.and_then(|r| r.cpu_relay), 2),
        ];
        table.row(cells);
        let worst = line.samples.iter().map(|s| s.strayed).fold(0.0, f64::max);
        if worst > STRAYED {
            let share = worst * 100.0;
            let text = format!("  up to {share:.0} % of these bytes took another path");
            anstream::println!("{}", paint(NOTE, text));
        }
    }
    let plain = lines.iter().filter(|line| line.variant == Variant::Plain);
    let noise = plain.map(|line| line.mb_per_s.high / line.mb_per_s.low);
    let noise = noise.fold(1.0, f64::max);
    if noise > NOISY {
        let text = format!(
            "plain quinn's fastest round was {noise:.1} times its slowest: this machine is busy \
             with something else, read the ratios only"
        );
        anstream::println!("{}", paint(NOTE, text));
    }
}

fn cell(figure: Option<Figure>, ratio: Option<Figure>, digits: usize) -> String {
    let Some(figure) = figure else {
        return "-".to_owned();
    };
    let value = format!("{:.digits$}", figure.median);
    match ratio {
        Some(ratio) => format!("{value} ({:.2})", ratio.median),
        None => value,
    }
}

/// Floods.
pub(super) fn relay(relays: &Relays) {
    heading("relays flooded with batches of 44 datagrams");
    let table = Table([
        text("", 28),
        number("CPU s/GiB", 12),
        number("low to high", 18),
        number("MB/s", 12),
    ]);
    table.titles();
    let line = |name: &str, relay: &Relay| {
        let cpu = relay.cpu;
        let cells = [
            name.to_owned(),
            format!("{:.3}", cpu.median),
            format!("{:.3} to {:.3}", cpu.low, cpu.high),
            format!("{:.0}", relay.mb_per_s.median),
        ];
        table.row(cells);
    };
    line("bare forwarder", &relays.forwarder);
    line("Gimlet server", &relays.server);
    anstream::println!(
        "the server takes {:.2} of the bare loop",
        relays.ratio.median
    );
}

/// iperf3 through a forward, the session alone, with long datagrams too, and what iperf3 does by itself.
pub(super) fn forward(lines: &[forward::Line]) {
    heading("iperf3 through a forward, MB/s; CPU of both ends, s/GiB");
    let table = Table([
        text("", 30),
        number("session", 9),
        number("forward", 9),
        number("ratio", 7),
        number("long", 9),
        number("ratio", 7),
        number("CPU", 7),
        number("CPU", 7),
        number("proxy", 9),
        number("bare", 9),
    ]);
    table.titles();
    let rate = |figure: Option<Figure>| {
        figure.map_or("-".to_owned(), |figure| format!("{:.0}", figure.median))
    };
    let ratio = |figure: Option<Figure>| {
        figure.map_or("-".to_owned(), |figure| format!("{:.2}", figure.median))
    };
    for line in lines {
        let cells = [
            line.what.clone(),
            rate(Some(line.session)),
            rate(Some(line.forward)),
            ratio(Some(line.ratio)),
            rate(line.long_session),
            ratio(line.long_ratio),
            format!("{:.2}", line.session_cpu.median),
            format!("{:.2}", line.forward_cpu.median),
            rate(line.proxy),
            rate(line.bare),
        ];
        table.row(cells);
    }
}

/// A publisher, and quinn's streams alone.
pub(super) fn topic(topics: &Topics) {
    let count = topics.subscribers;
    heading(&format!(
        "{count} subscribers over loopback; CPU in microseconds a delivery"
    ));
    let table = Table([
        text("", 22),
        number("deliveries/s", 14),
        number("CPU, sent", 12),
        number("CPU, got", 12),
        number("p50 ms", 10),
        number("p99 ms", 10),
    ]);
    table.titles();
    for (name, side) in [
        ("quinn's streams", &topics.plain),
        ("a topic", &topics.gimlet),
    ] {
        let cells = [
            name.to_owned(),
            format!("{:.0}", side.per_s.median),
            format!("{:.1}", side.cpu_publisher.median),
            format!("{:.1}", side.cpu_subscriber.median),
            format!("{:.1}", side.p50.median),
            format!("{:.1}", side.p99.median),
        ];
        table.row(cells);
    }
}

/// Files, and what they are measured against.
pub(super) fn files(files: &Files) {
    heading("A large file, hashed, verified and on disk, MB/s; CPU, s/GiB");
    let table = Table([
        text("", 14),
        number("session", 9),
        number("long", 7),
        number("file", 7),
        number("ratio", 7),
        number("to long", 9),
        number("s. send", 10),
        number("s. recv", 10),
        number("f. send", 10),
        number("f. recv", 10),
    ]);
    table.titles();
    for line in &files.large {
        let (session, file) = (&line.session_cpu, &line.file_cpu);
        let cells = [
            line.network.clone(),
            format!("{:.0}", line.session.median),
            format!("{:.0}", line.long_session.median),
            format!("{:.0}", line.file.median),
            format!("{:.2}", line.ratio.median),
            format!("{:.2}", line.long_ratio.median),
            format!("{:.2}", session.sender.median),
            format!("{:.2}", session.receiver.median),
            format!("{:.2}", file.sender.median),
            format!("{:.2}", file.receiver.median),
        ];
        table.row(cells);
    }
    anstream::println!(
        "{:.0} small files a second, {:.0} by tar through a pipe: {:.2}",
        files.small.median,
        files.tar.median,
        files.small_ratio.median
    );
    anstream::println!(
        "1 GiB from start to end over loopback: {:.2} s; by magic-wormhole {:.2} s, {:.2} s with the file on disk",
        files.wormhole.gimlet.median,
        files.wormhole.ended.median,
        files.wormhole.on_disk.median
    );
}

/// Idle memory.
pub(super) fn memory(memory: &Memory) {
    heading(&format!("memory while idle, of {} pairs", memory.pairs));
    let table = Table([text("", 44), number("", 10)]);
    let lines = [
        ("endpoint, signed in", memory.endpoint),
        (
            "direct connection, dialing side, besides",
            memory.connection_dialing,
        ),
        (
            "direct connection, accepting side, besides",
            memory.connection_accepting,
        ),
        ("server, a signed-in peer", memory.server_peer),
        (
            "server, a session between two, besides",
            memory.server_session,
        ),
    ];
    for (what, bytes) in lines {
        let cells = [what.to_owned(), format!("{:.0} KiB", bytes / 1024.0)];
        table.row(cells);
    }
}
