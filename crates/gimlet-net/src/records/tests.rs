//! Records of ours against those of rustls.

use std::sync::Arc;

use gimlet_proto::tunnel::{Batch, MAX_MESSAGE};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;
use crate::identity::Identity;
use crate::tls::Credential;

/// More than everything in these tests.
const WIDE: usize = 1 << 20;

struct Ends {
    client: Arc<rustls::ClientConfig>,
    server: Arc<rustls::ServerConfig>,
}

impl Ends {
    fn new() -> Self {
        let identity = Identity::generate();
        let credential = Credential::new(&identity).unwrap();
        Self {
            client: Arc::new(credential.tunnel_client(Some(identity.peer_id())).unwrap()),
            server: Arc::new(credential.tunnel_server(None).unwrap()),
        }
    }
}

fn name() -> rustls_pki_types::ServerName<'static> {
    "localhost".try_into().unwrap()
}

/// Both ends of ours, over a stream that holds so many bytes.
async fn pair(wire: usize) -> (Records<DuplexStream>, Records<DuplexStream>) {
    let (ends, (near, far)) = (Ends::new(), duplex(wire));
    let client = connect(near, ends.client, name());
    let (client, server) = tokio::join!(client, accept(far, ends.server));
    (client.unwrap(), server.unwrap())
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n * 7 / 3) as u8).collect()
}

/// Everything arrives, both ways at once.
async fn talk(
    one: impl AsyncRead + AsyncWrite + Unpin,
    other: impl AsyncRead + AsyncWrite + Unpin,
) {
    tokio::join!(exchange(one), exchange(other));
}

async fn exchange(stream: impl AsyncRead + AsyncWrite + Unpin) {
    let sent = bytes(300_000);
    let (mut read, mut write) = tokio::io::split(stream);
    let mut came = vec![0; sent.len()];
    let writing = async {
        write.write_all(&sent).await.unwrap();
        write.flush().await.unwrap();
    };
    let ((), read) = tokio::join!(writing, read.read_exact(&mut came));
    read.unwrap();
    assert!(came == sent);
}

/// What comes until the end, and the error it ends with, if any.
async fn all(stream: &mut (impl AsyncRead + Unpin)) -> (Vec<u8>, Option<io::Error>) {
    let mut came = Vec::new();
    let error = stream.read_to_end(&mut came).await.err();
    (came, error)
}

/// The error of ours that a stream ended with, with nothing of what came before it lost.
async fn refused(stream: &mut Records<DuplexStream>) -> RecordError {
    let (came, error) = all(stream).await;
    assert_eq!(came, b"");
    let again = all(stream).await.1.unwrap().to_string();
    let error = error.unwrap();
    assert_eq!(error.to_string(), again, "it stays so");
    let error = error.into_inner().unwrap().downcast::<RecordError>();
    *error.unwrap()
}

/// A record of this kind.
fn record(from: &mut Records<DuplexStream>, kind: Kind, content: &[u8]) -> Vec<u8> {
    let Records { outgoing, keys, .. } = from;
    outgoing.put_copy(kind, content, keys).unwrap();
    let sealed = outgoing.spent();
    assert_eq!(sealed, None, "it has not been sent");
    std::mem::take(outgoing).into_unsent()
}

#[tokio::test]
async fn it_is_the_tls_of_others_in_both_roles_whatever_the_pieces() {
    for wire in [61, 5_000, WIDE] {
        let (one, other) = pair(wire).await;
        talk(one, other).await;

        let (ends, (near, far)) = (Ends::new(), duplex(wire));
        let theirs = TlsAcceptor::from(ends.server).accept(far);
        let (ours, theirs) = tokio::join!(connect(near, ends.client, name()), theirs);
        talk(ours.unwrap(), theirs.unwrap()).await;

        let (ends, (near, far)) = (Ends::new(), duplex(wire));
        let theirs = TlsConnector::from(ends.client).connect(name(), near);
        let (theirs, ours) = tokio::join!(theirs, accept(far, ends.server));
        talk(theirs.unwrap(), ours.unwrap()).await;
    }
}

#[tokio::test]
async fn frames_are_sent_from_where_they_are_and_give_their_memory_back() {
    let (mut client, mut server) = pair(WIDE).await;
    for packets in [0, 1, 40, 1000] {
        let mut batch = Batch::default();
        let pushed = (0..packets).take_while(|_| batch.push(&[7; 1300])).count();
        assert!(pushed == packets || batch.len() + 1302 > MAX_MESSAGE);
        let mut again = Batch::default();
        (0..pushed).for_each(|_| assert!(again.push(&[7; 1300])));
        let plain = again.seal(Some([1, 2, 3, 4])).plain();

        let frame = batch.seal(Some([1, 2, 3, 4]));
        client.put(frame).unwrap();
        assert!(client.unsent() > plain.len() && client.spent().is_none());
        client.flush().await.unwrap();
        assert!(client.spent().unwrap().capacity() > plain.len());
        let mut came = vec![0; plain.len()];
        server.read_exact(&mut came).await.unwrap();
        assert!(came == plain);
    }
}

#[tokio::test]
async fn keys_are_changed_before_they_are_worn_and_when_the_other_side_asks() {
    let (mut client, mut server) = pair(5_000).await;
    (client.keys.sending.limit, server.keys.sending.limit) = (3, 5);
    talk(&mut client, &mut server).await;
    // The limits are those of the suite again: the keys are others.
    assert!(client.keys.sending.limit > 5 && server.keys.sending.limit > 5);

    let (ends, (near, far)) = (Ends::new(), duplex(WIDE));
    let theirs = TlsAcceptor::from(ends.server).accept(far);
    let (ours, theirs) = tokio::join!(connect(near, ends.client, name()), theirs);
    let (mut ours, mut theirs) = (ours.unwrap(), theirs.unwrap());
    for _ in 0..100 {
        theirs.get_mut().1.refresh_traffic_keys().unwrap();
        talk(&mut ours, &mut theirs).await;
    }
}

#[tokio::test]
async fn a_stream_ends_with_close_notify_and_with_nothing_else() {
    let (mut client, mut server) = pair(WIDE).await;
    client.write_all(b"the end").await.unwrap();
    client.shutdown().await.unwrap();
    let (came, error) = all(&mut server).await;
    assert!(came == b"the end" && error.is_none());
    // The other direction is open.
    server.write_all(b"still").await.unwrap();
    server.flush().await.unwrap();
    client.read_exact(&mut [0; 5]).await.unwrap();
    drop(server);
    let (_, error) = all(&mut client).await;
    assert_eq!(error.unwrap().kind(), io::ErrorKind::UnexpectedEof);

    let whole = record(&mut client, Kind::Data, b"cut off");
    for length in 0..whole.len() {
        let (mut client, mut server) = pair(WIDE).await;
        let whole = record(&mut client, Kind::Data, b"cut off");
        client.stream.write_all(&whole[..length]).await.unwrap();
        drop(client);
        let (came, error) = all(&mut server).await;
        assert_eq!(came, b"");
        assert_eq!(error.unwrap().kind(), io::ErrorKind::UnexpectedEof);
    }
}

#[tokio::test]
async fn a_record_changed_anywhere_is_refused_and_the_other_side_told() {
    let (mut client, _) = pair(WIDE).await;
    let len = record(&mut client, Kind::Data, b"payload").len();
    for at in 0..len {
        let (mut client, mut server) = pair(WIDE).await;
        let mut bytes = record(&mut client, Kind::Data, b"payload");
        bytes[at] ^= 1;
        // Were it said to be longer, this would come to it.
        bytes.extend([0; 256]);
        client.stream.write_all(&bytes).await.unwrap();
        let (error, alert) = match at {
            0 => (RecordError::Unexpected, 10),
            _ => (RecordError::Forged, 20),
        };
        assert_eq!(refused(&mut server).await, error, "{at}");
        assert_eq!(refused(&mut client).await, RecordError::Alert(alert));
    }
}

#[tokio::test]
async fn a_record_repeated_left_out_or_in_the_clear_is_refused() {
    let (mut client, mut server) = pair(WIDE).await;
    let first = record(&mut client, Kind::Data, b"first");
    client.stream.write_all(&first).await.unwrap();
    server.read_exact(&mut [0; 5]).await.unwrap();
    client.stream.write_all(&first).await.unwrap();
    assert_eq!(refused(&mut server).await, RecordError::Forged);

    let (mut client, mut server) = pair(WIDE).await;
    record(&mut client, Kind::Data, b"first");
    let second = record(&mut client, Kind::Data, b"second");
    client.stream.write_all(&second).await.unwrap();
    assert_eq!(refused(&mut server).await, RecordError::Forged);

    let (too_long, empty) = ([23, 3, 3, 0x41, 1], [23, 3, 3, 0, 0]);
    for (bytes, expected) in [
        (&too_long[..], RecordError::TooLong),
        (&empty, RecordError::Forged),
        (&[21, 3, 3, 0, 2, 1, 0], RecordError::Unexpected),
        (&[20, 3, 3, 0, 1, 1], RecordError::Unexpected),
        (b"GET / HTTP/1.1\r\n", RecordError::Unexpected),
    ] {
        let (mut client, mut server) = pair(WIDE).await;
        client.stream.write_all(bytes).await.unwrap();
        assert_eq!(refused(&mut server).await, expected);
    }
}

#[tokio::test]
async fn what_else_may_come_is_little() {
    let ticket = [4, 0, 0, 3, 1, 2, 3];
    let cases: [(Kind, &[u8], RecordError); 8] = [
        (Kind::Alert, &[2, 20], RecordError::Alert(20)),
        (Kind::Alert, &[1], RecordError::Malformed),
        (Kind::Handshake, &[], RecordError::Unexpected),
        (Kind::Handshake, &ticket, RecordError::Unexpected),
        (Kind::Handshake, &[1, 0, 0, 0], RecordError::Unexpected),
        (Kind::Handshake, &[24, 0, 0, 1, 2], RecordError::Unexpected),
        (Kind::Handshake, &[24, 0, 0, 1], RecordError::Unexpected),
        (
            Kind::Handshake,
            &[24, 0, 0, 1, 0, 0],
            RecordError::Unexpected,
        ),
    ];
    for (kind, content, expected) in cases {
        let (mut client, mut server) = pair(WIDE).await;
        let bytes = record(&mut client, kind, content);
        client.stream.write_all(&bytes).await.unwrap();
        assert_eq!(refused(&mut server).await, expected, "{kind:?} {content:?}");
    }
    // A server's tickets are passed over.
    let (mut client, mut server) = pair(WIDE).await;
    let bytes = record(&mut server, Kind::Handshake, &[ticket, ticket].concat());
    server.stream.write_all(&bytes).await.unwrap();
    server.write_all(b"data").await.unwrap();
    client.read_exact(&mut [0; 4]).await.unwrap();
    let bytes = record(&mut server, Kind::Handshake, &ticket[..5]);
    server.stream.write_all(&bytes).await.unwrap();
    assert_eq!(refused(&mut client).await, RecordError::Malformed);
}

#[tokio::test]
async fn new_keys_without_end_are_refused() {
    let (mut client, mut server) = pair(WIDE).await;
    for _ in 0..40 {
        let update = record(&mut client, Kind::Handshake, &[24, 0, 0, 1, 1]);
        client.stream.write_all(&update).await.unwrap();
        client.keys.update_sending().unwrap();
    }
    assert_eq!(refused(&mut server).await, RecordError::Unexpected);
}

#[tokio::test]
async fn memory_is_taken_where_much_comes_and_given_back_after() {
    let (mut client, mut server) = pair(WIDE).await;
    let say = async |client: &mut Records<_>, server: &mut Records<DuplexStream>, len| {
        client.write_all(&bytes(len)).await.unwrap();
        client.flush().await.unwrap();
        server.read_exact(&mut vec![0; len]).await.unwrap();
        server.incoming.room().len()
    };
    assert_eq!(say(&mut client, &mut server, 100).await, 4 * 1024);
    assert_eq!(say(&mut client, &mut server, 200_000).await, 66 * 1024);
    for _ in 0..20 {
        say(&mut client, &mut server, 100).await;
    }
    assert_eq!(say(&mut client, &mut server, 100).await, 4 * 1024);
}

#[tokio::test]
async fn what_comes_right_behind_the_handshake_is_not_lost() {
    let (ends, (near, far)) = (Ends::new(), duplex(WIDE));
    let client = async {
        let mut client = connect(near, ends.client, name()).await.unwrap();
        client.write_all(&bytes(50_000)).await.unwrap();
        client.shutdown().await.unwrap();
        client
    };
    // Before the server reads the client's last flight.
    let server = async {
        let slow = tokio::time::timeout(std::time::Duration::from_secs(20), async {
            accept(far, ends.server).await.unwrap()
        });
        all(&mut slow.await.unwrap()).await
    };
    let (_client, (came, error)) = tokio::join!(client, server);
    assert!(came == bytes(50_000) && error.is_none());
}

#[tokio::test]
async fn a_handshake_that_fails_or_never_ends_is_an_error() {
    let (ends, (mut near, far)) = (Ends::new(), duplex(WIDE));
    near.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(accept(far, ends.server).await.is_err());
    // It is told why, in an alert.
    assert_eq!(all(&mut near).await.0.first(), Some(&21));

    let (ends, (near, far)) = (Ends::new(), duplex(WIDE));
    drop(far);
    assert!(connect(near, ends.client, name()).await.is_err());

    // Another server than the one that is meant.
    let (ends, others, (near, far)) = (Ends::new(), Ends::new(), duplex(WIDE));
    let client = connect(near, ends.client, name());
    let (client, server) = tokio::join!(client, accept(far, others.server));
    assert!(client.is_err() && server.is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn no_bytes_make_it_panic_or_come_through(
        garbage in proptest::collection::vec(any::<u8>(), 1..300),
        length in 0..300u16,
        is_record in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (mut client, mut server) = pair(WIDE).await;
            if is_record {
                client.stream.write_all(&[23, 3, 3]).await.unwrap();
                client.stream.write_all(&length.to_be_bytes()).await.unwrap();
            }
            client.stream.write_all(&garbage).await.unwrap();
            drop(client);
            let (came, error) = all(&mut server).await;
            assert!(came.is_empty() && error.is_some());
        });
    }
}
