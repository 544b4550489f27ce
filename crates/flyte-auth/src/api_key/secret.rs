//! The form of secrets that `flyte-server` gives: `flyte_key_`, 43 characters of 0-9A-Za-z, and 6 more of CRC-32 over all before
//! them in base 62, so that one which was not copied whole is found out without asking anybody.

/// The first characters of every secret of `flyte-server`.
const PREFIX: &str = "flyte_key_";
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const RANDOM_LENGTH: usize = 43;
const CHECK_LENGTH: usize = 6;

/// Whether a secret begins like one of `flyte-server` and is not as that gave it. Other servers' secrets have no form to check.
pub(crate) fn is_altered(secret: &str) -> bool {
    let Some(rest) = secret.strip_prefix(PREFIX) else { return false };
    if rest.len() != RANDOM_LENGTH + CHECK_LENGTH || !rest.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return true;
    }
    let (checked, check) = secret.split_at(PREFIX.len() + RANDOM_LENGTH);
    !check.bytes().eq(check_of(checked))
}

/// CRC-32 of a text, as it stands at the end of a secret.
fn check_of(text: &str) -> [u8; CHECK_LENGTH] {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut digits = [b'0'; CHECK_LENGTH];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
    digits
}

#[cfg(test)]
pub(crate) fn whole(random: &str) -> String {
    assert_eq!(random.len(), RANDOM_LENGTH);
    let text = format!("{PREFIX}{random}");
    format!("{text}{}", std::str::from_utf8(&check_of(&text)).unwrap())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_copied_whole_is_found_out() {
        // By Python's zlib.
        let secret = whole("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg");
        assert_eq!(&secret[53..], "0QZ4eU");
        assert!(!is_altered(&secret));
        for length in PREFIX.len()..secret.len() {
            assert!(is_altered(&secret[..length]), "{length}");
        }
        assert!(is_altered(&secret.replace("ABC", "ABD")) && is_altered(&format!("{secret}x")));
        assert!(!is_altered("another server's"));
    }
}
