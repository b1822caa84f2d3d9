//! Other people's STUN clients get the right answer from both of a server's ports.

use std::process::Command;

use gimlet_server::{Config, Server};

/// A client written from RFC 8489 in Python's standard library, sharing nothing with our codec.
const PYTHON: &str = r#"
import os, socket, struct, sys
cookie = 0x2112A442
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
s.bind(("127.0.0.1", 0))
tid = os.urandom(12)
software = b"python"
attr = struct.pack("!HH", 0x8022, len(software)) + software + b"\0" * (-len(software) % 4)
s.sendto(struct.pack("!HHI", 1, len(attr), cookie) + tid + attr, ("127.0.0.1", int(sys.argv[1])))
data, _ = s.recvfrom(2048)
kind, length, magic = struct.unpack("!HHI", data[:8])
assert (kind, magic, data[8:20], length) == (0x0101, cookie, tid, len(data) - 20), data
at = 20
while at < len(data):
    t, l = struct.unpack("!HH", data[at:at + 4])
    value = data[at + 4:at + 4 + l]
    if t == 0x0020:
        port = struct.unpack("!H", value[2:4])[0] ^ cookie >> 16
        ip = socket.inet_ntoa(struct.pack("!I", struct.unpack("!I", value[4:8])[0] ^ cookie))
        assert (ip, port) == s.getsockname(), (ip, port, s.getsockname())
        print("reflexive", ip, port)
    at += 4 + l + -l % 4
"#;

/// Runs a client; `None`, loudly, where it is not installed, which in CI is a failure.
fn run(mut command: Command, package: &str) -> Option<String> {
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => {
            let said = format!("{command:?}: {error}; apt-get install {package}");
            assert!(std::env::var_os("CI").is_none(), "{said}");
            eprintln!("not tried: {said}");
            return None;
        }
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {text}{:?}",
        output.stderr
    );
    Some(text)
}

#[tokio::test]
async fn coturns_client_and_one_in_python_learn_their_address_from_both_ports() {
    let server = Server::bind(Config::on_loopback()).unwrap();
    let ports = [
        server.local_addr().port(),
        server.alt_addr().unwrap().port(),
    ];
    tokio::spawn(server.run(std::future::pending()));
    let clients = tokio::task::spawn_blocking(move || {
        for port in ports.map(|port| port.to_string()) {
            let mut coturn = Command::new("turnutils_stunclient");
            coturn.args(["-p", &port, "127.0.0.1"]);
            if let Some(said) = run(coturn, "coturn") {
                assert!(said.contains("UDP reflexive addr: 127.0.0.1:"), "{said}");
            }
            let mut python = Command::new("python3");
            python.args(["-c", PYTHON, &port]);
            if let Some(said) = run(python, "python3") {
                assert!(said.starts_with("reflexive 127.0.0.1"), "{said}");
            }
        }
    });
    clients.await.unwrap();
}
