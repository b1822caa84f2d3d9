//! `lab --network`: what the NATs do and whom plain UDP joins, against the oracle. No Gimlet.

use std::process::ExitCode;

use gimlet_sim::Family;

use super::plan::{Pair, sites};
use super::topology::{Side, Topology};
use super::{oracle, probe};
use crate::term::table::{Table, text};
use crate::term::{BAD, GOOD, NOTE, paint};

/// Probes every site of `pairs`, then every pair; fails on any difference.
pub(crate) async fn check(topology: &Topology, pairs: &[Pair]) -> anyhow::Result<ExitCode> {
    probe::reflect(&topology.server).await?;
    probe::reflect(&topology.witness).await?;
    let wrong = check_sites(topology, pairs).await? + check_pairs(topology, pairs).await?;
    if wrong == 0 {
        anstream::println!("\n{}", paint(GOOD, "the network does what the oracle says"));
        return Ok(ExitCode::SUCCESS);
    }
    anstream::println!(
        "\n{}",
        paint(BAD, format!("{wrong} differences from the oracle"))
    );
    Ok(ExitCode::FAILURE)
}

async fn check_sites(topology: &Topology, pairs: &[Pair]) -> anyhow::Result<usize> {
    let table = Table([
        text("site", 12),
        text("mapping", 27),
        text("filtering", 27),
        text("class", 11),
        text("", 1),
    ]);
    anstream::println!();
    table.titles();
    let mut wrong = 0;
    // Reflectors speak UDP.
    for site in sites(pairs).into_iter().filter(|site| !site.blocks_udp()) {
        let host = topology.host(site, Side::A)?;
        let seen = probe::behaviour(host, &topology.server, &topology.witness).await?;
        let (class, must) = (seen.class(), oracle::class(site));
        let verdict = if class == must {
            (GOOD, "ok".to_owned())
        } else {
            wrong += 1;
            (BAD, format!("must be {must:?}"))
        };
        let plain = anstyle::Style::new();
        let cells = [
            (plain, site.name().to_owned()),
            (plain, seen.mapping.to_owned()),
            (plain, seen.filtering.to_owned()),
            (plain, format!("{class:?}")),
            verdict,
        ];
        table.painted(cells);
    }
    Ok(wrong)
}

async fn check_pairs(topology: &Topology, pairs: &[Pair]) -> anyhow::Result<usize> {
    let table = Table([
        text("from", 12),
        text("to", 12),
        text("IPv4 UDP", 8),
        text("", 1),
    ]);
    anstream::println!();
    table.titles();
    let mut wrong = 0;
    let answers = |pair: &&Pair| !pair.a.blocks_udp() && !pair.b.blocks_udp();
    for &pair in pairs.iter().filter(answers) {
        let (a, b) = (
            topology.host(pair.a, Side::A)?,
            topology.host(pair.b, Side::B)?,
        );
        let path = probe::punch(a, b, &topology.server).await?;
        let must = oracle::expected_over(pair, Family::V4);
        let verdict = if path == must {
            (GOOD, "ok".to_owned())
        } else {
            wrong += 1;
            (BAD, format!("must be {}", must.word()))
        };
        let plain = anstyle::Style::new();
        let cells = [
            (plain, pair.a.name().to_owned()),
            (plain, pair.b.name().to_owned()),
            (
                if path == super::plan::Path::Relay {
                    NOTE
                } else {
                    plain
                },
                path.word().to_owned(),
            ),
            verdict,
        ];
        table.painted(cells);
    }
    Ok(wrong)
}
