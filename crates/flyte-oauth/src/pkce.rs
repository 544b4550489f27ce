//! Proof Key for Code Exchange (RFC 7636), method S256 only.

use aws_lc_rs::{constant_time, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// The only supported method. `plain` does not protect against a reader of the authorization request (RFC 9700
/// section 2.1.1).
pub const METHOD: &str = "S256";

/// Whether `challenge` is the base64url form of a SHA-256 digest, as [`METHOD`] requires.
#[must_use]
pub fn is_challenge(challenge: &str) -> bool {
    challenge.len() == 43 && URL_SAFE_NO_PAD.decode(challenge).is_ok()
}

/// Whether `verifier` has the required length and characters (RFC 7636 section 4.1).
#[must_use]
pub fn is_verifier(verifier: &str) -> bool {
    (43..=128).contains(&verifier.len())
        && verifier.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

/// Whether `challenge` belongs to `verifier`. The time does not depend on the result.
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
    fn the_example_of_the_rfc_is_verified() {
        assert!(is_challenge(CHALLENGE));
        assert!(is_verifier(VERIFIER));
        assert!(verify(CHALLENGE, VERIFIER));
    }

    #[test]
    fn another_verifier_is_refused() {
        assert!(!verify(CHALLENGE, &VERIFIER.replace('d', "e")));
        assert!(!verify(CHALLENGE, ""));
        assert!(!verify("", VERIFIER));
        // The method `plain` would accept this.
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
