//! Short codes between endpoints on loopback, and what attackers get.

use std::time::Duration;

use gimlet::{Connection, Endpoint, PeerId, ServerAddress};
use gimlet_apps::Router;
use gimlet_apps::code::{
    self, Binding, ClaimError, Code, Met, Offer, OfferEvent, Options, Proving, Refusal, claim,
};
use tokio::io::AsyncReadExt;

use crate::support::{in_time, peer, peer_with, server};

/// A peer with a code on offer, whose router answers for it.
async fn offering(server: &ServerAddress, options: Options) -> (Endpoint, Offer) {
    let endpoint = peer(server, vec![code::ALPN.to_vec()]).await;
    let offer = offer_at(&endpoint, options).await;
    (endpoint, offer)
}

/// The same for a peer that is there already.
async fn offer_at(endpoint: &Endpoint, options: Options) -> Offer {
    let offer = code::offer(endpoint, options).await.unwrap();
    let door = offer.door();
    let router = Router::new().on(code::ALPN, move |connection| {
        let door = door.clone();
        async move { door.answer(connection).await }
    });
    let served = endpoint.clone();
    tokio::spawn(async move { router.serve(&served).await });
    offer
}

async fn met(offer: &mut Offer) -> Met {
    match offer.event().await {
        Some(OfferEvent::Met(met)) => met,
        other => panic!("{other:?}"),
    }
}

async fn guessed(offer: &mut Offer) -> PeerId {
    match offer.event().await {
        Some(OfferEvent::Guessed { by }) => by,
        other => panic!("{other:?}"),
    }
}

async fn late(offer: &mut Offer) -> (PeerId, Refusal) {
    match offer.event().await {
        Some(OfferEvent::Late { by, told }) => (by, told),
        other => panic!("{other:?}"),
    }
}

/// The same number with other words.
fn wrong(code: &Code) -> Code {
    let words = code.to_string();
    let other = match words.ends_with("zoo") {
        true => "zone",
        false => "zoo",
    };
    let kept = words.rsplit_once('-').unwrap().0;
    format!("{kept}-{other}").parse().unwrap()
}

fn refusal(claimed: Result<Met, ClaimError>) -> Refusal {
    match claimed {
        Err(ClaimError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn who_shares_a_code_meets_and_knows_the_others_key() {
    in_time(async {
        let server = server();
        let (alice, mut offer) = offering(&server, Options::default()).await;
        let bob = peer(&server, Vec::new()).await;
        // As somebody types it who was told it.
        let typed = offer.code().to_string().to_uppercase().replace('-', " ");
        let typed = typed.parse().unwrap();
        let (found, came) = tokio::join!(claim(&bob, &typed), met(&mut offer));
        let found = found.unwrap();
        assert_eq!(found.peer, alice.peer_id());
        assert_eq!(came.peer, bob.peer_id());

        let mut send = found.connection.open_uni().await.unwrap();
        send.write_all(b"hello").await.unwrap();
        send.finish().unwrap();
        let mut recv = came.connection.accept_uni().await.unwrap();
        assert_eq!(recv.read_to_end(9).await.unwrap(), b"hello");
    })
    .await;
}

#[tokio::test]
async fn a_wrong_code_is_refused_once_and_for_all_and_the_sender_told() {
    in_time(async {
        let server = server();
        let (_alice, mut offer) = offering(&server, Options::default()).await;
        let (bob, mallory) = (
            peer(&server, Vec::new()).await,
            peer(&server, Vec::new()).await,
        );
        let claimed = claim(&mallory, &wrong(offer.code())).await;
        assert_eq!(refusal(claimed), Refusal::Wrong);
        assert_eq!(guessed(&mut offer).await, mallory.peer_id());
        // A second guess is not looked at, nor is the right code any more.
        let claimed = claim(&mallory, &wrong(offer.code())).await;
        assert_eq!(refusal(claimed), Refusal::Guessed);
        assert_eq!(
            late(&mut offer).await,
            (mallory.peer_id(), Refusal::Guessed)
        );
        let claimed = claim(&bob, offer.code()).await;
        assert_eq!(refusal(claimed), Refusal::Guessed);
        assert_eq!(late(&mut offer).await, (bob.peer_id(), Refusal::Guessed));
    })
    .await;
}

#[tokio::test]
async fn a_code_used_twice_is_refused_and_the_sender_told() {
    in_time(async {
        let server = server();
        let (_alice, mut offer) = offering(&server, Options::default()).await;
        let (bob, carol) = (
            peer(&server, Vec::new()).await,
            peer(&server, Vec::new()).await,
        );
        let first = claim(&bob, offer.code()).await.unwrap();
        let _kept = met(&mut offer).await;
        let claimed = claim(&carol, offer.code()).await;
        assert_eq!(refusal(claimed), Refusal::Used);
        assert_eq!(late(&mut offer).await, (carol.peer_id(), Refusal::Used));

        let code = offer.code().clone();
        drop((offer, first));
        // Withdrawn: the number leads nowhere. The server hears of it within a round trip.
        loop {
            match claim(&carol, &code).await {
                Err(ClaimError::Unknown { .. }) => break,
                Err(_) => (),
                Ok(met) => panic!("{met:?}"),
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_code_ends_with_its_time() {
    in_time(async {
        let server = server();
        let options = Options {
            ttl: Duration::from_secs(1),
            ..Options::default()
        };
        let (_alice, mut offer) = offering(&server, options).await;
        let bob = peer(&server, Vec::new()).await;
        let event = offer.event().await;
        assert!(matches!(event, Some(OfferEvent::Expired)), "{event:?}");
        let claimed = claim(&bob, offer.code()).await;
        assert!(
            matches!(
                claimed,
                Err(ClaimError::Unknown { .. } | ClaimError::Refused(Refusal::Expired))
            ),
            "{claimed:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn what_is_no_share_spends_no_code() {
    in_time(async {
        let server = server();
        let (alice, mut offer) = offering(&server, Options::default()).await;
        let bob = peer(&server, Vec::new()).await;
        let connection = bob.connect(alice.peer_id(), code::ALPN).await.unwrap();
        let (mut send, mut recv) = connection.open_bi().await.unwrap();
        send.write_all(&[0xfe; 33]).await.unwrap();
        assert_eq!(recv.read_u8().await.unwrap(), Refusal::Malformed.byte());
        // Nor does leaving in the middle.
        let connection = bob.connect(alice.peer_id(), code::ALPN).await.unwrap();
        let (mut send, _recv) = connection.open_bi().await.unwrap();
        send.write_all(b"A").await.unwrap();
        drop((send, connection));
        let code = offer.code().clone();
        let (claimed, _met) = tokio::join!(claim(&bob, &code), met(&mut offer));
        assert!(claimed.is_ok(), "{claimed:?}");
    })
    .await;
}

#[tokio::test]
async fn with_two_servers_a_number_is_the_first_ones_wherever_one_is() {
    in_time(async {
        let (first, second) = (server(), server());
        // The same number at the second server is somebody else's, who must not be troubled.
        let other = peer(&second, vec![code::ALPN.to_vec()]).await;
        let held = other.hold_number(Duration::from_secs(60)).await.unwrap();
        let with_both = async |alpns| {
            let builder = Endpoint::builder().server(first.clone());
            peer_with(builder.server(second.clone()).alpns(alpns)).await
        };
        let alice = with_both(vec![code::ALPN.to_vec()]).await;
        let mut offer = offer_at(&alice, Options::default()).await;
        assert_eq!(offer.code().number(), held.number());
        // Which server is nearest is chance on loopback, so some claimants find each the nearer one.
        for _ in 0..4 {
            let bob = with_both(Vec::new()).await;
            let found = bob.resolve_number(held.number()).await.unwrap();
            assert_eq!(found.peer, alice.peer_id());
        }
        let bob = with_both(Vec::new()).await;
        let code = offer.code().clone();
        let (claimed, came) = tokio::join!(claim(&bob, &code), met(&mut offer));
        assert_eq!(claimed.unwrap().peer, alice.peer_id());
        assert_eq!(came.peer, bob.peer_id());
    })
    .await;
}

/// The claimant asks a server that leads it to the attacker instead of the offerer.
struct Trap {
    offer: Offer,
    /// Asks the lying server.
    claimant: Endpoint,
    /// Stands where the claimant is led to.
    attacker: Endpoint,
    /// The attacker toward the offerer.
    toward: Endpoint,
    offerer: PeerId,
}

impl Trap {
    async fn new() -> Self {
        let (honest, lying) = (server(), server());
        let (alice, offer) = offering(&honest, Options::default()).await;
        let attacker = peer(&lying, vec![code::ALPN.to_vec()]).await;
        let held = attacker.hold_number(Duration::from_secs(60)).await.unwrap();
        assert_eq!(held.number(), offer.code().number());
        Self {
            offer,
            claimant: peer(&lying, Vec::new()).await,
            attacker,
            toward: peer(&honest, Vec::new()).await,
            offerer: alice.peer_id(),
        }
    }
}

#[tokio::test]
async fn a_server_playing_man_in_the_middle_on_a_code_fails() {
    in_time(async {
        let mut trap = Trap::new().await;
        let passing_on = async {
            let near = trap.attacker.accept().await.unwrap();
            let (mut near_send, mut near_recv) = near.accept_bi().await.unwrap();
            let far = trap.toward.connect(trap.offerer, code::ALPN).await.unwrap();
            let (mut far_send, mut far_recv) = far.open_bi().await.unwrap();
            let _ = tokio::join!(
                tokio::io::copy(&mut near_recv, &mut far_send),
                tokio::io::copy(&mut far_recv, &mut near_send),
            );
            let _ = near_send.finish();
            near.closed().await;
        };
        let code = trap.offer.code().clone();
        let claiming = claim(&trap.claimant, &code);
        let (claimed, by, ()) = tokio::join!(claiming, guessed(&mut trap.offer), passing_on);
        assert_eq!(refusal(claimed), Refusal::Wrong);
        // The sender sees that somebody tried, and who: not the one it waits for.
        assert_eq!(by, trap.toward.peer_id());
    })
    .await;
}

#[tokio::test]
async fn who_answers_in_the_offerers_place_convinces_nobody() {
    in_time(async {
        let trap = Trap::new().await;
        let answering = async {
            let connection = trap.attacker.accept().await.unwrap();
            answer_with_a_guess(&connection, &wrong(trap.offer.code())).await;
            connection.closed().await;
        };
        let (claimed, ()) = tokio::join!(claim(&trap.claimant, trap.offer.code()), answering);
        assert!(matches!(claimed, Err(ClaimError::NotThem)), "{claimed:?}");
    })
    .await;
}

/// Plays the offerer with words that are not those, and claims to be convinced.
async fn answer_with_a_guess(connection: &Connection, guess: &Code) {
    let (mut send, mut recv) = connection.accept_bi().await.unwrap();
    let mut share = [0; 33];
    AsyncReadExt::read_exact(&mut recv, &mut share)
        .await
        .unwrap();
    let binding = Binding {
        claimant: connection.peer(),
        offerer: connection.peer(),
        exporter: [0; 32],
    };
    let (_, own) = Proving::answer(guess, &binding, &share).unwrap();
    send.write_all(&[0]).await.unwrap();
    send.write_all(&own).await.unwrap();
    let mut proof = [0; 32];
    AsyncReadExt::read_exact(&mut recv, &mut proof)
        .await
        .unwrap();
    send.write_all(&[0]).await.unwrap();
    send.write_all(&proof).await.unwrap();
    send.finish().unwrap();
}
