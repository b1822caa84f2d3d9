//! What a peer that stays signed in serves to others: echo, ping and measurements, if it wants to.

use bytes::Bytes;
use tokio::task::JoinSet;

use gimlet::bulk::Acceptor;
use gimlet::{Connection, RecvStream, SendStream};
use gimlet_apps::{NOT_SERVED, bench, echo};

/// Streams of one connection served at a time. Each holds a buffer; a peer that opens more waits.
const MAX_STREAMS: usize = 16;

/// Serves an echo or bench connection until it closes. Unless `welcome`, every stream is refused
/// and the session stays as it is.
pub(crate) async fn serve(connection: &Connection, welcome: bool) {
    if welcome && connection.alpn() == bench::ALPN {
        return measure(connection).await;
    }
    let mut streams = JoinSet::new();
    loop {
        tokio::select! {
            stream = connection.accept_bi(), if streams.len() < MAX_STREAMS => {
                let Ok((send, recv)) = stream else { return };
                match welcome {
                    true => streams.spawn(return_all(send, recv)),
                    false => { refuse(send, recv); continue }
                };
            }
            datagram = connection.read_datagram() => {
                let Ok(datagram) = datagram else { return };
                if welcome && connection.alpn() == echo::ALPN {
                    return_datagram(connection, datagram);
                }
            }
            Some(_) = streams.join_next() => (),
        }
    }
}

/// Serves one measurement after the other: two at once would measure each other.
async fn measure(connection: &Connection) {
    let mut acceptor = Acceptor::new(connection.clone());
    while let Ok((send, recv)) = connection.accept_bi().await {
        if let Err(error) = bench::serve(connection, &mut acceptor, send, recv).await {
            tracing::debug!(%error, "measurement ended early");
            // What is left of it would be taken for the next one's.
            connection.close(NOT_SERVED, b"measurement failed");
        }
    }
}

async fn return_all(send: SendStream, recv: RecvStream) {
    if let Err(error) = echo::serve(recv, send).await {
        tracing::debug!(%error, "echo ended early");
    }
}

/// A datagram that doesn't fit is lost, as datagrams are.
fn return_datagram(connection: &Connection, datagram: Bytes) {
    if let Err(error) = connection.send_datagram(datagram) {
        tracing::trace!(%error, "datagram not returned");
    }
}

/// Refuses a stream; both calls fail only where the peer was faster.
pub(crate) fn refuse(mut send: SendStream, mut recv: RecvStream) {
    let _ = send.reset(NOT_SERVED.into());
    let _ = recv.stop(NOT_SERVED.into());
}
