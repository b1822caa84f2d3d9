//! Which source wins, and what each accepts.

use super::*;
use crate::args::{AcceptArgs, ServeArgs};

mod page;

const KEY: &str = "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy";

fn no_env(_: &str) -> Option<String> {
    None
}

fn settings(flags: &GlobalArgs, env: &[(&str, &str)], file: &str) -> anyhow::Result<Settings> {
    let env = |name: &str| {
        let found = env.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    Settings::resolve(flags, &env, File::parse(file)?)
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let file = "server = ['file:1']\nname = 'file'\nidentity = 'file.key'";
    let env = [
        ("GIMLET_SERVER", "env:1, env:2"),
        ("GIMLET_NAME", "env"),
        ("GIMLET_IDENTITY", "env.key"),
    ];
    let flags = GlobalArgs {
        server: vec!["flag:1".parse().unwrap()],
        name: Some("flag".parse().unwrap()),
        identity: Some("flag.key".into()),
        ..GlobalArgs::default()
    };
    let none = GlobalArgs::default();
    for (flags, env, hosts, from) in [
        (&flags, &env[..], &["flag"][..], "flag"),
        (&none, &env[..], &["env", "env"][..], "env"),
        (&none, &[][..], &["file"][..], "file"),
    ] {
        let found = settings(flags, env, file).unwrap();
        let found_hosts: Vec<_> = found.servers.iter().map(|server| &server.host).collect();
        assert_eq!(found_hosts, hosts);
        assert_eq!(found.name.as_ref().unwrap().as_str(), from);
        assert_eq!(found.identity().unwrap(), Path::new(&format!("{from}.key")));
    }
}

#[test]
fn an_empty_variable_is_as_if_it_were_not_set() {
    let env = [("GIMLET_SERVER", ""), ("GIMLET_NAME", " ")];
    let found = settings(&GlobalArgs::default(), &env, "server = ['file:1']").unwrap();
    assert_eq!(found.servers[0].host, "file");
    assert_eq!(found.name, None);
}

#[test]
fn the_key_has_a_place_of_its_own_by_default() {
    let found = settings(&GlobalArgs::default(), &[], "").unwrap();
    assert!(found.identity().unwrap().ends_with("gimlet/identity.key"));
}

#[test]
fn unknown_keys_and_bad_values_are_errors_that_name_them() {
    for (text, names) in [
        ("servers = []", "servers"),
        ("[serve]\nport = 1", "port"),
        ("server = ['https://x']", "gimlet://"),
        ("name = 'No Name'", "a-z"),
        ("known_peers = ['bob']", "52"),
        ("accept = 'friends'", "friends"),
        ("[serve]\nopen = true\ntoken = 'a'", "keep one"),
        (
            "[serve]\nopen = true\nallow = ['yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy']",
            "keep one",
        ),
    ] {
        let error = format!("{:#}", File::parse(text).unwrap_err());
        assert!(error.contains(names), "{text}: {error}");
    }
}

#[test]
fn bad_variables_are_named() {
    for (name, value) in [
        ("GIMLET_SERVER", "a:1,b:port"),
        ("GIMLET_NAME", "No Name"),
        ("GIMLET_RELAY_ONLY", "maybe"),
    ] {
        let error = settings(&GlobalArgs::default(), &[(name, value)], "").unwrap_err();
        assert!(format!("{error:#}").contains(name), "{error:#}");
    }
}

#[test]
fn port_mapping_is_on_until_flag_environment_or_file_say_otherwise() {
    let flags = GlobalArgs::default();
    assert!(settings(&flags, &[], "").unwrap().port_mapping);
    let file = "port_mapping = false";
    assert!(!settings(&flags, &[], file).unwrap().port_mapping);
    let env = [("GIMLET_NO_PORT_MAPPING", "0")];
    assert!(settings(&flags, &env, file).unwrap().port_mapping);
    let flags = GlobalArgs {
        no_port_mapping: true,
        ..GlobalArgs::default()
    };
    assert!(!settings(&flags, &env, "").unwrap().port_mapping);
}

#[test]
fn attempts_are_reported_until_flag_environment_or_file_say_otherwise() {
    let flags = GlobalArgs::default();
    assert!(settings(&flags, &[], "").unwrap().report);
    assert!(!settings(&flags, &[], "report = false").unwrap().report);
    let env = [("GIMLET_NO_REPORT", "1")];
    assert!(!settings(&flags, &env, "report = true").unwrap().report);
    let flags = GlobalArgs {
        no_report: true,
        ..GlobalArgs::default()
    };
    assert!(
        !settings(&flags, &[("GIMLET_NO_REPORT", "0")], "")
            .unwrap()
            .report
    );
}

#[test]
fn relay_only_can_be_switched_off_again() {
    let file = "relay_only = true";
    let flags = GlobalArgs::default();
    assert!(settings(&flags, &[], file).unwrap().relay_only);
    let off = settings(&flags, &[("GIMLET_RELAY_ONLY", "0")], file).unwrap();
    assert!(!off.relay_only);
}

#[test]
fn serve_takes_flags_environment_and_file_in_that_order() {
    let file = "[serve]\nlisten = '127.0.0.1:1'\nstate = 'file'\ntoken = 'file'";
    let found = settings(&GlobalArgs::default(), &[], file).unwrap();
    let flags = ServeArgs {
        listen: Some("127.0.0.1:9".parse().unwrap()),
        open: true,
        ..ServeArgs::default()
    };
    let flagged = found.serve(&flags, &no_env).unwrap();
    assert_eq!(flagged.listen.port(), 9);
    assert_eq!(flagged.entry, Entry::Open);
    assert_eq!(flagged.state, Path::new("file"));
    let env = |name: &str| (name == "GIMLET_TOKEN").then(|| "env".to_owned());
    let from_env = found.serve(&ServeArgs::default(), &env).unwrap();
    assert_eq!(from_env.entry, Entry::Token("env".to_owned()));
    let from_file = found.serve(&ServeArgs::default(), &no_env).unwrap();
    assert_eq!(from_file.entry, Entry::Token("file".to_owned()));
    assert_eq!(from_file.listen.port(), 1);
}

#[test]
fn a_list_of_keys_is_in_the_file_and_a_token_wins_over_it() {
    let file = format!("[serve]\nallow = ['{KEY}']");
    let found = settings(&GlobalArgs::default(), &[], &file).unwrap();
    let serve = found.serve(&ServeArgs::default(), &no_env).unwrap();
    assert_eq!(serve.entry, Entry::Keys([KEY.parse().unwrap()].into()));
    let flags = ServeArgs {
        token: Some("flag".to_owned()),
        ..ServeArgs::default()
    };
    let serve = found.serve(&flags, &no_env).unwrap();
    assert_eq!(serve.entry, Entry::Token("flag".to_owned()));
}

#[test]
fn the_local_network_is_used_if_flag_environment_or_file_say_so() {
    let flags = GlobalArgs::default();
    assert!(!settings(&flags, &[], "").unwrap().lan);
    assert!(settings(&flags, &[], "lan = true").unwrap().lan);
    let off = [("GIMLET_LAN", "0")];
    assert!(!settings(&flags, &off, "lan = true").unwrap().lan);
}

#[test]
fn serve_has_defaults_for_everything() {
    let found = settings(&GlobalArgs::default(), &[], "").unwrap();
    let serve = found.serve(&ServeArgs::default(), &no_env).unwrap();
    assert_eq!(serve.listen, "[::]:13000".parse().unwrap());
    assert!(serve.state.ends_with("gimlet"));
    assert_eq!(serve.entry, Entry::OwnToken);
}

#[test]
fn a_token_that_no_address_line_can_carry_is_refused() {
    let found = settings(&GlobalArgs::default(), &[], "").unwrap();
    for token in ["a b", "a&b", "", &"x".repeat(129)] {
        let flags = ServeArgs {
            token: Some(token.to_owned()),
            ..ServeArgs::default()
        };
        let failure = found.serve(&flags, &no_env).unwrap_err();
        assert_eq!(failure.status, Status::Usage, "{token}");
    }
}

#[test]
fn known_peers_come_from_the_file_of_ids_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("known");
    std::fs::write(&path, format!("# friends\n\n{KEY} # bob\n")).unwrap();
    let found = settings(&GlobalArgs::default(), &[], "accept = 'known'").unwrap();
    let accept = found.accept(&AcceptArgs {
        accept: None,
        known: Some(path.clone()),
    });
    assert_eq!(accept.unwrap().known.len(), 1);
    std::fs::write(&path, "\nbob\n").unwrap();
    let failure = found.accept(&AcceptArgs {
        accept: None,
        known: Some(path),
    });
    assert!(format!("{:#}", failure.unwrap_err().error).contains("line 2"));
}

#[test]
fn knowing_nobody_is_said_before_all_are_turned_away() {
    let found = settings(&GlobalArgs::default(), &[], "accept = 'known'").unwrap();
    let failure = found.accept(&AcceptArgs::default()).unwrap_err();
    assert_eq!(failure.status, Status::Usage);
}
