//! Keys and certificates for development, in `certs/`. Never overwrites, never for production.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use rcgen::{CertifiedKey, KeyPair, PKCS_ED25519, generate_simple_self_signed};

use crate::term::{DIM, GOOD, paint};
use crate::workspace;

/// Only the owner may read a private key.
const KEY_MODE: u32 = 0o600;
/// A certificate is public.
const CERTIFICATE_MODE: u32 = 0o644;
/// The Ed25519 identities made here: PKCS#8 PEM, as `--identity` reads them.
const IDENTITIES: [&str; 3] = ["server.pem", "alice.pem", "bob.pem"];
/// The names the TLS certificate is good for.
const TLS_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// `cargo xtask certs`.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    make(&workspace::root().join("certs"))?;
    Ok(ExitCode::SUCCESS)
}

/// Makes in `folder` whatever is not there yet.
fn make(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    for name in IDENTITIES {
        let key = KeyPair::generate_for(&PKCS_ED25519)?;
        report(
            name,
            write_new(&folder.join(name), &key.serialize_pem(), KEY_MODE)?,
        );
    }
    let (certificate, key) = ("tls-cert.pem", "tls-key.pem");
    // A new half would not fit an old one.
    if folder.join(certificate).exists() || folder.join(key).exists() {
        report(certificate, Written::Kept);
        report(key, Written::Kept);
        return Ok(());
    }
    let names = TLS_NAMES.map(str::to_owned).to_vec();
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names)?;
    report(
        key,
        write_new(&folder.join(key), &signing_key.serialize_pem(), KEY_MODE)?,
    );
    report(
        certificate,
        write_new(&folder.join(certificate), &cert.pem(), CERTIFICATE_MODE)?,
    );
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    New,
    Kept,
}

/// Writes a file that must not exist yet; one that does is kept.
fn write_new(path: &Path, text: &str, mode: u32) -> anyhow::Result<Written> {
    match OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
    {
        Ok(mut file) => {
            file.write_all(text.as_bytes())
                .with_context(|| format!("{} can't be written", path.display()))?;
            Ok(Written::New)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Written::Kept),
        Err(error) => Err(error).with_context(|| format!("{} can't be made", path.display())),
    }
}

fn report(name: &str, written: Written) {
    let word = match written {
        Written::New => paint(GOOD, "made"),
        Written::Kept => paint(DIM, "kept"),
    };
    anstream::println!("certs/{name:<14} {word}");
}

#[cfg(test)]
mod tests;
