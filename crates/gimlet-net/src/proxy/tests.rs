//! Which proxy is taken, and what it may answer.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::connect::status;
use super::*;

fn proxy(text: &str) -> Proxy {
    text.parse().unwrap()
}

#[test]
fn a_proxy_is_a_host_a_port_and_perhaps_a_password() {
    let plain = proxy("http://proxy.example.org:8080");
    assert_eq!(
        (plain.host.as_str(), plain.port),
        ("proxy.example.org", 8080)
    );
    assert_eq!(plain.authorization, None);
    assert_eq!(proxy("proxy.example.org:8080"), plain);
    assert_eq!(proxy("http://proxy.example.org").port, DEFAULT_PORT);
    assert_eq!(
        proxy("http://[2001:db8::1]:8080").to_string(),
        "[2001:db8::1]:8080"
    );
    // user:p@ss
    let known = proxy("http://user:p%40ss@proxy.example.org:8080/");
    assert_eq!(known.authorization.unwrap(), "Basic dXNlcjpwQHNz");
}

#[test]
fn what_is_no_http_proxy_is_refused_with_the_reason() {
    let refused = |text: &str| text.parse::<Proxy>().unwrap_err();
    assert_eq!(refused("socks5://proxy:1080"), ParseProxyError::Scheme);
    assert_eq!(refused("https://proxy:1080"), ParseProxyError::Scheme);
    for text in [
        "",
        "http://",
        "http://a b:1",
        "http://proxy:0",
        "http://proxy:99999",
        "http://p\r\nx",
    ] {
        assert_eq!(refused(text), ParseProxyError::Malformed, "{text:?}");
    }
    assert_eq!(refused(&"a".repeat(5000)), ParseProxyError::Malformed);
}

#[test]
fn the_environment_names_a_proxy_unless_it_spares_the_host() {
    let env = |set: &'static [(&'static str, &'static str)]| {
        move |name: &str| {
            let found = set.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        }
    };
    let found = |set, host| Proxy::from_environment(env(set), host).unwrap();
    let host = "relay.example.org";
    assert_eq!(found(&[], host), None);
    assert_eq!(found(&[("http_proxy", "http://p:1")], host), None);
    assert_eq!(
        found(&[("HTTPS_PROXY", "http://p:1")], host),
        Some(proxy("p:1"))
    );
    let both = &[("all_proxy", "http://q:1"), ("https_proxy", "http://p:1")];
    assert_eq!(found(both, host), Some(proxy("p:1")));
    assert_eq!(found(&[("https_proxy", "")], host), None);
    for spared in [
        "relay.example.org",
        "example.org",
        ".example.org",
        "*",
        "other, example.org",
    ] {
        let set: &[(&str, &str)] = &[("https_proxy", "http://p:1"), ("no_proxy", spared)];
        let set: &'static [(&'static str, &'static str)] = set.to_vec().leak();
        assert_eq!(found(set, host), None, "{spared}");
    }
    let net: &[_] = &[
        ("https_proxy", "http://p:1"),
        ("NO_PROXY", "192.0.2.0/24,ample.org"),
    ];
    assert_eq!(found(net, "192.0.2.7"), None);
    assert!(found(net, "198.51.100.7").is_some() && found(net, host).is_some());
    let wrong = Proxy::from_environment(env(&[("https_proxy", "socks5://p")]), host);
    assert_eq!(wrong, Err(ParseProxyError::Scheme));
}

#[test]
fn a_password_shows_nowhere() {
    let proxy = proxy("http://user:hunter2@p:1");
    assert!(!format!("{proxy:?}{proxy}").contains("hunter2"));
}

#[test]
fn a_status_is_three_digits_behind_a_version() {
    assert_eq!(status(b"HTTP/1.1 200 OK\r\n\r\n"), Some(200));
    assert_eq!(status(b"HTTP/1.0 407\r\n\r\n"), Some(407));
    for line in [
        &b"HTTP/2 200 OK"[..],
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1 20",
        b"SSH-2.0-x",
        b"HTTP/1.1 +20 ",
    ] {
        assert_eq!(status(line), None);
    }
}

/// Asks a proxy that answers `answer` for a connection.
async fn ask(url: &str, answer: &'static [u8]) -> (Vec<u8>, Result<(), ProxyError>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = async {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            asked.push(tcp.read_u8().await.unwrap());
        }
        // A byte at a time, as a slow network may bring it; it may be told to stop.
        for byte in answer {
            if tcp.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
        asked
    };
    let proxy: Proxy = url
        .replace("PROXY", &format!("127.0.0.1:{port}"))
        .parse()
        .unwrap();
    let (asked, connected) = tokio::join!(serve, connect(&proxy, "2001:db8::1", 443));
    (asked, connected.map(|_| ()))
}

#[tokio::test]
async fn a_proxy_is_asked_with_the_password_and_its_answers_are_told_apart() {
    let (asked, connected) = ask(
        "http://user:p%40ss@PROXY",
        b"HTTP/1.1 200 OK\r\nVia: x\r\n\r\n",
    )
    .await;
    assert_eq!(connected, Ok(()));
    assert_eq!(
        String::from_utf8(asked).unwrap(),
        "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\
         Proxy-Authorization: Basic dXNlcjpwQHNz\r\n\r\n"
    );
    let refused = async |url, answer| ask(url, answer).await.1.unwrap_err();
    let denied = b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n";
    let error = refused("http://PROXY", denied).await;
    assert!(matches!(error, ProxyError::PasswordNeeded { .. }));
    let error = refused("http://a:b@PROXY", denied).await;
    assert!(matches!(error, ProxyError::PasswordWrong { .. }));
    let error = refused("http://PROXY", b"HTTP/1.1 403 Filtered\r\n\r\n<html>").await;
    assert!(matches!(error, ProxyError::Forbidden { port: 443, .. }));
    let error = refused("http://PROXY", b"HTTP/1.0 502 Bad Gateway\r\n\r\n").await;
    assert!(matches!(error, ProxyError::Failed { status: 502, .. }));
    for foreign in [
        &b"220 mail ESMTP\r\n\r\n"[..],
        b"",
        b"HTTP/1.1 200 OK\r\n\r\nSSH-2.0",
        &[b'a'; 9000],
    ] {
        let error = refused("http://PROXY", foreign).await;
        assert!(matches!(error, ProxyError::Foreign { .. }), "{error:?}");
    }
}
