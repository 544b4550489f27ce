//! Scopes (RFC 6749 section 3.3).

/// Asks for an ID token (OpenID Connect Core section 3.1.2.1).
pub const OPENID: &str = "openid";
/// Asks for the user's name (OpenID Connect Core section 5.4).
pub const PROFILE: &str = "profile";
/// Asks for the user's e-mail address (OpenID Connect Core section 5.4).
pub const EMAIL: &str = "email";
/// Asks for a refresh token (OpenID Connect Core section 11).
pub const OFFLINE_ACCESS: &str = "offline_access";
/// Asks for all that the user may do at the control plane. The published `flyte` client asks for this scope.
pub const ALL: &str = "all";

/// Asks for read access to the control plane; [`ALL`] includes it.
pub const READ: &str = "read";

/// Every scope that the server supports.
pub const SUPPORTED: [&str; 6] = [OPENID, PROFILE, EMAIL, OFFLINE_ACCESS, ALL, READ];

/// The most scopes that one request may have.
const MAX_SCOPES: usize = 32;

/// The reason why a `scope` parameter was rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// It has characters outside the grammar.
    #[error("scope has characters that a scope cannot have")]
    Malformed,
    /// It has no scope.
    #[error("scope is missing: name the scopes that you need, for example openid")]
    Missing,
    /// It has more scopes than any client needs.
    #[error("scope has too many values")]
    TooMany,
    /// It has a scope outside what the client may ask for or was granted.
    #[error("scope {0} is not allowed for this client")]
    Excessive(String),
}

/// Splits a `scope` parameter and drops duplicates; the order stays.
///
/// # Errors
/// [`ScopeError::Malformed`], [`ScopeError::TooMany`], and [`ScopeError::Missing`] if it has no scope. There is no
/// default scope, so that no client gets a token for more than it asked for.
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
/// [`ScopeError::Excessive`] with the first scope that is not.
pub fn within(wanted: &[String], allowed: &[String]) -> Result<(), ScopeError> {
    match wanted.iter().find(|scope| !allowed.contains(scope)) {
        Some(scope) => Err(ScopeError::Excessive(scope.clone())),
        None => Ok(()),
    }
}

/// Returns whether `scopes` has `scope`.
#[must_use]
pub fn contains(scopes: &[String], scope: &str) -> bool {
    scopes.iter().any(|known| known == scope)
}

/// Joins scopes as tokens and responses contain them.
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
    fn a_parameter_is_split_in_order_without_duplicates() {
        assert_eq!(parse("openid  all openid email "), Ok(owned(&["openid", "all", "email"])));
        assert_eq!(parse("urn:x:y/z!#[]^_`{|}~"), Ok(owned(&["urn:x:y/z!#[]^_`{|}~"])));
    }

    #[test]
    fn invalid_parameters_are_rejected() {
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
        fn joined_scopes_parse_to_the_same_scopes(value in "[ -~]{0,128}") {
            if let Ok(scopes) = parse(&value) {
                prop_assert_eq!(parse(&join(&scopes)), Ok(scopes.clone()));
                prop_assert_eq!(within(&scopes, &scopes), Ok(()));
            }
        }

        #[test]
        fn any_text_is_parsed_or_rejected(value in any::<String>()) {
            if let Ok(scopes) = parse(&value) {
                prop_assert!(scopes.iter().all(|scope| value.contains(scope.as_str())));
            }
        }
    }
}
