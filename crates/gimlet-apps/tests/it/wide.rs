//! Directions that go on over several streams, seen from a peer that speaks the protocol byte by byte.

use gimlet::{Connection, RecvStream, SendStream};
use gimlet_apps::forward::{Allow, Exposed, FlowError};
use gimlet_apps::pipe::{self, PipeError};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::forward::world::{World, closed, service};
use crate::support::{in_time, peer, server};

/// Data before a mark.
const STRETCH: usize = 1 << 20;

/// Data of one stripe before the next has its turn.
const BLOCK: usize = 64 << 10;

const STAYS: u8 = 0;
const WIDENS: u8 = 1;

/// A pipe whose dialer writes its bytes itself.
struct Raw {
    connection: Connection,
    send: SendStream,
    _recv: RecvStream,
    listening: tokio::task::JoinHandle<Result<Vec<u8>, PipeError>>,
}

impl Raw {
    async fn begin() -> Self {
        let server = server();
        let alice = peer(&server, vec![]).await;
        let bob = peer(&server, vec![pipe::ALPN.to_vec()]).await;
        let dial = alice.connect(bob.peer_id(), pipe::ALPN);
        let (connection, accepted) = tokio::join!(dial, bob.accept());
        let accepted = accepted.unwrap();
        let listening = tokio::spawn(async move {
            let _kept = (alice, bob);
            let mut output = Vec::new();
            let pipe = pipe::accept(&accepted).await?;
            pipe.run(tokio::io::empty(), &mut output).await?;
            Ok(output)
        });
        let connection = connection.unwrap();
        let (mut send, recv) = connection.open_bi().await.unwrap();
        send.write_all(&[1]).await.unwrap();
        Self {
            connection,
            send,
            _recv: recv,
            listening,
        }
    }

    /// A stretch of data, and a byte where the mark is to be.
    async fn stretch(&mut self, mark: u8) {
        self.send.write_all(&[b'a'; STRETCH]).await.unwrap();
        self.send.write_all(&[mark]).await.unwrap();
    }

    async fn stripe(&self, bulk: u8, stripe: u8, stripes: u8) -> SendStream {
        stripe_of(&self.connection, bulk, stripe, stripes).await
    }

    /// What the listener has, once it has everything.
    async fn output(mut self) -> Result<Vec<u8>, PipeError> {
        // Fails where it is finished already.
        let _ = self.send.finish();
        // Fails where the listener has closed already.
        if let Ok(mut all_here) = self.connection.open_uni().await {
            let _ = all_here.finish();
        }
        self.listening.await.unwrap()
    }
}

async fn stripe_of(connection: &Connection, bulk: u8, stripe: u8, stripes: u8) -> SendStream {
    let mut stream = connection.open_uni().await.unwrap();
    let header = [0, 0, 0, 0, 0, 0, 0, bulk, stripe, stripes];
    stream.write_all(&header).await.unwrap();
    stream
}

#[tokio::test]
async fn a_mark_is_no_data_and_an_end_may_stand_in_its_place() {
    in_time(async {
        let mut raw = Raw::begin().await;
        raw.stretch(STAYS).await;
        raw.stretch(STAYS).await;
        raw.send.write_all(b"rest").await.unwrap();
        let output = raw.output().await.unwrap();
        assert_eq!(output.len(), 2 * STRETCH + 4);
        assert!(output.ends_with(b"arest"));

        let mut raw = Raw::begin().await;
        raw.send.write_all(&[b'a'; STRETCH]).await.unwrap();
        assert!(raw.output().await.unwrap() == [b'a'; STRETCH]);
    })
    .await;
}

#[tokio::test]
async fn stripes_are_put_together_in_whatever_order_they_come() {
    in_time(async {
        let mut raw = Raw::begin().await;
        raw.stretch(WIDENS).await;
        let mut third = raw.stripe(0, 2, 3).await;
        third.write_all(b"cc").await.unwrap();
        third.finish().unwrap();
        let mut second = raw.stripe(0, 1, 3).await;
        second.write_all(&[b'b'; BLOCK]).await.unwrap();
        second.finish().unwrap();
        let mut first = raw.stripe(0, 0, 3).await;
        first.write_all(&[b'a'; BLOCK]).await.unwrap();
        first.finish().unwrap();
        let output = raw.output().await.unwrap();
        assert_eq!(output.len(), STRETCH + 2 * BLOCK + 2);
        assert!(output.ends_with(b"bcc") && output[STRETCH + BLOCK - 1..].starts_with(b"ab"));
    })
    .await;
}

#[tokio::test]
async fn what_does_not_fit_together_is_no_end() {
    in_time(async {
        // No mark.
        let mut raw = Raw::begin().await;
        raw.stretch(7).await;
        let output = raw.output().await;
        assert!(matches!(output, Err(PipeError::PeerFailed)), "{output:?}");
        // More on the stream that goes on elsewhere.
        let mut raw = Raw::begin().await;
        raw.stretch(WIDENS).await;
        raw.send.write_all(b"more").await.unwrap();
        raw.stripe(0, 0, 1).await.finish().unwrap();
        let output = raw.output().await;
        assert!(matches!(output, Err(PipeError::PeerFailed)), "{output:?}");
        // The bulk of another stream.
        let mut raw = Raw::begin().await;
        raw.stretch(WIDENS).await;
        raw.stripe(4, 0, 1).await.finish().unwrap();
        let output = raw.output().await;
        assert!(matches!(output, Err(PipeError::PeerFailed)), "{output:?}");
        // A stripe that goes on after the end of the one before it.
        let mut raw = Raw::begin().await;
        raw.stretch(WIDENS).await;
        raw.stripe(0, 0, 2).await.finish().unwrap();
        raw.stripe(0, 1, 2).await.write_all(b"x").await.unwrap();
        let output = raw.output().await;
        assert!(matches!(output, Err(PipeError::PeerFailed)), "{output:?}");
    })
    .await;
}

/// The other side of a forward, byte by byte: a stream that has been answered.
async fn flow(world: &World) -> (Connection, SendStream, RecvStream) {
    let connection = world.link.connection().await.unwrap();
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    send.write_all(b"\x01\x03web").await.unwrap();
    assert_eq!(recv.read_u8().await.unwrap(), 0, "the service is there");
    (connection, send, recv)
}

async fn world() -> (World, TcpListener) {
    let (listener, place) = service().await;
    let exposed = Exposed::new().service("web".parse().unwrap(), place, Allow::Everyone);
    (World::new(exposed).await, listener)
}

#[tokio::test]
async fn who_never_sends_a_stripe_holds_its_own_connection_and_can_still_reset_it() {
    in_time(async {
        let (world, listener) = world().await;
        let mut events = world.exposed.events();
        let (connection, mut send, _recv) = flow(&world).await;
        let (mut at_service, _) = listener.accept().await.unwrap();
        send.write_all(&[b'a'; STRETCH]).await.unwrap();
        send.write_all(&[WIDENS]).await.unwrap();
        let number = u8::try_from(u64::from(send.id())).unwrap();
        let mut second = stripe_of(&connection, number, 1, 2).await;
        second.write_all(&[b'b'; BLOCK]).await.unwrap();
        let mut got = vec![0; STRETCH];
        at_service.read_exact(&mut got).await.unwrap();
        // Others go on.
        let (_connection, mut other, _recv) = flow(&world).await;
        let (mut served, _) = listener.accept().await.unwrap();
        other.write_all(b"x").await.unwrap();
        assert_eq!(served.read_u8().await.unwrap(), b'x');
        // The first one ends as soon as it is given up.
        send.reset(8u8.into()).unwrap();
        let end = at_service.read_u8().await.unwrap_err();
        assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);
        let (_, _, failure) = closed(&mut events).await;
        assert_eq!(failure, Some(FlowError::ResetThere));
    })
    .await;
}

#[tokio::test]
async fn bulks_that_belong_to_nothing_are_stopped_and_what_is_no_stripe_ends_the_session() {
    in_time(async {
        let (world, listener) = world().await;
        let (connection, mut send, _recv) = flow(&world).await;
        let (mut at_service, _) = listener.accept().await.unwrap();
        for number in 200..=255 {
            let stranger = stripe_of(&connection, number, 0, 1).await;
            assert!(stranger.stopped().await.unwrap().is_some());
        }
        send.write_all(b"x").await.unwrap();
        assert_eq!(at_service.read_u8().await.unwrap(), b'x');
        // A stripe beyond the last.
        let _stream = stripe_of(&connection, 0, 2, 2).await;
        let end = at_service.read_u8().await.unwrap_err();
        assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);
        let closed = connection.closed().await;
        assert!(
            matches!(closed, gimlet::CloseReason::Peer { code: 3, .. }),
            "{closed:?}"
        );
    })
    .await;
}
