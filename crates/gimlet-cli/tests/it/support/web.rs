//! A server that is known by its host name, with a certificate from a root of our own.

use assert_cmd::Command;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use super::{Process, gimlet, once};

/// A server at `localhost`, open to everybody.
pub(crate) struct WebServer {
    _process: Process,
    /// The certificates, and a home for its clients.
    pub(crate) folder: TempDir,
    /// What it prints, with its key.
    pub(crate) address: String,
    /// The same with host and port only.
    pub(crate) place: String,
}

impl WebServer {
    /// Starts it with a certificate that `adjust` has had its way with.
    pub(crate) fn start(adjust: impl FnOnce(&mut CertificateParams)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_certificate = ca.self_signed(&ca_key).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut host = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        adjust(&mut host);
        let certificate = host.signed_by(&key, &Issuer::new(ca, &ca_key)).unwrap();
        std::fs::write(file("ca.pem"), ca_certificate.pem()).unwrap();
        std::fs::write(file("chain.pem"), certificate.pem()).unwrap();
        std::fs::write(file("key.pem"), key.serialize_pem()).unwrap();
        let mut command = gimlet();
        command
            .args(["serve", "--json", "--listen", "127.0.0.1:0", "--open"])
            .args(["--advertise", "localhost", "--state"])
            .arg(file("state"))
            .arg("--cert")
            .arg(file("chain.pem"))
            .arg("--cert-key")
            .arg(file("key.pem"));
        let mut process = Process::spawn(command);
        let ready = process.wait_event("ready");
        let address = ready["address"].as_str().unwrap().to_owned();
        let place = address.strip_prefix("gimlet://").unwrap();
        let place = place.split('?').next().unwrap().to_owned();
        Self {
            _process: process,
            folder,
            address,
            place,
        }
    }

    /// A command that trusts the roots in this file.
    pub(crate) fn client(&self, roots: &str, args: &[&str]) -> Command {
        let mut command = once(&self.folder, args);
        // The platform's verifier reads its roots from here on Linux.
        command
            .env("SSL_CERT_FILE", self.folder.path().join(roots))
            .env_remove("SSL_CERT_DIR");
        command
    }
}
