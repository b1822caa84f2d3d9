//! The page about the configuration against the code: it names every key and every variable, and its
//! example is a configuration.

use std::cell::RefCell;
use std::collections::BTreeSet;

use clap::CommandFactory as _;

use super::*;
use crate::args::Cli;

const PAGE: &str = include_str!("../../../../../docs/configuration.md");

/// The example, whole.
fn example() -> &'static str {
    let example = PAGE.split("```toml\n").nth(1);
    example.and_then(|rest| rest.split("```").next()).unwrap()
}

/// What a table of the file may have, as the error about another key tells.
fn keys(table: &str) -> Vec<String> {
    let text = format!("[{table}]\nno_such_key = 1");
    let text = text.trim_start_matches("[]");
    let error = format!("{:#}", File::parse(text).unwrap_err());
    let (_, expected) = error.split_once("expected").unwrap();
    expected
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_example_is_a_configuration_with_every_key() {
    File::parse(example()).unwrap();
    for table in [
        "",
        "serve",
        "serve.limits",
        "serve.limits.peer",
        "expose.web",
        "socks",
    ] {
        let begins = format!("[{table}]\n");
        let body = match table {
            "" => example(),
            _ => example().split_once(&begins).unwrap().1,
        };
        let body = body.split("\n[").next().unwrap();
        for key in keys(table) {
            let own = body.lines().any(|line| {
                line.trim_start_matches("# ")
                    .starts_with(&format!("{key} ="))
            });
            let path = [table, &key].join(".");
            let below = format!("\n[{}", path.trim_start_matches('.'));
            assert!(
                own || example().contains(&below),
                "{key} of [{table}] is not in the page"
            );
        }
    }
}

#[test]
fn every_variable_is_in_the_page_and_in_the_help() {
    let asked = RefCell::new(BTreeSet::new());
    let env = |name: &str| {
        asked.borrow_mut().insert(name.to_owned());
        None
    };
    let settings = Settings::load(&GlobalArgs::default(), &env).unwrap();
    settings.serve(&ServeArgs::default(), &env).unwrap();
    let mut cli = Cli::command();
    let mut help = cli.render_long_help().to_string();
    for command in cli.get_subcommands_mut() {
        help += &command.render_long_help().to_string();
    }
    for name in asked.borrow().iter() {
        assert!(
            PAGE.contains(&format!("`{name}`")),
            "{name} is not in the page"
        );
        // Contacts lie beside the key, whose place the help tells.
        let told = help.contains(name.as_str()) || name == "GIMLET_CONTACTS";
        assert!(told, "{name} is not in the help");
    }
    assert!(asked.borrow().len() > 10);
}
