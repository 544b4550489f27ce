//! Secrets of API keys. They are recognisable and unguessable, and have a checksum.
//!
//! A secret is `flyte_key_`, then 43 characters of 0-9A-Za-z (256 random bits), then 6 more characters with the CRC-32
//! of all before them. With the checksum, a scanner for leaked secrets recognises a real secret without asking the
//! server, and the server can distinguish a truncated secret from a wrong one. `docs/reference/api-keys.md` has the
//! regular expression.

use aws_lc_rs::{error::Unspecified, rand};
use secrecy::SecretString;
use zeroize::Zeroizing;

/// The first characters of every secret.
pub const PREFIX: &str = "flyte_key_";

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 62 to the power of 43 is a little more than 2 to the power of 256.
const RANDOM_LENGTH: usize = 43;
/// 62 to the power of 6 is more than 2 to the power of 32.
const CHECK_LENGTH: usize = 6;

/// The reason why a text cannot be a secret. It reveals nothing about existing secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The text has white space.
    #[error("the client secret contains white space: copy it again, without line breaks")]
    WhiteSpace,
    /// The text has the wrong length, wrong characters or a wrong checksum.
    #[error("the client secret was truncated or altered: copy it again")]
    Altered,
}

/// Generates a new secret.
///
/// # Errors
/// The system's random number generator fails.
pub fn generate() -> Result<SecretString, Unspecified> {
    let mut secret = String::with_capacity(PREFIX.len() + RANDOM_LENGTH + CHECK_LENGTH);
    secret.push_str(PREFIX);
    let mut bytes = Zeroizing::new([0_u8; 64]);
    while secret.len() < PREFIX.len() + RANDOM_LENGTH {
        rand::fill(bytes.as_mut())?;
        // 248 is the largest multiple of 62 in a byte. Larger bytes would make some characters more likely than others.
        let usable = bytes.iter().filter(|byte| **byte < 248);
        let missing = PREFIX.len() + RANDOM_LENGTH - secret.len();
        secret.extend(usable.take(missing).map(|byte| char::from(ALPHABET[usize::from(*byte) % 62])));
    }
    let check = check(&secret);
    secret.push_str(&check);
    Ok(SecretString::from(secret))
}

/// Returns the CRC-32 of a text, encoded as at the end of a secret.
fn check(text: &str) -> String {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut digits = [b'0'; CHECK_LENGTH];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}

/// Checks that a text has the form of a secret from [`generate`], including the checksum.
///
/// # Errors
/// The first problem found, as [`Malformed`].
pub fn examine(text: &str) -> Result<(), Malformed> {
    if text.chars().any(char::is_whitespace) {
        return Err(Malformed::WhiteSpace);
    }
    let random = text
        .strip_prefix(PREFIX)
        .filter(|rest| {
            rest.len() == RANDOM_LENGTH + CHECK_LENGTH && rest.bytes().all(|b| b.is_ascii_alphanumeric())
        })
        .ok_or(Malformed::Altered)?;
    let (body, last) = text.split_at(PREFIX.len() + random.len() - CHECK_LENGTH);
    if check(body) == last { Ok(()) } else { Err(Malformed::Altered) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn the_form_is_the_documented_one() {
        let (one, other) = (generate().unwrap(), generate().unwrap());
        assert_ne!(one.expose_secret(), other.expose_secret());
        for secret in [one, other] {
            let secret = secret.expose_secret();
            assert_eq!((secret.len(), examine(secret)), (59, Ok(())));
            assert!(secret["flyte_key_".len()..].bytes().all(|byte| byte.is_ascii_alphanumeric()));
        }
        // CRC-32/ISO-HDLC: the check value of the catalogue.
        assert_eq!(crc32fast::hash(b"123456789"), 0xcbf4_3926);
        assert_eq!(check("123456789"), "3jZRME");
    }

    #[test]
    fn each_mistake_has_its_own_error() {
        let secret = generate().unwrap();
        let secret = secret.expose_secret();
        for (text, expected) in [
            (format!("{secret} "), Malformed::WhiteSpace),
            (format!("{secret}\n"), Malformed::WhiteSpace),
            (format!("{} {}", &secret[..20], &secret[20..]), Malformed::WhiteSpace),
            (secret[..secret.len() - 1].to_owned(), Malformed::Altered),
            (secret[1..].to_owned(), Malformed::Altered),
            (format!("{secret}A"), Malformed::Altered),
            (String::new(), Malformed::Altered),
            (PREFIX.to_owned(), Malformed::Altered),
            (secret.to_uppercase(), Malformed::Altered),
            (secret.replace('_', "-"), Malformed::Altered),
        ] {
            assert_eq!(examine(&text), Err(expected), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_changed_character_is_detected(at in 0_usize..59, with in "[0-9A-Za-z_]") {
            let secret = generate().unwrap();
            let mut altered = secret.expose_secret().to_owned();
            altered.replace_range(at..=at, &with);
            prop_assert_eq!(examine(&altered).is_ok(), altered == secret.expose_secret());
        }

        #[test]
        fn random_texts_are_rejected_without_panic(text in any::<String>()) {
            prop_assert!(examine(&text).is_err());
        }
    }
}
