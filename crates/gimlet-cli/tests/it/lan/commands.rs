//! Parity C: every command that names a peer finds it on this network, with no server.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;

use serde_json::Value;

use super::network::Network;
use crate::support::Process;

/// The last object of a kind.
fn last<'a>(printed: &'a [Value], event: &str) -> &'a Value {
    let mut of_kind = printed.iter().filter(|object| object["event"] == event);
    let found = of_kind.next_back();
    found.unwrap_or_else(|| panic!("{event} in {printed:?}"))
}

impl Network {
    /// A command that stays, on a host, with `--lan`; once it is ready.
    fn stays(&self, host: &str, args: &[&str]) -> Process {
        let args = [args, &["--lan", "--json"]].concat();
        let mut process = Process::spawn(self.command(host, &args));
        process.wait_event("ready");
        process
    }

    /// One that comes to its end by itself.
    fn ends(&self, host: &str, args: &[&str]) -> (Option<i32>, Vec<Value>) {
        self.run(host, &[args, &["--lan", "--json"]].concat())
    }

    /// A file of a host.
    fn file(&self, host: &str, name: &str) -> String {
        let path = self.homes.path().join(host).join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

#[test]
fn parity_c_files_go_both_ways_on_one_network_with_no_server() {
    let network = Network::new();
    let content: Vec<u8> = (0..3_000_000_u32)
        .map(|n| (n.wrapping_mul(n) >> 7) as u8)
        .collect();
    let file = network.file("a", "file");
    fs::write(&file, &content).unwrap();

    let folder = network.file("b", "in");
    let mut recv = network.stays("b", &["recv", "--dir", &folder]);
    let (status, sent) = network.ends("a", &["send", &file, "--to", "b"]);
    assert_eq!(status, Some(0), "{sent:?}");
    assert_eq!(last(&sent, "done")["path"], "direct");
    assert!(recv.wait_exit().success());
    assert!(fs::read(format!("{folder}/file")).unwrap() == content);

    let folder = network.file("c", "in");
    let mut send = network.stays("a", &["send", &file, "--count", "1"]);
    let (status, received) = network.ends("c", &["recv", "--from", "a", "--dir", &folder]);
    assert_eq!(status, Some(0), "{received:?}");
    assert!(send.wait_exit().success());
    assert!(fs::read(format!("{folder}/file")).unwrap() == content);
}

#[test]
fn parity_c_a_topic_reaches_its_subscriber_with_no_server_and_comes_back_after_a_restart() {
    let network = Network::new();
    let state = network.file("b", "state");
    let publish = |text: &'static str| {
        let args = ["publish", "--state", &state, "--stay", "30s", text];
        network.stays("b", &args)
    };
    let mut publisher = publish("one");
    let mut subscriber =
        Process::spawn(network.command("a", &["subscribe", "b", "--lan", "--json"]));
    assert_eq!(subscriber.wait_event("connected")["path"], "direct");
    assert_eq!(subscriber.wait_event("message")["text"], "one");
    publisher.terminate();
    publisher.wait_exit();
    subscriber.wait_event("disconnected");
    let _publisher = publish("two");
    assert_eq!(subscriber.wait_event("message")["text"], "two");
}

#[test]
fn parity_c_presence_and_chat_need_no_server() {
    let network = Network::new();
    let mut up = network.stays("b", &["up"]);
    let bob = network.id("b");
    let mut watch =
        Process::spawn(network.command("a", &["alive", "b", "--watch", "--lan", "--json"]));
    watch.wait_line(|line| line.contains(r#""alive":true"#));
    let (status, alive) = network.ends("a", &["alive", "b"]);
    assert_eq!((status, &alive[0]["alive"]), (Some(0), &true.into()));

    let mut chat = Process::spawn(network.command("a", &["chat", "b", "--lan", "--json"]));
    chat.type_line("hello");
    assert_eq!(up.wait_event("message")["text"], "hello");
    assert_eq!(chat.wait_event("delivered")["lines"], 1);
    chat.end_input();
    assert!(chat.wait_exit().success());

    up.terminate();
    assert!(up.wait_exit().success());
    watch.wait_line(|line| line.contains(r#""alive":false"#));
    let (status, alive) = network.ends("a", &["alive", &bob]);
    assert_eq!((status, &alive[0]["alive"]), (Some(3), &false.into()));
}

#[test]
fn parity_c_a_service_is_reached_with_no_server() {
    let network = Network::new();
    // Sockets in the file system are not behind the hosts' walls.
    let service = network.file("b", "service");
    let listener = UnixListener::bind(&service).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut asked = [0; 4];
            stream.read_exact(&mut asked).unwrap();
            stream.write_all(&asked).unwrap();
        }
    });
    let place = format!("unix:{service}");
    let _expose = network.stays("b", &["expose", "echo", &place, "--accept", "all"]);
    let local = network.file("a", "local");
    let mut forward = network.stays("a", &["forward", &format!("unix:{local}"), "b/echo"]);
    assert_eq!(forward.wait_event("connected")["path"], "direct");
    let mut stream = UnixStream::connect(&local).unwrap();
    stream.write_all(b"ping").unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"ping");
}

#[test]
fn parity_c_a_pipe_and_a_punch_need_no_server() {
    let network = Network::new();
    let mut listen = network.command("b", &["pipe", "--listen", "--lan"]);
    listen.stdout(std::process::Stdio::piped());
    let listen = listen.spawn().unwrap();
    let args = ["-c", "echo through | \"$@\"", "sh"];
    let pipe = network.command("a", &["pipe", "b", "--lan"]);
    let mut shell = std::process::Command::new("sh");
    shell
        .args(args)
        .arg(pipe.get_program())
        .args(pipe.get_args());
    shell.envs(
        pipe.get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    assert!(shell.status().unwrap().success());
    let heard = listen.wait_with_output().unwrap();
    assert_eq!(heard.stdout, b"through\n");

    let _up = network.stays("b", &["up", "--echo"]);
    let (status, punched) = network.ends("a", &["punch", "b"]);
    assert_eq!(status, Some(0), "{punched:?}");
    assert_eq!(punched[0]["strategy"], "host");
    assert_eq!(punched[0]["sign_in_ms"], Value::Null);
}
