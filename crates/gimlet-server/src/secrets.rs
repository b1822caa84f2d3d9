//! The server's key and token, in the state folder or drawn for this run.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use gimlet_net::identity::{Identity, IdentityError};
use gimlet_proto::address::is_token;
use gimlet_proto::rendezvous;

use crate::config::Access;

/// Why the server has no key or token.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The key file can't be used.
    #[error(transparent)]
    Key(#[from] IdentityError),
    /// The token file can't be read or written.
    #[error("cannot use the token file {}: {source}", path.display())]
    Token {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The token file or a configured token holds something else.
    #[error("a token has 1 to 128 letters, digits, '-' and '_'{}", in_file(path.as_deref()))]
    Malformed {
        /// The file; `None` for a configured token.
        path: Option<PathBuf>,
    },
    /// A list of tokens or keys with nothing in it: nobody could sign in.
    #[error("the list of who may sign in is empty; give a token or a key, or open the server")]
    Nobody,
}

fn in_file(path: Option<&Path>) -> String {
    path.map_or_else(String::new, |path| {
        format!("; {} does not hold one", path.display())
    })
}

/// The server's key: kept in the state folder, or a new one where there is none.
pub(crate) fn identity(state: Option<&Path>) -> Result<Identity, SecretError> {
    match state {
        Some(folder) => Ok(Identity::load_or_create(&folder.join("server.key"))?),
        None => Ok(Identity::generate()),
    }
}

/// Who may sign in, and the token for the address line.
pub(crate) fn access(
    access: &Access,
    state: Option<&Path>,
) -> Result<(rendezvous::Access, Option<String>), SecretError> {
    match access {
        Access::Open => Ok((rendezvous::Access::Open, None)),
        Access::Keys(keys) if keys.is_empty() => Err(SecretError::Nobody),
        Access::Keys(keys) => Ok((rendezvous::Access::Keys(keys.clone()), None)),
        Access::Tokens(tokens) => {
            let first = tokens.first().ok_or(SecretError::Nobody)?.clone();
            match tokens.iter().all(|token| is_token(token)) {
                true => Ok((rendezvous::Access::Tokens(tokens.clone()), Some(first))),
                false => Err(SecretError::Malformed { path: None }),
            }
        }
        Access::OwnToken => {
            let token = match state {
                Some(folder) => load_or_create_token(&folder.join("token"))?,
                None => draw_token(),
            };
            Ok((rendezvous::Access::Tokens(vec![token.clone()]), Some(token)))
        }
    }
}

fn load_or_create_token(path: &Path) -> Result<String, SecretError> {
    let failed = |source| SecretError::Token {
        path: path.to_owned(),
        source,
    };
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let token = draw_token();
            write_new(path, &token).map_err(failed)?;
            token
        }
        read => read.map_err(failed)?,
    };
    let token = text.trim().to_owned();
    match is_token(&token) {
        true => Ok(token),
        false => Err(SecretError::Malformed {
            path: Some(path.to_owned()),
        }),
    }
}

/// 128 random bits: nobody guesses that over a network.
fn draw_token() -> String {
    format!("{:032x}", rand::random::<u128>())
}

fn write_new(path: &Path, token: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    writeln!(file, "{token}")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_and_token_are_made_once_and_are_the_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("deep");
        let first = (
            identity(Some(&state)).unwrap().peer_id(),
            access(&Access::OwnToken, Some(&state)).unwrap().1,
        );
        let second = (
            identity(Some(&state)).unwrap().peer_id(),
            access(&Access::OwnToken, Some(&state)).unwrap().1,
        );
        assert_eq!(first, second);
        #[cfg(unix)]
        for file in ["server.key", "token"] {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(state.join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
    }

    #[test]
    fn a_file_that_holds_no_token_and_an_empty_list_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("token"), "not a token\n").unwrap();
        let refused = access(&Access::OwnToken, Some(folder.path()));
        assert!(matches!(
            refused,
            Err(SecretError::Malformed { path: Some(_) })
        ));
        for nobody in [Access::Tokens(vec![]), Access::Keys([].into())] {
            assert!(matches!(access(&nobody, None), Err(SecretError::Nobody)));
        }
    }
}
