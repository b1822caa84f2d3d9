//! A server that is known by its host name: its certificate chains to a root, in the tunnel's TLS and in
//! the control session inside.

use gimlet::{CertificateDer, SignInError, Transport};
use gimlet_server::Config;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::{World, soon, transfer, world_with};
use crate::operator::until;

/// An operator's own authority.
struct Authority {
    root: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).unwrap().der().clone();
        let issuer = Issuer::new(params, key);
        Self { root, issuer }
    }

    /// A world whose server has a certificate for `localhost`, and no key that clients would know.
    async fn world(&self) -> World {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let paths = (folder.path().join("chain.pem"), folder.path().join("key"));
        std::fs::write(&paths.0, certificate.pem()).unwrap();
        std::fs::write(&paths.1, key.serialize_pem()).unwrap();
        let mut config = Config::on_loopback();
        config.web_certificate = Some(paths);
        let mut world = world_with(config, false).await;
        world.address.host = "localhost".to_owned();
        world.address.key = None;
        world
    }
}

#[tokio::test]
async fn a_tunnel_to_a_server_with_a_certificate_of_a_trusted_root_carries_everything() {
    let authority = Authority::new();
    let world = authority.world().await;
    let signed_in = async || {
        let roots = vec![authority.root.clone()];
        let endpoint = world.endpoint(|builder| builder.roots(roots)).await;
        let signed_in = soon(endpoint.online()).await.unwrap();
        assert_eq!(signed_in.transport, Transport::Tls);
        endpoint
    };
    let (alice, bob) = tokio::join!(signed_in(), signed_in());
    transfer(&alice, &bob, 1 << 20).await;
    assert_eq!(world.handle.counters().tunnels, 2);
}

#[tokio::test]
async fn of_two_servers_known_by_name_the_second_takes_over_when_the_first_dies() {
    let authority = Authority::new();
    let (first, second) = tokio::join!(authority.world(), authority.world());
    let signed_in = async || {
        let roots = vec![authority.root.clone()];
        let more = second.address.clone();
        let endpoint = first.endpoint(|builder| builder.roots(roots).server(more));
        let endpoint = endpoint.await;
        until(&endpoint, |servers| servers.iter().all(|one| one.online)).await;
        endpoint
    };
    let (alice, bob) = tokio::join!(signed_in(), signed_in());
    transfer(&alice, &bob, 1 << 20).await;
    assert_eq!(first.handle.counters().tunnels, 2);
    assert_eq!(second.handle.counters().tunnels, 2);
    drop(first);
    transfer(&alice, &bob, 1 << 20).await;
    assert!(second.handle.counters().relayed_bytes > 1 << 20);
}

#[tokio::test]
async fn without_the_root_or_under_another_name_there_is_no_tunnel() {
    let authority = Authority::new();
    let mut world = authority.world().await;
    let refused = async |world: &World, root: CertificateDer<'static>| {
        let endpoint = world.endpoint(|builder| builder.roots(vec![root])).await;
        let error = soon(endpoint.online()).await.unwrap_err();
        assert!(matches!(error, SignInError::WrongKey { .. }), "{error:?}");
    };
    refused(&world, Authority::new().root).await;
    world.address.host = "127.0.0.1".to_owned();
    refused(&world, authority.root.clone()).await;
    assert_eq!(world.handle.counters().tunnels_opened, 0);
}
