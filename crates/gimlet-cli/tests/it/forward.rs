//! Services of one host on sockets of another: real servers, real clients.

mod absence;
mod dns;
mod tools;
mod web;

use std::process::Command;

use serde_json::Value;

use crate::support::{Host, Process, Server, assert_keys};
use tools::{curl, tool};
use web::Nginx;

/// `expose`, ready.
fn expose(host: &Host, args: &[&str]) -> Process {
    let mut process = Process::spawn(host.command(&[&["expose", "--json"], args].concat()));
    process.wait_event("ready");
    process.wait_event("exposed");
    process
}

/// `forward` or `socks`, and where it listens.
fn listen(host: &Host, args: &[&str]) -> (Process, String) {
    let mut command = vec![args[0], "--json"];
    command.extend(&args[1..]);
    let mut process = Process::spawn(host.command(&command));
    let ready = process.wait_event("ready");
    let place = ready["listen"].as_str().unwrap().to_owned();
    (process, place)
}

/// What `curl` says of a page: its body.
fn get(place: &str, path: &str) -> String {
    let mut curl = curl();
    let done = curl.args(["--fail", "--max-time", "20"]);
    let done = done.arg(format!("http://{place}/{path}")).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn a_thousand_http_connections_go_through_and_none_is_lost() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let nginx = Nginx::start();
    let page = nginx.page("page", 10_000);
    let _expose = expose(&bob, &["web", &nginx.place()]);
    let (mut forward, place) = listen(&alice, &["forward", "0", "bob/web"]);
    let got = tempfile::tempdir().unwrap();
    // Every request has a connection of its own, 200 at a time.
    let done = curl()
        .args([
            "--parallel",
            "--parallel-immediate",
            "--parallel-max",
            "200",
        ])
        .args(["--header", "Connection: close", "--max-time", "50"])
        .args(["--write-out", "%{http_code} %{num_connects}\n", "--output"])
        .arg(got.path().join("#1"))
        .arg(format!("http://{place}/page?[1-1000]"))
        .output()
        .unwrap();
    let said = String::from_utf8(done.stdout).unwrap();
    let answers = said.lines().filter(|line| *line == "200 1").count();
    assert_eq!(answers, 1000, "{said}");
    for n in 1..=1000 {
        let body = std::fs::read(got.path().join(n.to_string())).unwrap();
        assert!(body == page, "page {n} is another");
    }
    // Each connection is told, and none failed.
    let mut ended = 0;
    while ended < 1000 {
        let end = forward.wait_event("ended");
        assert_eq!(end["error"], Value::Null, "{end}");
        ended += 1;
    }
}

#[test]
fn parity_e_a_service_is_reached_by_name_and_both_addresses_and_the_path_are_told() {
    let server = Server::start();
    let (client, streams) = (server.host("client"), server.host("streamserver"));
    let nginx = Nginx::start();
    nginx.page("hello", 5);
    let _expose = expose(&streams, &["web", &nginx.place()]);
    let (mut forward, place) = listen(&client, &["forward", "0", "streamserver/web"]);
    let connected = forward.wait_event("connected");
    assert_keys(
        &connected,
        &[
            "event",
            "peer",
            "service",
            "listen",
            "path",
            "strategy",
            "local",
            "remote",
            "rtt_ms",
            "connected_ms",
        ],
    );
    let direct = match connected["path"] == "direct" {
        true => connected,
        false => forward.wait_json(|line| line["event"] == "path" && line["path"] == "direct"),
    };
    assert_eq!(direct["listen"], place.as_str());
    assert_eq!(direct["service"], "web");
    assert_eq!(direct["peer"], streams.id());
    for address in ["local", "remote"] {
        let text = direct[address].as_str().unwrap();
        text.parse::<std::net::SocketAddr>().unwrap();
    }
    assert_eq!(get(&place, "hello").len(), 5);
}

#[test]
fn several_services_are_exposed_and_forwarded_at_once() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let (one, two) = (Nginx::start(), Nginx::start());
    one.page("which", 1);
    two.page("which", 2);
    let config = bob.home.path().join("config.toml");
    let text = format!("[expose.two]\nto = \"{}\"\n", two.place());
    std::fs::write(&config, text).unwrap();
    let config = config.to_str().unwrap();
    let _expose = expose(&bob, &["one", &one.place(), "--config", config]);
    let socket = alice.home.path().join("two.sock");
    let local = format!("unix:{}", socket.display());
    let (_forward, place) = listen(&alice, &["forward", "0", "bob/one", &local, "bob/two"]);
    assert_eq!(get(&place, "which").len(), 1);
    let done = curl()
        .args([
            "--fail",
            "--retry",
            "5",
            "--retry-all-errors",
            "--unix-socket",
        ])
        .arg(&socket)
        .arg("http://bob/which")
        .output()
        .unwrap();
    assert_eq!(done.stdout.len(), 2, "{done:?}");
}

#[test]
fn who_is_not_on_the_list_is_told_that_there_is_no_such_service() {
    let server = Server::start();
    let (alice, bob, carol) = (
        server.host("alice"),
        server.host("bob"),
        server.host("carol"),
    );
    let nginx = Nginx::start();
    nginx.page("x", 1);
    let _expose = expose(&bob, &["web", &nginx.place(), "--allow", &alice.id()]);
    let (_forward, place) = listen(&alice, &["forward", "0", "bob/web"]);
    assert_eq!(get(&place, "x").len(), 1);
    let (mut forward, place) = listen(&carol, &["forward", "0", "bob/web"]);
    let done = curl().arg(format!("http://{place}/x")).output().unwrap();
    assert!(!done.status.success());
    let ended = forward.wait_event("ended");
    let error = ended["error"].as_str().unwrap();
    assert!(error.contains("no such service"), "{error}");
}

#[test]
fn curl_reaches_through_socks_what_the_rules_allow_and_nothing_else() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let nginx = Nginx::start_on_port();
    nginx.page("x", 1);
    let port = nginx.port();
    let rule = format!("localhost:{port}");
    let _expose = expose(&bob, &["--socks", "--socks-allow", &rule]);
    let (_socks, place) = listen(&alice, &["socks", "0", "bob"]);
    let fetch = |host: &str| {
        let mut curl = curl();
        let curl = curl.args(["--fail", "--max-time", "20", "--socks5-hostname", &place]);
        curl.arg(format!("http://{host}:{port}/x"))
            .output()
            .unwrap()
    };
    let done = fetch("localhost");
    assert_eq!(done.stdout.len(), 1, "{done:?}");
    let done = fetch("127.0.0.1");
    assert!(!done.status.success(), "the rule is for the name");
}

#[test]
fn up_serves_what_the_configuration_exposes() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let nginx = Nginx::start();
    nginx.page("x", 1);
    let config = bob.home.path().join("config.toml");
    let text = format!("[expose.web]\nto = \"{}\"\n", nginx.place());
    std::fs::write(&config, text).unwrap();
    let mut up = bob.up(&["--config", config.to_str().unwrap()]);
    let (_forward, place) = listen(&alice, &["forward", "0", "bob/web"]);
    assert_eq!(get(&place, "x").len(), 1);
    let connected = up.wait_event("connected");
    assert_eq!(connected["protocol"], "gimlet/forward/1");
}

#[test]
fn wrong_arguments_are_usage_errors() {
    let server = Server::start();
    let alice = server.host("alice");
    for args in [
        &["expose"][..],
        &["expose", "web"],
        &["expose", "web", "nowhere"],
        &["expose", "web", "80", "--allow", "db=bob"],
        &["expose", "web", "80", "--accept", "ask"],
        &["expose", "web", "80", "--socks-allow", "public"],
        &["forward", "80"],
        &["forward", "80", "bob"],
        &["socks", "unix:/x", "bob"],
    ] {
        alice.run(args).assert().code(2);
    }
}

#[test]
fn a_port_that_is_taken_says_so() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let _expose = expose(&bob, &["web", "1"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let done = alice.run(&["forward", &port, "bob/web"]).assert().code(1);
    let said = String::from_utf8_lossy(&done.get_output().stderr).into_owned();
    assert!(said.contains("cannot listen"), "{said}");
}

/// A tool that has to be there is missing: says which.
fn start(mut command: Command) -> Process {
    tool(&command);
    command.env("LC_ALL", "C");
    Process::spawn(command)
}
