//! The form of the secrets of `flyte-server`: `flyte_key_`, 43 characters of 0-9A-Za-z, and 6 characters with the CRC-32 of
//! everything before them in base 62. The checksum detects an incomplete secret without a request.

/// The first characters of every secret of `flyte-server`.
const PREFIX: &str = "flyte_key_";
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const RANDOM_LENGTH: usize = 43;
const CHECK_LENGTH: usize = 6;

/// Whether a secret begins like one of `flyte-server`, but its form or checksum is wrong. The secrets of other servers are not
/// checked.
pub(crate) fn is_altered(secret: &str) -> bool {
    let Some(rest) = secret.strip_prefix(PREFIX) else { return false };
    if rest.len() != RANDOM_LENGTH + CHECK_LENGTH || !rest.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return true;
    }
    let (checked, check) = secret.split_at(PREFIX.len() + RANDOM_LENGTH);
    !check.bytes().eq(checksum(checked))
}

/// The checksum at the end of a secret.
fn checksum(text: &str) -> [u8; CHECK_LENGTH] {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut digits = [b'0'; CHECK_LENGTH];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
    digits
}

#[cfg(test)]
pub(crate) fn complete(random: &str) -> String {
    assert_eq!(random.len(), RANDOM_LENGTH);
    let text = format!("{PREFIX}{random}");
    format!("{text}{}", std::str::from_utf8(&checksum(&text)).unwrap())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incomplete_secret_is_detected() {
        // The expected checksum comes from Python's zlib.
        let secret = complete("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg");
        assert_eq!(&secret[53..], "0QZ4eU");
        assert!(!is_altered(&secret));
        for length in PREFIX.len()..secret.len() {
            assert!(is_altered(&secret[..length]), "{length}");
        }
        assert!(is_altered(&secret.replace("ABC", "ABD")) && is_altered(&format!("{secret}x")));
        assert!(!is_altered("another server's"));
    }
}
