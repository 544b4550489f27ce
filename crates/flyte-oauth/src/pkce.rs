//! Proof Key for Code Exchange (RFC 7636), method S256 only.

use aws_lc_rs::{constant_time, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// The one method offered. `plain` protects against nothing that can read the authorization request (RFC 9700 section
/// 2.1.1).
pub const METHOD: &str = "S256";

/// Whether `challenge` is the base64url form of a SHA-256 digest, which is what [`METHOD`] makes.
#[must_use]
pub fn is_challenge(challenge: &str) -> bool {
    challenge.len() == 43 && URL_SAFE_NO_PAD.decode(challenge).is_ok()
}

/// Whether `verifier` has the length and the characters of one (RFC 7636 section 4.1).
#[must_use]
pub fn is_verifier(verifier: &str) -> bool {
    (43..=128).contains(&verifier.len())
        && verifier.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

/// Whether `challenge` was made from `verifier`. Takes the same time whether or not it was.
#[must_use]
pub fn verify(challenge: &str, verifier: &str) -> bool {
    let digest = digest::digest(&digest::SHA256, verifier.as_bytes());
    let expected = URL_SAFE_NO_PAD.encode(digest);
    constant_time::verify_slices_are_equal(expected.as_bytes(), challenge.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 7636 appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn the_example_of_the_rfc_holds() {
        assert!(is_challenge(CHALLENGE));
        assert!(is_verifier(VERIFIER));
        assert!(verify(CHALLENGE, VERIFIER));
    }

    #[test]
    fn another_verifier_does_not() {
        assert!(!verify(CHALLENGE, &VERIFIER.replace('d', "e")));
        assert!(!verify(CHALLENGE, ""));
        assert!(!verify("", VERIFIER));
        // What method plain would accept.
        assert!(!verify(CHALLENGE, CHALLENGE));
    }

    #[test]
    fn syntax_is_checked() {
        assert!(is_verifier(&"a".repeat(43)) && is_verifier(&"~".repeat(128)));
        for verifier in ["a".repeat(42), "a".repeat(129), "+".repeat(43), "é".repeat(43), " ".repeat(43)] {
            assert!(!is_verifier(&verifier), "{verifier}");
        }
        for challenge in
            [&CHALLENGE[1..], &format!("{CHALLENGE}A"), &CHALLENGE.replace('-', "+"), &"!".repeat(43), ""]
        {
            assert!(!is_challenge(challenge), "{challenge}");
        }
    }
}
