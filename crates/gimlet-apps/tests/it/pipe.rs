//! Pipes: all bytes, both ways, and good and bad ends.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use gimlet::Connection;
use gimlet_apps::pipe::{self, Moved, PipeError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::support::{in_time, peer, server};

/// Both ends of a connection.
async fn joined() -> (Connection, Connection) {
    let server = server();
    let alice = peer(&server, vec![]).await;
    let bob = peer(&server, vec![pipe::ALPN.to_vec()]).await;
    let (to_bob, from_alice) = tokio::join!(alice.connect(bob.peer_id(), pipe::ALPN), bob.accept());
    (to_bob.unwrap(), from_alice.unwrap())
}

#[tokio::test]
async fn each_direction_ends_by_itself_and_both_sides_know_what_went_through() {
    in_time(async {
        for (up, down) in [(100_000, 50_000), (0, 0), (3 << 20, 0), (0, 1)] {
            let (to_bob, from_alice) = joined().await;
            let (up, down) = (vec![1; up], vec![2; down]);
            let (mut got_up, mut got_down) = (Vec::new(), Vec::new());
            let dialling = pipe::dial(&to_bob, &up[..], &mut got_down);
            let listening = async {
                let pipe = pipe::accept(&from_alice).await.unwrap();
                pipe.run(&down[..], &mut got_up).await
            };
            let (dialled, listened) = tokio::join!(dialling, listening);
            let (sent, received) = (up.len() as u64, down.len() as u64);
            assert_eq!(dialled.unwrap(), Moved { sent, received });
            let (sent, received) = (received, sent);
            assert_eq!(listened.unwrap(), Moved { sent, received });
            assert!(got_up == up && got_down == down);
        }
    })
    .await;
}

#[tokio::test]
async fn a_reader_that_stops_holds_the_writer() {
    in_time(async {
        let (to_bob, from_alice) = joined().await;
        let (output, mut reader) = tokio::io::duplex(1000);
        let (mut writer, input) = tokio::io::duplex(1000);
        let dialling = pipe::dial(&to_bob, input, tokio::io::sink());
        let listening = async {
            let pipe = pipe::accept(&from_alice).await.unwrap();
            pipe.run(tokio::io::empty(), output).await
        };
        let writing = async {
            let mut written = 0u64;
            let stuck = async {
                loop {
                    written += writer.write(&[7; 1000]).await.unwrap() as u64;
                }
            };
            // Nothing goes in for so long, so it is stuck.
            let patience = std::time::Duration::from_millis(500);
            let _ = tokio::time::timeout(patience, stuck).await;
            assert!(written < 16 << 20, "{written} bytes without a reader");
            drop(writer);
            let read = tokio::io::copy(&mut reader, &mut tokio::io::sink()).await;
            assert_eq!(read.unwrap(), written);
        };
        let (dialled, listened, ()) = tokio::join!(dialling, listening, writing);
        assert!(dialled.is_ok() && listened.is_ok());
    })
    .await;
}

/// Reads and writes fail.
struct Broken;

impl AsyncRead for Broken {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::ErrorKind::IsADirectory.into()))
    }
}

impl AsyncWrite for Broken {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn an_input_that_fails_is_no_end_for_the_other_side() {
    in_time(async {
        let (to_bob, from_alice) = joined().await;
        let dialling = pipe::dial(&to_bob, Broken, tokio::io::sink());
        let listening = async {
            let pipe = pipe::accept(&from_alice).await?;
            pipe.run(tokio::io::empty(), tokio::io::sink()).await
        };
        let (dialled, listened) = tokio::join!(dialling, listening);
        assert!(matches!(dialled, Err(PipeError::Input(_))), "{dialled:?}");
        assert!(
            matches!(listened, Err(PipeError::PeerFailed)),
            "{listened:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn an_output_that_is_closed_ends_the_other_sides_input() {
    in_time(async {
        let (to_bob, from_alice) = joined().await;
        // It never ends by itself.
        let (_kept, input) = tokio::io::duplex(10);
        let (mut said, output) = tokio::io::duplex(10);
        said.write_all(b"x").await.unwrap();
        let dialling = pipe::dial(&to_bob, output, tokio::io::sink());
        let listening = async {
            let pipe = pipe::accept(&from_alice).await.unwrap();
            pipe.run(input, Broken).await
        };
        let (dialled, listened) = tokio::join!(dialling, listening);
        assert!(matches!(dialled, Err(PipeError::PeerFailed)), "{dialled:?}");
        assert!(
            matches!(listened, Err(PipeError::Output(_))),
            "{listened:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn who_says_something_else_has_begun_no_pipe() {
    in_time(async {
        let (to_bob, from_alice) = joined().await;
        let (mut send, mut recv) = to_bob.open_bi().await.unwrap();
        send.write_all(&[2]).await.unwrap();
        let accepted = pipe::accept(&from_alice).await;
        assert!(matches!(accepted, Err(PipeError::NoGreeting)));
        from_alice.close(gimlet_apps::NOT_SERVED, b"no greeting");
        assert!(recv.read_u8().await.is_err());
    })
    .await;
}
