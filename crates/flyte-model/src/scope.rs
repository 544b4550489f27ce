//! Scopes (RFC 6749 section 3.3).

/// Asks for an ID token (OpenID Connect Core section 3.1.2.1).
pub const OPENID: &str = "openid";
/// Asks for the name (OpenID Connect Core section 5.4).
pub const PROFILE: &str = "profile";
/// Asks for the e-mail address (OpenID Connect Core section 5.4).
pub const EMAIL: &str = "email";
/// Asks for a refresh token (OpenID Connect Core section 11).
pub const OFFLINE_ACCESS: &str = "offline_access";
/// Asks for all that the person may do at the control plane; what the published `flyte` client asks for.
pub const ALL: &str = "all";

/// Asks for reading at the control plane; [`ALL`] includes it.
pub const READ: &str = "read";

/// Every scope that the server knows.
pub const SUPPORTED: [&str; 6] = [OPENID, PROFILE, EMAIL, OFFLINE_ACCESS, ALL, READ];

/// The most scopes of one request.
const MAX_SCOPES: usize = 32;

/// Why a `scope` was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// Characters outside of the grammar.
    #[error("scope has characters that a scope cannot have")]
    Malformed,
    /// Asked for nothing.
    #[error("scope is missing: ask for what you need, such as openid")]
    Missing,
    /// More than any client needs.
    #[error("scope asks for too much at once")]
    TooMany,
    /// A scope outside of what the client may ask for or was granted.
    #[error("scope {0} is not one that this client can have here")]
    Excessive(String),
}

/// Splits a `scope` parameter, each scope once, in the order given.
///
/// # Errors
/// [`ScopeError::Malformed`], [`ScopeError::TooMany`], and [`ScopeError::Missing`] where nothing is asked for: there is
/// no default, so that nobody gets a token for more than was asked.
pub fn parse(value: &str) -> Result<Vec<String>, ScopeError> {
    let mut scopes: Vec<String> = Vec::new();
    for scope in value.split(' ').filter(|scope| !scope.is_empty()) {
        // scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
        if !scope.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\') {
            return Err(ScopeError::Malformed);
        }
        if scopes.iter().any(|known| known == scope) {
            continue;
        }
        if scopes.len() == MAX_SCOPES {
            return Err(ScopeError::TooMany);
        }
        scopes.push(scope.to_owned());
    }
    if scopes.is_empty() { Err(ScopeError::Missing) } else { Ok(scopes) }
}

/// Checks that every scope in `wanted` is in `allowed`.
///
/// # Errors
/// [`ScopeError::Excessive`] with the first that is not.
pub fn within(wanted: &[String], allowed: &[String]) -> Result<(), ScopeError> {
    match wanted.iter().find(|scope| !allowed.contains(scope)) {
        Some(scope) => Err(ScopeError::Excessive(scope.clone())),
        None => Ok(()),
    }
}

/// Whether `scopes` has `scope`.
#[must_use]
pub fn contains(scopes: &[String], scope: &str) -> bool {
    scopes.iter().any(|known| known == scope)
}

/// The form that stands in a token or an answer.
#[must_use]
pub fn join(scopes: &[String]) -> String {
    scopes.join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn owned(scopes: &[&str]) -> Vec<String> {
        scopes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_scope_is_split_once_each_in_order() {
        assert_eq!(parse("openid  all openid email "), Ok(owned(&["openid", "all", "email"])));
        assert_eq!(parse("urn:x:y/z!#[]^_`{|}~"), Ok(owned(&["urn:x:y/z!#[]^_`{|}~"])));
    }

    #[test]
    fn what_is_not_a_scope_is_refused() {
        for (value, error) in [
            ("", ScopeError::Missing),
            ("   ", ScopeError::Missing),
            ("a\"b", ScopeError::Malformed),
            ("a\\b", ScopeError::Malformed),
            ("a\tb", ScopeError::Malformed),
            ("a\nb", ScopeError::Malformed),
            ("é", ScopeError::Malformed),
        ] {
            assert_eq!(parse(value), Err(error), "{value:?}");
        }
        let many = (0..=MAX_SCOPES).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        assert_eq!(parse(&many), Err(ScopeError::TooMany));
    }

    #[test]
    fn only_narrowing_is_allowed() {
        let granted = owned(&["openid", "all"]);
        assert_eq!(within(&owned(&["all"]), &granted), Ok(()));
        assert_eq!(within(&granted, &granted), Ok(()));
        assert_eq!(within(&owned(&["all", "email"]), &granted), Err(ScopeError::Excessive("email".into())));
        assert_eq!(within(&owned(&["ALL"]), &granted), Err(ScopeError::Excessive("ALL".into())));
        assert_eq!(within(&owned(&["al"]), &granted), Err(ScopeError::Excessive("al".into())));
    }

    proptest! {
        #[test]
        fn what_is_parsed_reads_back_the_same(value in "[ -~]{0,128}") {
            if let Ok(scopes) = parse(&value) {
                prop_assert_eq!(parse(&join(&scopes)), Ok(scopes.clone()));
                prop_assert_eq!(within(&scopes, &scopes), Ok(()));
            }
        }

        #[test]
        fn any_text_is_parsed_or_refused(value in any::<String>()) {
            if let Ok(scopes) = parse(&value) {
                prop_assert!(scopes.iter().all(|scope| value.contains(scope.as_str())));
            }
        }
    }
}
