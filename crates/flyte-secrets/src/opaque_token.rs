//! Codes and tokens that only this server can interpret.

use aws_lc_rs::{digest, error::Unspecified, rand};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::SecretHash;

/// The purpose of a token. Its first characters show it, so that scanners for leaked secrets can recognise the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An authorization code.
    AuthorizationCode,
    /// A refresh token.
    RefreshToken,
    /// A device code.
    DeviceCode,
    /// The secret of a client that an administrator registered.
    ClientSecret,
    /// A one-time link for an account.
    AccountLink,
    /// A key of a SCIM client.
    ScimKey,
}

impl Kind {
    /// Returns the first characters of every token of this kind.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "flc_",
            Self::RefreshToken => "flr_",
            Self::DeviceCode => "fld_",
            Self::ClientSecret => "fls_",
            Self::AccountLink => "fll_",
            Self::ScimKey => "flscim_",
        }
    }
}

/// Generates a new token: [`Kind::prefix`] and 256 random bits in base64url.
///
/// # Errors
/// The system's random number generator fails.
pub fn generate(kind: Kind) -> Result<SecretString, Unspecified> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    rand::fill(bytes.as_mut())?;
    let mut token = String::with_capacity(47);
    token.push_str(kind.prefix());
    URL_SAFE_NO_PAD.encode_string(bytes.as_ref(), &mut token);
    Ok(token.into())
}

/// Returns the hash of a token, which the server stores. A slow hash would add nothing: 256 random bits cannot be
/// guessed.
#[must_use]
pub fn hash(token: &str) -> SecretHash {
    let mut hash = SecretHash::default();
    hash.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn tokens_differ_and_show_their_kind() {
        let (one, other) = (generate(Kind::RefreshToken).unwrap(), generate(Kind::RefreshToken).unwrap());
        assert_ne!(one.expose_secret(), other.expose_secret());
        assert!(one.expose_secret().starts_with("flr_"));
        let random = URL_SAFE_NO_PAD.decode(&one.expose_secret()[4..]).unwrap();
        assert_eq!(random.len(), 32);
        assert!(generate(Kind::DeviceCode).unwrap().expose_secret().starts_with("fld_"));
        assert!(generate(Kind::AuthorizationCode).unwrap().expose_secret().starts_with("flc_"));
    }

    #[test]
    fn the_hash_is_sha256() {
        let hex: String = hash("abc").iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
