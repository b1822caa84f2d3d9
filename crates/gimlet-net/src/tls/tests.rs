//! Handshakes in memory: who gets through, and with which key exchange.

use super::*;
use rustls::{ClientConnection, NamedGroup, ServerConnection};

struct Party {
    id: PeerId,
    credential: Credential,
}

fn party() -> Party {
    let identity = Identity::generate();
    Party {
        id: identity.peer_id(),
        credential: Credential::new(&identity).unwrap(),
    }
}

fn shake(client: ClientConfig, server: ServerConfig, name: &str) -> Result<Shaken, rustls::Error> {
    let name = name.to_owned().try_into().unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name)?;
    let mut server = ServerConnection::new(Arc::new(server))?;
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets()?;
        wire.clear();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut wire.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    let id = |chain: Option<&[CertificateDer<'_>]>| peer_id_of_certificate(&chain.unwrap()[0]);
    Ok(Shaken {
        server_saw: id(server.peer_certificates()),
        client_saw: id(client.peer_certificates()),
        group: client.negotiated_key_exchange_group().unwrap().name(),
    })
}

#[derive(Debug)]
struct Shaken {
    server_saw: Option<PeerId>,
    client_saw: Option<PeerId>,
    group: NamedGroup,
}

#[test]
fn two_peers_know_each_other_by_key_and_exchange_post_quantum_keys() {
    let (alice, bob) = (party(), party());
    let client = alice.credential.peer_client(bob.id, b"test/1").unwrap();
    let server = bob
        .credential
        .peer_server(alice.id, &[b"test/1".to_vec()])
        .unwrap();
    let shaken = shake(client, server, &bob.id.server_name()).unwrap();
    assert_eq!(shaken.server_saw, Some(alice.id));
    assert_eq!(shaken.client_saw, Some(bob.id));
    assert_eq!(shaken.group, NamedGroup::X25519MLKEM768);
}

#[test]
fn a_peer_with_aws_lc_alone_is_understood() {
    let (mut alice, bob) = (party(), party());
    alice.credential.provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    for (dialer, acceptor) in [(&alice, &bob), (&bob, &alice)] {
        let client = dialer.credential.peer_client(acceptor.id, b"test/1");
        let alpns = [b"test/1".to_vec()];
        let server = acceptor.credential.peer_server(dialer.id, &alpns);
        let name = acceptor.id.server_name();
        let shaken = shake(client.unwrap(), server.unwrap(), &name).unwrap();
        assert_eq!(shaken.server_saw, Some(dialer.id));
    }
}

#[test]
fn a_dialer_refuses_another_key_than_the_one_it_wants() {
    let (alice, bob, mallory) = (party(), party(), party());
    let client = alice.credential.peer_client(bob.id, b"test/1").unwrap();
    let server = mallory
        .credential
        .peer_server(alice.id, &[b"test/1".to_vec()])
        .unwrap();
    assert!(shake(client, server, &bob.id.server_name()).is_err());
}

#[test]
fn an_accepting_peer_refuses_another_key_than_the_one_introduced() {
    let (alice, bob, mallory) = (party(), party(), party());
    let client = mallory.credential.peer_client(bob.id, b"test/1").unwrap();
    let server = bob
        .credential
        .peer_server(alice.id, &[b"test/1".to_vec()])
        .unwrap();
    assert!(shake(client, server, &bob.id.server_name()).is_err());
}

#[test]
fn another_application_protocol_is_refused() {
    let (alice, bob) = (party(), party());
    let client = alice.credential.peer_client(bob.id, b"other/1").unwrap();
    let server = bob
        .credential
        .peer_server(alice.id, &[b"test/1".to_vec()])
        .unwrap();
    assert!(shake(client, server, &bob.id.server_name()).is_err());
}

#[test]
fn a_server_learns_any_clients_key_and_a_client_pins_its_servers() {
    let (server, client, mallory) = (party(), party(), party());
    let name = pinned_server_name(server.id);
    let dial = || client.credential.control_client(Some(server.id)).unwrap();

    let shaken = shake(
        dial(),
        server.credential.control_server(None).unwrap(),
        &name,
    )
    .unwrap();
    assert_eq!(shaken.server_saw, Some(client.id));
    assert!(
        shake(
            dial(),
            mallory.credential.control_server(None).unwrap(),
            &name
        )
        .is_err()
    );
}

#[test]
fn a_pinned_client_sees_the_servers_own_key_even_beside_a_web_certificate() {
    let (server, client) = (party(), party());
    let key = rcgen::KeyPair::generate().unwrap();
    let web = rcgen::CertificateParams::new(vec!["relay.example.org".to_owned()]).unwrap();
    let web = WebCertificate {
        chain: vec![web.self_signed(&key).unwrap().der().clone()],
        key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
    };
    let config = server.credential.control_server(Some(web)).unwrap();
    let dial = client.credential.control_client(Some(server.id)).unwrap();
    assert!(shake(dial, config, &pinned_server_name(server.id)).is_ok());
}

#[test]
fn only_certificates_of_sound_ed25519_keys_have_a_peer_id() {
    let p256 = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["x.invalid".to_owned()]).unwrap();
    let certificate = params.self_signed(&p256).unwrap();
    assert_eq!(peer_id_of_certificate(certificate.der()), None);
    assert_eq!(
        peer_id_of_certificate(&CertificateDer::from(vec![0x30, 0x03, 1, 2, 3])),
        None
    );
}
