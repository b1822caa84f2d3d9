//! What the lab has: sites, pairs, and what each pair must come to.

use clap::ValueEnum;

use crate::lab::plan::Path;
use crate::lab::site::Site;
use crate::lab::tun::Spot;
use crate::lab::{oracle, plan, tun};
use crate::term::{GOOD, HEAD, NOTE, paint};

/// Prints the sites, and the pairs of a full run with the path each must get.
pub(crate) fn list() -> anyhow::Result<()> {
    anstream::println!("{}", paint(HEAD, "sites, kernel NATs"));
    for site in Site::value_variants() {
        anstream::println!("  {:<15} {}", site.name(), site.describe());
    }
    anstream::println!("{}", paint(HEAD, "sites, simulated NATs"));
    for spot in Spot::value_variants() {
        anstream::println!("  {:<15} {}", spot.name(), spot.describe());
    }
    anstream::println!("{}", paint(HEAD, "pairs of a full run"));
    let kernel = plan::all().into_iter();
    let kernel = kernel.map(|pair| (pair.a.name(), pair.b.name(), Ok(oracle::expect(pair))));
    let tun = tun::all().into_iter();
    let tun = tun.map(|pair| (pair.a.name(), pair.b.name(), tun::expect(pair)));
    for (a, b, expect) in kernel.chain(tun) {
        let expect = expect?;
        let style = match expect.path {
            Path::Direct => GOOD,
            Path::Relay => NOTE,
        };
        let path = paint(style, expect.path.word());
        let within = expect
            .within_ms
            .map(|ms| format!(" within {} s", ms / 1000));
        anstream::println!(
            "  {:<28} {path}{}",
            format!("{a},{b}"),
            within.unwrap_or_default()
        );
    }
    Ok(())
}
