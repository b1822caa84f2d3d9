//! Accepting where nobody has introduced the two: whoever comes shows a key, and is judged by it.

use std::sync::Arc;

use rustls::ServerConfig;

use super::resolve::ByServerName;
use super::verify::KeyVerifier;
use super::{Credential, TlsError};

impl Credential {
    /// For accepting from any peer. Ask [`peer_id_of`](super::peer_id_of) who it is before anything else.
    ///
    /// # Errors
    ///
    /// [`TlsError::Rustls`], when rustls refuses the configuration.
    pub fn open_server(&self, alpns: &[Vec<u8>]) -> Result<ServerConfig, TlsError> {
        let verifier = Arc::new(KeyVerifier::any(&self.provider));
        let own = Arc::new(ByServerName::own(self.certified.clone()));
        self.server(verifier, own, alpns)
    }
}
