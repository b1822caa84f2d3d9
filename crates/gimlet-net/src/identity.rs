//! An Ed25519 identity and its key file.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use gimlet_proto::id::PeerId;
use zeroize::Zeroizing;

/// Largest key file read: a PKCS#8 Ed25519 key takes some 120 bytes, with a public key some 200.
const MAX_FILE: u64 = 4096;

/// A private key. It has no `Debug` output and is wiped from memory when dropped.
#[derive(Clone)]
pub struct Identity {
    key: SigningKey,
}

impl Identity {
    /// Draws a new key from the operating system's randomness.
    pub fn generate() -> Self {
        let seed = Zeroizing::new(rand::random::<[u8; 32]>());
        Self::from_seed(&seed)
    }

    /// The key that an Ed25519 seed stands for.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self {
            key: SigningKey::from_bytes(seed),
        }
    }

    /// Reads a PKCS#8 PEM file.
    ///
    /// # Errors
    ///
    /// - [`IdentityError::Io`]: the file cannot be read.
    /// - [`IdentityError::Exposed`]: others than the owner may read it (Unix).
    /// - [`IdentityError::Malformed`]: it does not hold an Ed25519 key.
    pub fn load(path: &Path) -> Result<Self, IdentityError> {
        let io = |source| IdentityError::Io {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(io)?;
        check_private(&file, path)?;
        let mut text = Zeroizing::new(String::new());
        file.take(MAX_FILE).read_to_string(&mut text).map_err(io)?;
        let key = SigningKey::from_pkcs8_pem(&text).map_err(|_| IdentityError::Malformed {
            path: path.to_owned(),
        })?;
        Ok(Self { key })
    }

    /// Draws a new key and writes it to a new file that only its owner can read.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Io`]; an existing file is never overwritten.
    pub fn create(path: &Path) -> Result<Self, IdentityError> {
        let identity = Self::generate();
        identity
            .write_new(path)
            .map_err(|source| IdentityError::Io {
                path: path.to_owned(),
                source,
            })?;
        Ok(identity)
    }

    /// Reads the file, or makes it and its folder on first use.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load) and [`create`](Self::create).
    pub fn load_or_create(path: &Path) -> Result<Self, IdentityError> {
        match Self::load(path) {
            Err(IdentityError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                if let Some(folder) = path
                    .parent()
                    .filter(|folder| !folder.as_os_str().is_empty())
                {
                    std::fs::create_dir_all(folder).map_err(|source| IdentityError::Io {
                        path: folder.to_owned(),
                        source,
                    })?;
                }
                match Self::create(path) {
                    // Another process was faster: its key is the one.
                    Err(IdentityError::Io { source, .. })
                        if source.kind() == io::ErrorKind::AlreadyExists =>
                    {
                        Self::load(path)
                    }
                    created => created,
                }
            }
            loaded => loaded,
        }
    }

    /// The public key.
    pub fn peer_id(&self) -> PeerId {
        PeerId::from_bytes(self.key.verifying_key().to_bytes())
    }

    /// A 32-byte key for one purpose, derived from this one. The same every time.
    pub fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(blake3::derive_key(purpose, self.key.as_bytes()))
    }

    pub(crate) fn pkcs8_der(&self) -> Zeroizing<Vec<u8>> {
        let document = self
            .key
            .to_pkcs8_der()
            .expect("an Ed25519 key encodes as PKCS#8");
        Zeroizing::new(document.as_bytes().to_vec())
    }

    fn write_new(&self, path: &Path) -> io::Result<()> {
        let pem = self
            .key
            .to_pkcs8_pem(LineEnding::LF)
            .expect("an Ed25519 key encodes as PEM");
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        file.write_all(pem.as_bytes())?;
        file.sync_all()
    }
}

#[cfg(unix)]
fn check_private(file: &File, path: &Path) -> Result<(), IdentityError> {
    use std::os::unix::fs::PermissionsExt;
    let io = |source| IdentityError::Io {
        path: path.to_owned(),
        source,
    };
    let metadata = file.metadata().map_err(io)?;
    if metadata.is_file() && metadata.permissions().mode() & 0o077 != 0 {
        return Err(IdentityError::Exposed {
            path: path.to_owned(),
        });
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_private(_file: &File, _path: &Path) -> Result<(), IdentityError> {
    Ok(())
}

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file or its folder cannot be read or written.
    #[error("cannot use the key file {}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Others than the owner can read the private key.
    #[error("the key file {0} can be read by others; run: chmod 600 {0}", path.display())]
    Exposed {
        /// Which file.
        path: PathBuf,
    },
    /// Not a PKCS#8 PEM file with an Ed25519 key.
    #[error(
        "{} is not an Ed25519 private key in PKCS#8 PEM form; move it away, and a new one is made",
        path.display()
    )]
    Malformed {
        /// Which file.
        path: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_made_once_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/identity.key");
        let made = Identity::load_or_create(&path).unwrap();
        let read = Identity::load_or_create(&path).unwrap();
        assert_eq!(made.peer_id(), read.peer_id());
        assert!(
            std::fs::read_to_string(&path)
                .unwrap()
                .starts_with("-----BEGIN PRIVATE KEY-----")
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_new_key_file_is_the_owners_alone_and_an_exposed_one_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity.key");
        Identity::create(&path).unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(
            Identity::load(&path),
            Err(IdentityError::Exposed { .. })
        ));
    }

    #[test]
    fn an_existing_file_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity.key");
        std::fs::write(&path, "not a key").unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        assert!(matches!(
            Identity::create(&path),
            Err(IdentityError::Io { .. })
        ));
        assert!(matches!(
            Identity::load_or_create(&path),
            Err(IdentityError::Malformed { .. })
        ));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "not a key");
    }

    #[test]
    fn derived_keys_differ_by_purpose_and_key() {
        let (a, b) = (Identity::generate(), Identity::generate());
        assert_eq!(a.derive("x"), a.derive("x"));
        assert_ne!(a.derive("x"), a.derive("y"));
        assert_ne!(a.derive("x"), b.derive("x"));
    }
}
