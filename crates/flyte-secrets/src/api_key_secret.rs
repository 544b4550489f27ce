//! New secrets of API keys, recognizable and unguessable. The crate `flyte-api-key` has their form.

use aws_lc_rs::{error::Unspecified, rand};
use flyte_api_key::{ALPHABET, CHECKSUM_LENGTH, RANDOM_LENGTH, checksum};
pub use flyte_api_key::{Malformed, PREFIX, examine};
use secrecy::SecretString;
use zeroize::Zeroizing;

/// Generates a new secret.
///
/// # Errors
/// The system's random number generator fails.
pub fn generate() -> Result<SecretString, Unspecified> {
    let mut secret = String::with_capacity(PREFIX.len() + RANDOM_LENGTH + CHECKSUM_LENGTH);
    secret.push_str(PREFIX);
    let mut bytes = Zeroizing::new([0_u8; 64]);
    while secret.len() < PREFIX.len() + RANDOM_LENGTH {
        rand::fill(bytes.as_mut())?;
        // 248 is the largest multiple of 62 in a byte. Larger bytes would make some characters more likely than others.
        let usable = bytes.iter().filter(|byte| **byte < 248);
        let missing = PREFIX.len() + RANDOM_LENGTH - secret.len();
        secret.extend(usable.take(missing).map(|byte| char::from(ALPHABET[usize::from(*byte) % 62])));
    }
    let checksum = checksum(&secret);
    secret.extend(checksum.map(char::from));
    Ok(SecretString::from(secret))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn secrets_have_the_form_and_differ() {
        let (one, other) = (generate().unwrap(), generate().unwrap());
        assert_ne!(one.expose_secret(), other.expose_secret());
        for secret in [one, other] {
            let secret = secret.expose_secret();
            assert_eq!((secret.len(), examine(secret)), (59, Ok(())));
            assert!(secret["flyte_key_".len()..].bytes().all(|byte| byte.is_ascii_alphanumeric()));
        }
    }
}
