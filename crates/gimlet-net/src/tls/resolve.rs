//! Which certificate to show.

use std::sync::Arc;

use gimlet_proto::message;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// Shows the identity's certificate to whoever asks for an `.invalid` name, as our clients do, and
/// the operator's to clients that ask for a real host name, where there is one.
#[derive(Debug)]
pub(super) struct ByServerName {
    own: Arc<CertifiedKey>,
    web: Option<Arc<CertifiedKey>>,
}

impl ByServerName {
    pub(super) fn own(own: Arc<CertifiedKey>) -> Self {
        Self::new(own, None)
    }

    pub(super) fn new(own: Arc<CertifiedKey>, web: Option<Arc<CertifiedKey>>) -> Self {
        Self { own, web }
    }
}

impl ResolvesServerCert for ByServerName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let pinned = hello
            .server_name()
            .is_some_and(|name| name.ends_with(".invalid"));
        match &self.web {
            Some(web) if !pinned => Some(web.clone()),
            Some(_) | None => Some(self.own.clone()),
        }
    }
}

impl ResolvesClientCert for ByServerName {
    fn resolve(
        &self,
        _root_hint_subjects: &[&[u8]],
        _schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        Some(self.own.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Shows the identity's certificate to whoever offers our protocol, as clients do that know the key,
/// and the operator's to the others, where there is one.
#[derive(Debug)]
pub(super) struct ByProtocol {
    own: Arc<CertifiedKey>,
    web: Option<Arc<CertifiedKey>>,
}

impl ByProtocol {
    pub(super) fn new(own: Arc<CertifiedKey>, web: Option<Arc<CertifiedKey>>) -> Self {
        Self { own, web }
    }
}

impl ResolvesServerCert for ByProtocol {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let by_key = hello
            .alpn()
            .is_some_and(|mut offered| offered.any(|protocol| protocol == message::ALPN));
        match &self.web {
            Some(web) if !by_key => Some(web.clone()),
            Some(_) | None => Some(self.own.clone()),
        }
    }
}
