//! The server as an operator starts it.

#[cfg(target_os = "linux")]
use crate::support::WebServer;
use crate::support::{Process, Server, assert_keys, gimlet, once};

#[test]
fn the_ready_line_is_the_address_to_paste() {
    let state = tempfile::tempdir().unwrap();
    let mut command = gimlet();
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--state"])
        .arg(state.path());
    let mut server = Process::spawn(command);
    let line = server.wait_line(|line| line.starts_with("gimlet://127.0.0.1:"));
    assert!(line.contains("?key=") && line.contains("&token="), "{line}");
}

#[test]
fn the_ready_event_has_the_keys_of_the_contract() {
    let state = tempfile::tempdir().unwrap();
    let mut command = gimlet();
    let args = [
        "serve",
        "--json",
        "--listen",
        "127.0.0.1:0",
        "--open",
        "--state",
    ];
    command.args(args).arg(state.path());
    let mut server = Process::spawn(command);
    let ready = server.wait_event("ready");
    assert_keys(&ready, &["event", "address", "listen"]);
    assert!(
        !ready["address"].as_str().unwrap().contains("token="),
        "{ready}"
    );
}

#[test]
fn every_interface_is_announced_as_an_address_others_can_use() {
    let state = tempfile::tempdir().unwrap();
    let mut command = gimlet();
    command
        .args(["serve", "--json", "--listen", "0.0.0.0:0", "--state"])
        .arg(state.path());
    let mut server = Process::spawn(command);
    let ready = server.wait_event("ready");
    assert!(
        !ready["address"].as_str().unwrap().contains("//0.0.0.0"),
        "{ready}"
    );
}

#[test]
fn a_token_of_the_operators_choice_is_in_the_line() {
    let state = tempfile::tempdir().unwrap();
    let mut command = gimlet();
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--state"])
        .arg(state.path());
    command.env("GIMLET_TOKEN", "open-sesame");
    let mut server = Process::spawn(command);
    server.wait_line(|line| line.starts_with("gimlet://") && line.ends_with("token=open-sesame"));
}

#[test]
fn a_port_in_use_is_said_in_words() {
    let server = Server::start();
    let home = tempfile::tempdir().unwrap();
    let state = home.path().join("state");
    let args = [
        "serve",
        "--listen",
        &server.listen,
        "--state",
        state.to_str().unwrap(),
    ];
    let done = once(&home, &args).assert().code(1);
    let errors = String::from_utf8_lossy(&done.get_output().stderr).into_owned();
    assert!(
        errors.contains(&server.listen) && errors.contains("in use"),
        "{errors}"
    );
}

#[test]
fn a_bad_server_key_is_named() {
    let home = tempfile::tempdir().unwrap();
    let key = home.path().join("server.key");
    std::fs::write(&key, "not a key\n").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    }
    let state = home.path().to_str().unwrap();
    let done = once(
        &home,
        &["serve", "--listen", "127.0.0.1:0", "--state", state],
    )
    .assert()
    .code(1);
    let errors = String::from_utf8_lossy(&done.get_output().stderr).into_owned();
    assert!(errors.contains("server.key"), "{errors}");
}

#[cfg(unix)]
#[test]
fn being_told_to_end_is_a_good_end_and_the_log_is_readable() {
    let mut server = Server::start();
    server.host("alice").come_and_go();
    server.process.terminate();
    assert!(server.process.wait_exit().success());
    let log = server.process.seen().join("\n");
    assert!(log.contains("signed in") && log.contains("alice"), "{log}");
    assert!(log.contains("signed out"), "{log}");
    assert!(log.contains("totals of this run"), "{log}");
}

#[test]
fn with_a_list_of_keys_their_holders_sign_in_and_nobody_else() {
    let home = tempfile::tempdir().unwrap();
    let key = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    let (alice, bob) = (key("alice.key"), key("bob.key"));
    let id = once(&home, &["id", "--identity", &alice]).assert().code(0);
    let id = String::from_utf8_lossy(&id.get_output().stdout).into_owned();
    let config = home.path().join("gimlet.toml");
    std::fs::write(&config, format!("[serve]\nallow = [\"{}\"]\n", id.trim())).unwrap();
    let server = Server::start_with(&["--config", config.to_str().unwrap()]);
    assert!(!server.address.contains("token="), "{}", server.address);
    let list = |key: &str| {
        let args = ["list", "--server", &server.address, "--identity", key];
        once(&home, &args).assert()
    };
    list(&alice).code(0);
    let refused = list(&bob).code(1);
    let errors = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert!(errors.contains("does not let this key in"), "{errors}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_client_given_only_host_and_port_trusts_the_certificate_of_that_host() {
    use rcgen::{CertificateParams, KeyPair};

    let server = WebServer::start(|_| ());
    let (place, folder) = (&server.place, &server.folder);
    assert!(place.starts_with("localhost:"), "{place}");

    let list = |roots: &str, address: &str| {
        let args = ["--server", address, "list", "--json"];
        server.client(roots, &args).assert()
    };
    list("ca.pem", place).code(0);
    list("ca.pem", &server.address).code(0);
    let other = CertificateParams::new(vec!["elsewhere".to_owned()]).unwrap();
    let other = other.self_signed(&KeyPair::generate().unwrap()).unwrap();
    std::fs::write(folder.path().join("other.pem"), other.pem()).unwrap();
    list("other.pem", place).failure();
}

#[cfg(unix)]
#[test]
fn limits_are_read_again_on_sighup_and_a_mistake_changes_nothing() {
    let state = tempfile::tempdir().unwrap();
    let config = state.path().join("gimlet.toml");
    let write = |limits: &str| std::fs::write(&config, limits).unwrap();
    write("[serve.limits]\nsessions = 5\n");
    let mut command = gimlet();
    command.arg("--config").arg(&config);
    command.args(["serve", "--listen", "127.0.0.1:0", "--state"]);
    command.arg(state.path());
    let mut server = Process::spawn(command);
    server.wait_line(|line| line.starts_with("gimlet://"));
    write("[serve.limits.peer]\nrate = 1000000\n");
    server.hang_up();
    server.wait_line(|line| line.contains("limits read again"));
    write("[serve.limits]\nsesions = 5\n");
    server.hang_up();
    server.wait_line(|line| line.contains("limits stay"));
    server.wait_line(|line| line.contains("sesions"));
}
