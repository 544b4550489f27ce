//! The form of the secrets of API keys. The server creates them, and both the server and the client recognize an incomplete one
//! without looking it up.
//!
//! A secret is `flyte_key_`, then 43 characters of 0-9A-Za-z (256 random bits), then 6 more characters with the CRC-32 of all before
//! them in base 62. With the checksum, a scanner for leaked secrets also recognizes a real secret without asking the server.
//! `docs/reference/api-keys.md` has the regular expression.
#![forbid(unsafe_code)]

/// The first characters of every secret.
pub const PREFIX: &str = "flyte_key_";
/// The characters of everything after the prefix. They are also the digits of the checksum, in this order.
pub const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// The number of random characters: 62 to the power of 43 is a little more than 2 to the power of 256.
pub const RANDOM_LENGTH: usize = 43;
/// The number of characters of the checksum: 62 to the power of 6 is more than 2 to the power of 32.
pub const CHECKSUM_LENGTH: usize = 6;

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

/// The checksum of a text, as it follows the random characters of a secret.
#[must_use]
pub fn checksum(text: &str) -> [u8; CHECKSUM_LENGTH] {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut digits = [b'0'; CHECKSUM_LENGTH];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
    digits
}

/// Checks that a text has the form of a secret, including the checksum.
///
/// # Errors
/// The first problem found, as [`Malformed`].
pub fn examine(text: &str) -> Result<(), Malformed> {
    if text.chars().any(char::is_whitespace) {
        return Err(Malformed::WhiteSpace);
    }
    let has_form = text.strip_prefix(PREFIX).is_some_and(|rest| {
        rest.len() == RANDOM_LENGTH + CHECKSUM_LENGTH && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    if !has_form {
        return Err(Malformed::Altered);
    }
    let (checked, last) = text.split_at(PREFIX.len() + RANDOM_LENGTH);
    if last.bytes().eq(checksum(checked)) { Ok(()) } else { Err(Malformed::Altered) }
}

/// Whether a text begins like a secret, but [`examine`] finds a problem. For clients, which cannot check the secrets of other servers.
#[must_use]
pub fn is_altered(text: &str) -> bool {
    text.starts_with(PREFIX) && examine(text).is_err()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn complete(random: &str) -> String {
        let mut secret = format!("{PREFIX}{random}");
        let checksum = checksum(&secret);
        secret.extend(checksum.map(char::from));
        secret
    }

    #[test]
    fn the_checksum_is_the_documented_one() {
        // CRC-32/ISO-HDLC: the check value of the catalogue.
        assert_eq!(crc32fast::hash(b"123456789"), 0xcbf4_3926);
        assert_eq!(checksum("123456789"), *b"3jZRME");
        // The expected checksum comes from Python's zlib.
        let secret = complete("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg");
        assert_eq!((secret.len(), &secret[53..], examine(&secret)), (59, "0QZ4eU", Ok(())));
    }

    #[test]
    fn each_mistake_has_its_own_error() {
        let secret = complete("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg");
        for (text, expected) in [
            (format!("{secret} "), Malformed::WhiteSpace),
            (format!("{secret}\n"), Malformed::WhiteSpace),
            (format!("{} {}", &secret[..20], &secret[20..]), Malformed::WhiteSpace),
            (secret[1..].to_owned(), Malformed::Altered),
            (format!("{secret}A"), Malformed::Altered),
            (secret.replace("ABC", "ABD"), Malformed::Altered),
            (secret.to_uppercase(), Malformed::Altered),
            (secret.replace('_', "-"), Malformed::Altered),
        ] {
            assert_eq!(examine(&text), Err(expected), "{text}");
        }
        for length in 0..secret.len() {
            assert_eq!(examine(&secret[..length]), Err(Malformed::Altered), "{length}");
            assert_eq!(is_altered(&secret[..length]), length >= PREFIX.len(), "{length}");
        }
        assert!(!is_altered(&secret) && !is_altered("another server's"));
    }

    proptest! {
        #[test]
        fn any_changed_character_is_detected(random in "[0-9A-Za-z]{43}", at in 0_usize..59, with in "[0-9A-Za-z_]") {
            let secret = complete(&random);
            let mut altered = secret.clone();
            altered.replace_range(at..=at, &with);
            prop_assert_eq!(examine(&altered).is_ok(), altered == secret);
        }

        #[test]
        fn random_texts_are_rejected_without_panic(text in any::<String>()) {
            prop_assert!(examine(&text).is_err());
        }
    }
}
