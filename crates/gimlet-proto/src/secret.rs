//! Ids and secrets that one introduction brings: session id, relay secret, check credentials.

use std::fmt;

use bincode::{Decode, Encode};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// One introduction between two peers, and its relay session. Drawn at random by the dialer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub struct SessionId(pub [u8; 8]);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

/// What one peer and the server share to authenticate that peer's bind frames.
///
/// Each side draws its own and tells only the server.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Zeroize, ZeroizeOnDrop)]
pub struct RelaySecret(pub [u8; 32]);

impl fmt::Debug for RelaySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RelaySecret(..)")
    }
}

/// ICE short-term credentials (RFC 8445 section 5.3) of one side for one session.
///
/// On the wire of a check, the user name is `<remote fragment>:<local fragment>` and the key the
/// receiver's password, both in lower-case hexadecimal.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Zeroize, ZeroizeOnDrop)]
pub struct Credentials {
    /// User name fragment; also finds the session that a check belongs to.
    pub fragment: [u8; 8],
    /// Password, 128 random bits as RFC 8445 asks for.
    pub password: [u8; 16],
}

impl Credentials {
    /// The user name fragment as it stands in USERNAME.
    pub fn fragment_text(&self) -> String {
        hex(&self.fragment)
    }

    /// The password as it keys MESSAGE-INTEGRITY-SHA256.
    pub fn password_text(&self) -> String {
        hex(&self.password)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({}, ..)", hex(&self.fragment))
    }
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, b| {
            let _ = write!(text, "{b:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_show_in_debug_output() {
        let secret = format!("{:?}", RelaySecret([0xab; 32]));
        let credentials = format!(
            "{:?}",
            Credentials {
                fragment: [1; 8],
                password: [0xcd; 16]
            }
        );
        assert!(
            !secret.contains("ab") && !secret.contains("171"),
            "{secret}"
        );
        assert_eq!(credentials, "Credentials(0101010101010101, ..)");
    }
}
