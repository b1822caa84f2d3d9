//! DNS over a UDP forward: dnsmasq answers, dig asks.

use std::net::UdpSocket;
use std::process::Command;
use std::time::Instant;

use super::tools::program;
use super::{expose, listen, start};
use crate::support::{DEADLINE, Process, Server};

/// Texts of the large answer, of which each has 200 bytes: together 3,600, which EDNS lets through.
const TEXTS: usize = 18;

/// A name server on a port of loopback.
struct Dnsmasq {
    port: u16,
    _process: Process,
}

impl Dnsmasq {
    fn start() -> Self {
        let free = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mut dnsmasq = program("dnsmasq", "dnsmasq-base");
        dnsmasq
            .args([
                "--keep-in-foreground",
                "--conf-file=/dev/null",
                "--no-resolv",
                "--no-hosts",
            ])
            .args([
                "--listen-address=127.0.0.1",
                "--bind-interfaces",
                "--pid-file=",
            ])
            .args([
                "--user=",
                "--edns-packet-max=4096",
                "--address=/small.test/192.0.2.7",
            ])
            .arg(format!("--port={port}"));
        for n in 0..TEXTS {
            dnsmasq.arg(format!("--txt-record=large.test,{}", text(n)));
        }
        let server = Self {
            port,
            _process: start(dnsmasq),
        };
        let deadline = Instant::now() + DEADLINE;
        while !server.answers() {
            assert!(Instant::now() < deadline, "dnsmasq does not answer");
        }
        server
    }

    fn answers(&self) -> bool {
        let mut dig = dig(self.port);
        let done = dig
            .args(["+time=1", "+tries=1", "small.test"])
            .output()
            .unwrap();
        done.status.success() && !done.stdout.is_empty()
    }
}

fn text(n: usize) -> String {
    format!("{n:03}-{}", "x".repeat(196))
}

fn dig(port: u16) -> Command {
    let mut dig = program("dig", "bind9-dnsutils");
    dig.args(["-r", "@127.0.0.1", "+short", "+notcp", "+ignore", "-p"]);
    dig.arg(port.to_string());
    dig
}

#[test]
fn names_are_resolved_through_a_udp_forward_large_answers_too() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let dnsmasq = Dnsmasq::start();
    let _expose = expose(&bob, &["--udp", "dns", &dnsmasq.port.to_string()]);
    let (_forward, place) = listen(&alice, &["forward", "--udp", "0", "bob/dns"]);
    let port = place.rsplit(':').next().unwrap().parse().unwrap();
    // Each question is from a port of its own, so each is a flow of its own.
    for n in 0..50 {
        let name = format!("host-{n}.small.test");
        let done = dig(port).arg(&name).output().unwrap();
        assert_eq!(
            String::from_utf8_lossy(&done.stdout),
            "192.0.2.7\n",
            "{name}"
        );
    }
    let done = dig(port)
        .args(["+bufsize=4096", "large.test", "TXT"])
        .output()
        .unwrap();
    let answer = String::from_utf8_lossy(&done.stdout).into_owned();
    let mut texts: Vec<_> = answer
        .lines()
        .map(|line| line.trim_matches('"').to_owned())
        .collect();
    texts.sort();
    let expected: Vec<_> = (0..TEXTS).map(text).collect();
    assert_eq!(texts, expected);
}
