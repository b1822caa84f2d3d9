//! One connection through a forward, or a pipe, on lines where one stream of QUIC is too narrow: it is as fast as
//! the session, which bulk data over sixteen streams stands for.

use gimlet_apps::pipe;
use gimlet_server::Config;
use gimlet_sim::RouterKind;
use gimlet_tests::{Line, Session};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::Sites;
use crate::bench::payload;

/// A line of 40 ms without limit, and what is moved over it.
fn unlimited() -> (Line, usize) {
    let line = Line {
        rate: None,
        ..Line::common()
    };
    (line, 64 << 20)
}

/// 100 Mbit/s and 40 ms, where half a percent is lost each way.
fn lossy() -> (Line, usize) {
    let line = Line {
        loss: 0.005,
        ..Line::common()
    };
    (line, 32 << 20)
}

/// MB/s of `bytes` since then.
fn rate(bytes: &[u8], began_at: Instant) -> f64 {
    bytes.len() as f64 / began_at.elapsed().as_secs_f64() / 1e6
}

/// Moves all of it between two sockets, to the end.
async fn transfer(mut from: TcpStream, mut to: TcpStream, bytes: &[u8]) -> f64 {
    let began_at = Instant::now();
    let sending = async {
        from.write_all(bytes).await.unwrap();
        from.shutdown().await.unwrap();
    };
    let mut got = Vec::with_capacity(bytes.len());
    let (read, ()) = tokio::join!(to.read_to_end(&mut got), sending);
    read.unwrap();
    assert!(got == bytes, "it arrives whole and in order");
    rate(bytes, began_at)
}

/// Of one connection through a forward, from the service.
async fn forwarded(line: &Line, bytes: &[u8]) -> f64 {
    let host = (RouterKind::Plain, line.near());
    let user = (RouterKind::Plain, line.far());
    let sites = Sites::over(21, host, user, Config::on_loopback()).await;
    sites.ask().await;
    let connection = sites.link.connection().await.unwrap();
    assert!(connection.settled().await.is_direct());
    let user = sites.connect().await;
    let (service, _) = sites.service.accept().await.unwrap();
    transfer(service, user, bytes).await
}

/// Of a pipe.
async fn piped(line: &Line, bytes: &[u8]) -> f64 {
    let session = Session::over(21, line, false).await;
    let began_at = Instant::now();
    let mut got = Vec::with_capacity(bytes.len());
    let dialling = pipe::dial(&session.dialled, bytes, tokio::io::sink());
    let listening = async {
        let pipe = pipe::accept(&session.accepted).await?;
        pipe.run(tokio::io::empty(), &mut got).await
    };
    tokio::try_join!(dialling, listening).unwrap();
    assert!(got == bytes, "it arrives whole and in order");
    rate(bytes, began_at)
}

/// Of a bulk.
async fn session(line: &Line, bytes: &[u8]) -> f64 {
    let session = Session::over(21, line, false).await;
    let took = crate::far::bulk_transfer(&session.dialled, &session.accepted, bytes).await;
    bytes.len() as f64 / took.as_secs_f64() / 1e6
}

#[tokio::test(start_paused = true)]
async fn a_line_without_limit_carries_one_connection_as_fast_as_the_session() {
    let (line, length) = unlimited();
    let bytes = payload(length);
    let session = session(&line, &bytes).await;
    for (what, rate) in [
        ("forward", forwarded(&line, &bytes).await),
        ("pipe", piped(&line, &bytes).await),
    ] {
        println!("{what}: {rate} of {session} MB/s");
        assert!(rate >= 0.9 * session, "{what}: {rate} of {session} MB/s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_with_loss_carries_one_connection_as_fast_as_the_session() {
    let (line, length) = lossy();
    let bytes = payload(length);
    let session = session(&line, &bytes).await;
    for (what, rate) in [
        ("forward", forwarded(&line, &bytes).await),
        ("pipe", piped(&line, &bytes).await),
    ] {
        println!("{what}: {rate} of {session} MB/s");
        assert!(rate >= 0.9 * session, "{what}: {rate} of {session} MB/s");
    }
}
