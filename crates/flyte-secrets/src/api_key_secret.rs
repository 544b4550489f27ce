//! Secrets of API keys: recognisable, unguessable, and with a check of their own.
//!
//! `flyte_key_`, 43 characters of 0-9A-Za-z (256 random bits), and 6 such characters of CRC-32 over all before them. A scanner
//! for leaked secrets tells a real one from a look-alike without asking anybody, and the server tells a truncated one from a
//! wrong one. `docs/reference/api-keys.md` has the regular expression.

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

/// Why a text that should be a secret cannot be one. None of these tells anything about the secrets that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Copied with more than belongs to it.
    #[error("the client secret has white space in it: copy it again, without line breaks")]
    WhiteSpace,
    /// Not all of it is there, or something in it was changed.
    #[error("the client secret was truncated or altered: it is not as the server gave it; copy it again")]
    Altered,
}

/// A new secret.
///
/// # Errors
/// The system has no randomness to give.
pub fn generate() -> Result<SecretString, Unspecified> {
    let mut secret = String::with_capacity(PREFIX.len() + RANDOM_LENGTH + CHECK_LENGTH);
    secret.push_str(PREFIX);
    let mut bytes = Zeroizing::new([0_u8; 64]);
    while secret.len() < PREFIX.len() + RANDOM_LENGTH {
        rand::fill(bytes.as_mut())?;
        // The largest multiple of 62 in a byte: beyond it some characters would be likelier than others.
        let usable = bytes.iter().filter(|byte| **byte < 248);
        let missing = PREFIX.len() + RANDOM_LENGTH - secret.len();
        secret.extend(usable.take(missing).map(|byte| char::from(ALPHABET[usize::from(*byte) % 62])));
    }
    let check = check(&secret);
    secret.push_str(&check);
    Ok(SecretString::from(secret))
}

/// CRC-32 of a text, as it stands at the end of a secret.
fn check(text: &str) -> String {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut digits = [b'0'; CHECK_LENGTH];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}

/// Whether a text is of the form that [`generate`] gives, its check included.
///
/// # Errors
/// [`Malformed`].
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
        // CRC-32 of ISO-HDLC: its check value.
        assert_eq!(crc32fast::hash(b"123456789"), 0xcbf4_3926);
        assert_eq!(check("123456789"), "3jZRME");
    }

    #[test]
    fn what_is_wrong_is_told_apart() {
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
        fn any_changed_character_is_noticed(at in 0_usize..59, with in "[0-9A-Za-z_]") {
            let secret = generate().unwrap();
            let mut altered = secret.expose_secret().to_owned();
            altered.replace_range(at..=at, &with);
            prop_assert_eq!(examine(&altered).is_ok(), altered == secret.expose_secret());
        }

        #[test]
        fn any_text_is_examined(text in any::<String>()) {
            prop_assert!(examine(&text).is_err());
        }
    }
}
