//! One connection through a forward, or a pipe, on lines where one stream of QUIC is too narrow: it is as fast as
//! the session, which bulk data over sixteen streams stands for.

use std::time::Duration;

use gimlet_apps::pipe;
use gimlet_server::Config;
use gimlet_sim::RouterKind;
use gimlet_tests::{Line, Session};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

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

/// A service and its user, over a direct path.
async fn sites(line: &Line) -> Sites {
    let host = (RouterKind::Plain, line.near());
    let user = (RouterKind::Plain, line.far());
    let sites = Sites::over(21, host, user, Config::on_loopback()).await;
    sites.ask().await;
    let connection = sites.link.connection().await.unwrap();
    assert!(connection.settled().await.is_direct());
    sites
}

/// A connection: the service's end, the user's end.
async fn joined(sites: &Sites) -> (TcpStream, TcpStream) {
    let user = sites.connect().await;
    let (service, _) = sites.service.accept().await.unwrap();
    (service, user)
}

/// Of one connection through a forward, from the service; the fastest of three, or the first that is fast
/// `enough`, since the clock may leap.
async fn forwarded(line: &Line, bytes: &[u8], enough: f64) -> f64 {
    let mut fastest = 0.0f64;
    for _ in 0..3 {
        let sites = sites(line).await;
        let (service, user) = joined(&sites).await;
        fastest = fastest.max(transfer(service, user, bytes).await);
        if fastest >= enough {
            break;
        }
    }
    fastest
}

/// Of a pipe: the median of three, since a loss of the first packets costs one in ten a tenth.
async fn piped(line: &Line, bytes: &[u8]) -> f64 {
    let mut rates = [0.0; 3];
    for (seed, rate) in (21..).zip(&mut rates) {
        *rate = piped_over(seed, line, bytes).await;
    }
    rates.sort_by(f64::total_cmp);
    rates[1]
}

async fn piped_over(seed: u64, line: &Line, bytes: &[u8]) -> f64 {
    let session = Session::over(seed, line, false).await;
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

/// One connection has nine tenths of what the session has.
async fn as_fast_as_the_session((line, length): (Line, usize)) {
    let bytes = payload(length);
    let session = session(&line, &bytes).await;
    for (what, rate) in [
        ("forward", forwarded(&line, &bytes, 0.9 * session).await),
        ("pipe", piped(&line, &bytes).await),
    ] {
        println!("{what}: {rate} of {session} MB/s");
        assert!(rate >= 0.9 * session, "{what}: {rate} of {session} MB/s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_without_limit_carries_one_connection_as_fast_as_the_session() {
    as_fast_as_the_session(unlimited()).await;
}

#[tokio::test(start_paused = true)]
async fn a_line_with_loss_carries_one_connection_as_fast_as_the_session() {
    as_fast_as_the_session(lossy()).await;
}

/// One on which so much has come from the service that one stream is no longer enough.
async fn widened(sites: &Sites) -> (TcpStream, TcpStream) {
    const LENGTH: usize = 8 << 20;
    let (mut service, mut user) = joined(sites).await;
    let narrow = Duration::from_millis(40) * 6;
    // The clock leaps where the system is slow to hand over what a socket was given.
    for _ in 0..8 {
        let began_at = Instant::now();
        let mut got = vec![1; LENGTH];
        let reading = user.read_exact(&mut got);
        let (written, read) = tokio::join!(service.write_all(&[7; LENGTH]), reading);
        written.unwrap();
        read.unwrap();
        assert!(got.iter().all(|byte| *byte == 7));
        if began_at.elapsed() < narrow {
            return (service, user);
        }
    }
    panic!("it is as slow as one stream");
}

#[tokio::test(start_paused = true)]
async fn a_wide_connection_is_half_closed_and_stays_half_open() {
    let sites = sites(&unlimited().0).await;
    let (mut service, mut user) = widened(&sites).await;
    service.write_all(b"last").await.unwrap();
    service.shutdown().await.unwrap();
    let mut last = String::new();
    user.read_to_string(&mut last).await.unwrap();
    assert_eq!(last, "last");
    // The other direction goes on, and becomes wide itself.
    let bytes = payload(8 << 20);
    transfer(user, service, &bytes).await;
}

#[tokio::test(start_paused = true)]
async fn a_reset_of_a_wide_connection_passes_in_the_direction_of_its_data() {
    let sites = sites(&unlimited().0).await;
    let (mut service, mut user) = widened(&sites).await;
    service.write_all(&[7; 1 << 20]).await.unwrap();
    service.set_zero_linger().unwrap();
    drop(service);
    let end = user.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);
    sites.ask().await;
}

#[tokio::test(start_paused = true)]
async fn a_reset_of_a_wide_connection_passes_against_its_data() {
    let sites = sites(&unlimited().0).await;
    let (mut service, user) = widened(&sites).await;
    user.set_zero_linger().unwrap();
    drop(user);
    let end = loop {
        if let Err(end) = service.write_all(&[7; 1 << 16]).await {
            break end;
        }
    };
    assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);
    sites.ask().await;
}

/// More than QUIC's windows for a connection and the system's buffers of its four sockets hold together.
const MUCH: usize = 256 << 20;

#[tokio::test(start_paused = true)]
async fn wide_connections_that_nobody_reads_hold_their_writers_and_nobody_else() {
    let sites = sites(&unlimited().0).await;
    // As many as have streams to go on over, and some that keep theirs.
    let mut stalled = vec![widened(&sites).await, widened(&sites).await];
    for _ in 0..4 {
        stalled.push(joined(&sites).await);
    }
    for (service, _) in &mut stalled {
        let mut written = 0;
        // Nothing goes in for so long: it is stuck.
        while let Ok(wrote) = timeout(Duration::from_secs(5), service.write(&[7; 1 << 16])).await {
            written += wrote.unwrap();
            assert!(written < MUCH, "back-pressure ends it, not memory");
        }
    }
    let answered = timeout(Duration::from_secs(60), sites.ask()).await;
    answered.expect("the others are not held up");
    // Whoever is read again goes on.
    let (service, mut user) = stalled.swap_remove(0);
    drop(service);
    user.read_to_end(&mut Vec::new()).await.unwrap();
}
