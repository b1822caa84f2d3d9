//! What is typed is taken or refused before anything runs, and the README types what is taken.

use clap::CommandFactory;

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split_whitespace())
}

#[test]
fn the_definitions_are_sound() {
    Cli::command().debug_assert();
}

#[test]
fn global_flags_stand_before_or_after_the_command() {
    for line in ["gimlet --json id", "gimlet id --json"] {
        assert!(parse(line).unwrap().global.json, "{line}");
    }
}

#[test]
fn usage_errors_are_seen_before_anything_runs() {
    for line in [
        "gimlet",
        "gimlet dig",
        "gimlet punch",
        "gimlet punch bob --wait-direct soon",
        "gimlet punch bob --wait-direct -1",
        "gimlet pipe",
        "gimlet pipe bob --listen",
        "gimlet id -v -q",
        "gimlet id --server https://example.org",
        "gimlet id --name Bob!",
        "gimlet bench bob --mib 0",
        "gimlet serve --open --token t",
        "gimlet up --accept friends",
    ] {
        assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
    }
}

#[test]
fn waits_have_the_default_of_the_contract() {
    let Command::Punch(args) = parse("gimlet punch bob").unwrap().command else {
        panic!("not punch");
    };
    assert_eq!(args.wait_direct, Duration::from_secs(15));
}

const README: &str = include_str!("../../../../README.md");

#[test]
fn what_the_readme_says_to_type_is_taken() {
    let lines = README
        .lines()
        .filter(|line| line.contains("$ ") && line.contains(" gimlet "));
    let typed = lines.filter_map(|line| {
        let (_, command) = line.split_once("$ ")?;
        command.split(['#', '<', '>']).next()
    });
    let mut count = 0;
    for line in typed {
        let taken = parse(line);
        assert!(taken.is_ok(), "{line}: {}", taken.unwrap_err());
        count += 1;
    }
    assert!(count >= 10, "only {count} lines were found");
}

#[test]
fn every_command_is_in_the_readme() {
    for command in Cli::command().get_subcommands() {
        let name = command.get_name();
        assert!(README.contains(&format!("`gimlet {name}")), "{name}");
    }
}
