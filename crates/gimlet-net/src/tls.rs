//! TLS 1.3 by key instead of by name: rustls configurations for peers and for the control session.
//!
//! Both sides of every connection present a self-signed certificate made from their identity key.
//! What is verified is the key in it and that the handshake was signed by that key; names and dates
//! in the certificate mean nothing. Key exchange is X25519MLKEM768 first, X25519 where the other
//! side lacks it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gimlet_proto::id::PeerId;
use gimlet_proto::message;
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ServerConfig};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::identity::Identity;

mod lan;
mod provider;
mod resolve;
mod verify;

pub use rustls_pki_types::CertificateDer;
pub use verify::peer_id_of_certificate;

use provider::{light, provider};
use resolve::{ByProtocol, ByServerName};
use verify::KeyVerifier;

/// How long a certificate says it is valid, counted from a day before it is made. Nobody of ours
/// looks; short, because a certificate is made anew at every start.
const CERTIFICATE_VALIDITY: Duration = Duration::from_secs(15 * 24 * 3600);

/// What is spoken in a tunnel's TLS, as any observer may see. A client that knows the server's key
/// offers [`message::ALPN`] besides, which is how the server knows which certificate to show: the
/// server name stays the host's, for firewalls that look at it.
const HTTP: &[u8] = b"http/1.1";

/// The server name a client asks for when it knows the server's key.
pub fn pinned_server_name(server: PeerId) -> String {
    format!("{server}.server.invalid")
}

/// An operator's certificate chain and key, for clients that trust by name.
#[derive(Debug)]
pub struct WebCertificate {
    /// The chain, the server's own certificate first.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its private key.
    pub key: PrivateKeyDer<'static>,
}

impl WebCertificate {
    /// Reads a certificate chain and its key from PEM files.
    ///
    /// # Errors
    ///
    /// [`WebCertificateError`]: which file is at fault, and why.
    pub fn from_pem_files(chain: &Path, key: &Path) -> Result<Self, WebCertificateError> {
        let failed = |path: &Path, source| WebCertificateError {
            path: path.to_owned(),
            source,
        };
        let certificates = CertificateDer::pem_file_iter(chain)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .and_then(|chain| match chain.is_empty() {
                true => Err(pem::Error::NoItemsFound),
                false => Ok(chain),
            })
            .map_err(|source| failed(chain, source))?;
        let private = PrivateKeyDer::from_pem_file(key).map_err(|source| failed(key, source))?;
        Ok(Self {
            chain: certificates,
            key: private,
        })
    }
}

/// A PEM file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {}: {source}", path.display())]
pub struct WebCertificateError {
    /// Which file.
    pub path: PathBuf,
    /// Why.
    pub source: pem::Error,
}

/// Why a TLS configuration cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// rustls refuses the certificate, its key or the platform's trusted roots.
    #[error("TLS cannot be set up: {0}")]
    Rustls(#[from] rustls::Error),
    /// The certificate could not be made.
    #[error("the certificate of this identity cannot be made: {0}")]
    Certificate(#[from] rcgen::Error),
}

/// What an identity shows in handshakes. Making it signs once; keep it.
#[derive(Clone, Debug)]
pub struct Credential {
    id: PeerId,
    certified: Arc<CertifiedKey>,
    provider: Arc<CryptoProvider>,
    /// Trusted besides what the platform trusts.
    roots: Arc<[CertificateDer<'static>]>,
}

impl Credential {
    /// Makes the certificate of an identity.
    ///
    /// # Errors
    ///
    /// [`TlsError`], when the cryptography library refuses the key.
    pub fn new(identity: &Identity) -> Result<Self, TlsError> {
        let provider = Arc::new(provider());
        let der = PrivatePkcs8KeyDer::from(identity.pkcs8_der().to_vec());
        let key = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_ED25519)?;
        let id = identity.peer_id();
        let mut params = rcgen::CertificateParams::new(vec![id.server_name()])?;
        params.not_before = rcgen::date_time_ymd(1970, 1, 1) + since_epoch_less_a_day();
        params.not_after = params.not_before + CERTIFICATE_VALIDITY;
        let certificate = params.self_signed(&key)?;
        let signer = provider
            .key_provider
            .load_private_key(PrivateKeyDer::Pkcs8(der))?;
        let certified = Arc::new(CertifiedKey::new(vec![certificate.der().clone()], signer));
        Ok(Self {
            id,
            certified,
            provider,
            roots: Arc::default(),
        })
    }

    /// Trusts these root certificates too, besides the platform's, where a server has no key that is
    /// known: an operator's own authority.
    pub fn with_roots(mut self, roots: Vec<CertificateDer<'static>>) -> Self {
        self.roots = roots.into();
        self
    }

    /// Whose it is.
    pub fn peer_id(&self) -> PeerId {
        self.id
    }

    /// For dialling a peer: only the holder of `peer`'s key is talked to.
    ///
    /// # Errors
    ///
    /// [`TlsError::Rustls`], when rustls refuses the configuration.
    pub fn peer_client(&self, peer: PeerId, alpn: &[u8]) -> Result<ClientConfig, TlsError> {
        let verifier = Arc::new(KeyVerifier::pinned(peer, &self.provider));
        self.client(verifier, alpn)
    }

    /// For accepting from `peer`, and from nobody else.
    ///
    /// # Errors
    ///
    /// [`TlsError::Rustls`], when rustls refuses the configuration.
    pub fn peer_server(&self, peer: PeerId, alpns: &[Vec<u8>]) -> Result<ServerConfig, TlsError> {
        let verifier = Arc::new(KeyVerifier::pinned(peer, &self.provider));
        self.server(
            verifier,
            Arc::new(ByServerName::own(self.certified.clone())),
            alpns,
        )
    }

    /// For signing in to a server: one that holds `key`, or, without a key, one whose certificate
    /// chains to a root that the platform trusts.
    ///
    /// # Errors
    ///
    /// [`TlsError::Rustls`], when the platform's roots cannot be had.
    pub fn control_client(&self, key: Option<PeerId>) -> Result<ClientConfig, TlsError> {
        match key {
            Some(key) => self.client(
                Arc::new(KeyVerifier::pinned(key, &self.provider)),
                message::ALPN,
            ),
            None => self.client(Arc::new(self.by_name()?), message::ALPN),
        }
    }

    /// For a server's control port: any key may ask to sign in. `web` is shown to clients that
    /// trust by name.
    ///
    /// # Errors
    ///
    /// [`TlsError::Rustls`], when `web` does not hold together.
    pub fn control_server(&self, web: Option<WebCertificate>) -> Result<ServerConfig, TlsError> {
        let web = match web {
            Some(web) => Some(CertifiedKey::from_der(web.chain, web.key, &self.provider)?),
            None => None,
        };
        let resolver = ByServerName::new(self.certified.clone(), web.map(Arc::new));
        let verifier = Arc::new(KeyVerifier::any(&self.provider));
        self.server(verifier, Arc::new(resolver), &[message::ALPN.to_vec()])
    }

    /// For a tunnel to a server: one that holds `key`, or, without a key, one whose certificate chains
    /// to a root that the platform trusts. What is in the tunnel proves itself once more; this keeps
    /// those out who would only like to know when and how much is sent.
    ///
    /// # Errors
    ///
    /// [`TlsError::Rustls`], when the platform's roots cannot be had.
    pub fn tunnel_client(&self, key: Option<PeerId>) -> Result<ClientConfig, TlsError> {
        let verifier: Arc<dyn rustls::client::danger::ServerCertVerifier> = match key {
            Some(key) => Arc::new(KeyVerifier::pinned(key, &self.provider)),
            None => Arc::new(self.by_name()?),
        };
        let mut config = ClientConfig::builder_with_provider(Arc::new(light(&self.provider)))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        let by_key = key.map(|_| message::ALPN.to_vec());
        config.alpn_protocols = by_key.into_iter().chain([HTTP.to_vec()]).collect();
        config.resumption = rustls::client::Resumption::disabled();
        // By our own records, see `crate::records`.
        config.enable_secret_extraction = true;
        Ok(config)
    }

    fn by_name(&self) -> Result<rustls_platform_verifier::Verifier, TlsError> {
        use rustls_platform_verifier::Verifier;
        let provider = self.provider.clone();
        let verifier = match self.roots.is_empty() {
            true => Verifier::new(provider),
            false => Verifier::new_with_extra_roots(self.roots.iter().cloned(), provider),
        };
        Ok(verifier?)
    }

    /// For a server's TCP port: anybody may knock. `web` is shown to clients that trust by name.
    ///
    /// # Errors
    ///
    /// [`TlsError::Rustls`], when `web` does not hold together.
    pub fn tunnel_server(&self, web: Option<WebCertificate>) -> Result<ServerConfig, TlsError> {
        let web = match web {
            Some(web) => Some(CertifiedKey::from_der(web.chain, web.key, &self.provider)?),
            None => None,
        };
        let resolver = ByProtocol::new(self.certified.clone(), web.map(Arc::new));
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = vec![HTTP.to_vec()];
        // By our own records, see `crate::records`.
        config.enable_secret_extraction = true;
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    fn client(
        &self,
        verifier: Arc<dyn rustls::client::danger::ServerCertVerifier>,
        alpn: &[u8],
    ) -> Result<ClientConfig, TlsError> {
        let mut config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(Arc::new(ByServerName::own(self.certified.clone())));
        config.alpn_protocols = vec![alpn.to_vec()];
        // A resumed session would skip the certificate check that identity rests on.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(config)
    }

    fn server(
        &self,
        verifier: Arc<dyn rustls::server::danger::ClientCertVerifier>,
        resolver: Arc<ByServerName>,
        alpns: &[Vec<u8>],
    ) -> Result<ServerConfig, TlsError> {
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(resolver);
        config.alpn_protocols = alpns.to_vec();
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }
}

/// Who is at the other end of a QUIC connection; `None` before the handshake is done.
pub fn peer_id_of(connection: &quinn::Connection) -> Option<PeerId> {
    let chain = connection
        .peer_identity()?
        .downcast::<Vec<CertificateDer<'static>>>()
        .ok()?;
    peer_id_of_certificate(chain.first()?)
}

fn since_epoch_less_a_day() -> Duration {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    since_epoch.saturating_sub(Duration::from_secs(24 * 3600))
}

#[cfg(test)]
mod tests;
