//! Validation of trust rules, and comparison of a token's claims with a rule.

use std::borrow::Cow;

use serde_json::{Map, Value};
use url::Url;

use super::{Pattern, claims};
use flyte_issuer::is_safe;
use flyte_store::TrustRule;

/// The maximum length of a name: that of a DNS label, as for projects.
const MAX_NAME: usize = 63;
/// The maximum length of an issuer, audience or URL, in bytes.
const MAX_TEXT: usize = 512;
/// The maximum number of claims in a rule.
const MAX_CLAIMS: usize = 32;
/// The maximum length of a claim name, in bytes.
const MAX_CLAIM_NAME: usize = 128;
/// The minimum lifetime of an issued token, in seconds: a shorter one would expire before the job can use it.
const MIN_LIFETIME_SECONDS: i64 = 60;
/// The maximum lifetime in seconds, as in the server's own setting.
const MAX_LIFETIME_SECONDS: i64 = 86_400;

/// An invalid field of a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {what}")]
pub struct Mistake {
    /// The field of `flyteauth.Trust`.
    pub field: Cow<'static, str>,
    /// The problem.
    pub what: Cow<'static, str>,
}

impl Mistake {
    fn new(field: impl Into<Cow<'static, str>>, what: impl Into<Cow<'static, str>>) -> Self {
        Self { field: field.into(), what: what.into() }
    }
}

/// Issuers from which everyone can get tokens. For each: the claims that identify the owner of a token, and the text
/// before the owner in the claim. A rule for these issuers must name an owner; otherwise it would admit everyone.
const SHARED: &[(&str, &[(&str, &str)])] = &[
    (
        "https://token.actions.githubusercontent.com",
        &[
            ("repository", ""),
            ("repository_owner", ""),
            ("repository_id", ""),
            ("repository_owner_id", ""),
            ("sub", "repo:"),
        ],
    ),
    (
        "https://gitlab.com",
        &[
            ("project_path", ""),
            ("namespace_path", ""),
            ("project_id", ""),
            ("namespace_id", ""),
            ("sub", "project_path:"),
        ],
    ),
    ("https://agent.buildkite.com", &[("organization_slug", ""), ("organization_id", "")]),
    ("https://accounts.google.com", &[("sub", ""), ("email", ""), ("hd", "")]),
];

/// Checks a new rule. Its rights are checked elsewhere.
///
/// # Errors
/// The first invalid field.
pub fn check(rule: &TrustRule) -> Result<(), Mistake> {
    check_name(&rule.name)?;
    check_url("trust.issuer", &rule.issuer)?;
    if let Some(uri) = &rule.jwks_uri {
        check_url("trust.jwks_uri", uri)?;
    }
    check_text("trust.audience", &rule.audience)?;
    check_claims(rule)?;
    if let Some(lifetime) = rule.token_lifetime
        && !(MIN_LIFETIME_SECONDS..=MAX_LIFETIME_SECONDS).contains(&lifetime)
    {
        let what = format!(
            "must be {MIN_LIFETIME_SECONDS} to {MAX_LIFETIME_SECONDS} seconds, or 0 for the server's default"
        );
        return Err(Mistake::new("trust.token_lifetime", what));
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), Mistake> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let good = (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(allowed)
        && !name.starts_with('-')
        && !name.ends_with('-');
    if good {
        return Ok(());
    }
    Err(Mistake::new(
        "trust.name",
        "must have 1 to 63 characters of a-z, 0-9 and -, and must not start or end with -",
    ))
}

fn check_text(field: &'static str, text: &str) -> Result<(), Mistake> {
    let what = if text.is_empty() {
        "is missing"
    } else if text.len() > MAX_TEXT {
        "is too long"
    } else if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        "has spaces or control characters"
    } else {
        return Ok(());
    };
    Err(Mistake::new(field, what))
}

/// Checks a URL as in OpenID Connect Discovery section 2: https, without a query or fragment. http is allowed for
/// this machine, for tests and for proxies beside the server, for example `kubectl proxy`.
fn check_url(field: &'static str, text: &str) -> Result<(), Mistake> {
    check_text(field, text)?;
    let refuse = |what: &'static str| Err(Mistake::new(field, what));
    let Ok(url) = Url::parse(text) else { return refuse("is not a URL") };
    if !is_safe(&url) {
        return refuse("must start with https://, unless its host is this machine");
    }
    if url.query().is_some()
        || url.fragment().is_some()
        || !url.username().is_empty()
        || url.password().is_some()
    {
        return refuse("must not have a query, fragment, user name or password");
    }
    Ok(())
}

fn check_claims(rule: &TrustRule) -> Result<(), Mistake> {
    if rule.claims.is_empty() {
        return Err(Mistake::new(
            "trust.claims",
            "is empty, so every token of the issuer would be trusted. Add at least one claim",
        ));
    }
    if rule.claims.len() > MAX_CLAIMS {
        return Err(Mistake::new("trust.claims", format!("has more than {MAX_CLAIMS} claims")));
    }
    let mut patterns = Vec::with_capacity(rule.claims.len());
    for (name, pattern) in &rule.claims {
        if name.is_empty() || name.len() > MAX_CLAIM_NAME || name.chars().any(char::is_control) {
            return Err(Mistake::new(
                "trust.claims",
                "has a claim whose name is empty, too long, or contains control characters",
            ));
        }
        let pattern: Pattern = pattern
            .parse()
            .map_err(|error| Mistake::new(format!("trust.claims[{name:?}]"), format!("{error}")))?;
        patterns.push((name.as_str(), pattern));
    }
    if patterns.iter().all(|(_, pattern)| pattern.is_blank()) {
        return Err(Mistake::new(
            "trust.claims",
            "matches every token of the issuer. Write out at least a part of one claim",
        ));
    }
    let Some((_, owners)) = SHARED.iter().find(|(issuer, _)| *issuer == rule.issuer) else { return Ok(()) };
    let names_owner = |(name, pattern): &(&str, Pattern)| {
        owners.iter().any(|(owner, before)| owner == name && pins(pattern, before))
    };
    if patterns.iter().any(names_owner) {
        return Ok(());
    }
    let names: Vec<_> = owners.iter().map(|(name, _)| *name).collect();
    let what = format!(
        "does not name an owner, but everyone can get tokens of {}. Write out the owner in one of {}",
        rule.issuer,
        names.join(", ")
    );
    Err(Mistake::new("trust.claims", what))
}

/// Whether the pattern names the owner. The owner starts after `before` and ends at the end of the value or at the
/// first `/`.
fn pins(pattern: &Pattern, before: &str) -> bool {
    let prefix = pattern.prefix();
    let Some(owner) = prefix.strip_prefix(before.as_bytes()) else { return false };
    match owner.iter().position(|byte| *byte == b'/') {
        Some(end) => end > 0,
        None => pattern.is_literal() && !owner.is_empty(),
    }
}

/// Returns the name of the first claim of the rule that the token does not match; `None` if all match.
#[must_use]
pub fn mismatch<'a>(rule: &'a TrustRule, token: &Map<String, Value>) -> Option<&'a str> {
    let matches = |(name, pattern): (&String, &String)| {
        // A pattern that cannot be parsed matches nothing. No stored rule has one.
        pattern.parse().is_ok_and(|pattern| claims::matches(token, name, &pattern))
    };
    rule.claims.iter().find(|claim| !matches(*claim)).map(|(name, _)| name.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::rule;

    const GITHUB: &str = "https://token.actions.githubusercontent.com";

    fn mistake(change: impl FnOnce(&mut TrustRule)) -> String {
        let mut rule = rule("ci", "https://ci.example");
        change(&mut rule);
        check(&rule).map_or_else(|mistake| mistake.to_string(), |()| String::new())
    }

    fn claims(rule: &mut TrustRule, claims: &[(&str, &str)]) {
        rule.claims =
            claims.iter().map(|(name, pattern)| ((*name).to_owned(), (*pattern).to_owned())).collect();
    }

    #[test]
    fn each_error_names_its_field() {
        assert_eq!(mistake(|_| {}), "");
        for name in ["", "A", "a_b", "-a", "a-", "a:b", &"x".repeat(64)] {
            assert!(
                mistake(|rule| rule.name = name.to_owned()).starts_with("trust.name must have"),
                "{name}"
            );
        }
        for (issuer, what) in [
            ("", "is missing"),
            ("ci.example", "is not a URL"),
            ("http://ci.example", "https://"),
            ("http://10.0.0.1", "https://"),
            ("ftp://ci.example", "https://"),
            ("file:///etc/passwd", "https://"),
            ("https://u:p@ci.example", "user name"),
            ("https://ci.example?x", "query"),
            ("https://ci.example#x", "fragment"),
            ("https://ci .example", "spaces"),
            (&format!("https://ci.example/{}", "x".repeat(600)), "too long"),
        ] {
            let text = mistake(|rule| rule.issuer = issuer.to_owned());
            assert!(text.starts_with("trust.issuer ") && text.contains(what), "{issuer}: {text}");
            if !issuer.is_empty() {
                let text = mistake(|rule| rule.jwks_uri = Some(issuer.to_owned()));
                assert!(text.starts_with("trust.jwks_uri ") && text.contains(what), "{issuer}: {text}");
            }
        }
        for issuer in ["http://localhost:9", "http://127.0.0.1:8001/x", "https://ci.example/", "http://[::1]"]
        {
            assert_eq!(mistake(|rule| rule.issuer = issuer.to_owned()), "", "{issuer}");
        }
        assert_eq!(mistake(|rule| rule.audience.clear()), "trust.audience is missing");
        for (lifetime, good) in [(None, true), (Some(59), false), (Some(60), true), (Some(86_401), false)] {
            let text = mistake(|rule| rule.token_lifetime = lifetime);
            assert_eq!(text.is_empty(), good, "{text}");
            assert!(good || text.starts_with("trust.token_lifetime must be"), "{text}");
        }
    }

    #[test]
    fn a_rule_restricts_the_tokens_of_its_issuer() {
        for (patterns, what) in [
            (&[][..], "is empty"),
            (&[("sub", "**")], "matches every token"),
            (&[("sub", "*"), ("ref", "**")], "matches every token"),
            (&[("", "x")], "empty"),
            (&[("sub", "")], "trust.claims[\"sub\"] is empty"),
            (&[("sub", "a***")], "trust.claims[\"sub\"] has more than two *"),
        ] {
            let text = mistake(|rule| claims(rule, patterns));
            assert!(text.starts_with("trust.claims") && text.contains(what), "{patterns:?}: {text}");
        }
        let many = mistake(|rule| {
            rule.claims = (0..33).map(|n| (n.to_string(), "x".to_owned())).collect();
        });
        assert!(many.contains("more than 32"), "{many}");
        assert_eq!(
            mistake(|rule| claims(rule, &[("iss", "https://ci.example")])),
            "",
            "an issuer that is not shared"
        );
    }

    #[test]
    fn a_rule_for_a_shared_issuer_must_name_the_owner() {
        for (issuer, patterns, good) in [
            (GITHUB, &[("repository", "acme/app")][..], true),
            (GITHUB, &[("repository", "acme/*")], true),
            (GITHUB, &[("repository", "acme/**"), ("ref", "**")], true),
            (GITHUB, &[("repository", "acme*")], false),
            (GITHUB, &[("repository", "*/app")], false),
            (GITHUB, &[("repository", "/app")], false),
            (GITHUB, &[("repository_owner", "acme")], true),
            (GITHUB, &[("repository_owner", "acme*")], false),
            (GITHUB, &[("repository_id", "74")], true),
            (GITHUB, &[("sub", "repo:acme/app:ref:refs/heads/main")], true),
            (GITHUB, &[("sub", "repo:acme/*:**")], true),
            (GITHUB, &[("sub", "repo:**")], false),
            (GITHUB, &[("sub", "repo:acme**")], false),
            (GITHUB, &[("sub", "repo:")], false),
            (GITHUB, &[("ref", "refs/heads/main")], false),
            (GITHUB, &[("actor", "ada"), ("environment", "production")], false),
            ("https://gitlab.com", &[("project_path", "acme/app")], true),
            ("https://gitlab.com", &[("sub", "project_path:acme/**")], true),
            ("https://gitlab.com", &[("ref", "main")], false),
            ("https://gitlab.example", &[("ref", "main")], true),
            ("https://accounts.google.com", &[("sub", "1*")], false),
            ("https://accounts.google.com", &[("hd", "acme.example")], true),
        ] {
            let text = mistake(|rule| {
                rule.issuer = issuer.to_owned();
                claims(rule, patterns);
            });
            assert_eq!(text.is_empty(), good, "{patterns:?}: {text}");
            assert!(good || text.starts_with("trust.claims does not name an owner"), "{text}");
        }
    }

    #[test]
    fn all_claims_must_match() {
        let mut rule = rule("ci", "https://ci.example");
        claims(&mut rule, &[("ref", "refs/heads/*"), ("repository", "acme/app")]);
        let token = |json: Value| json.as_object().unwrap().clone();
        for (claims, expected) in [
            (json!({"repository": "acme/app", "ref": "refs/heads/main"}), None),
            (json!({"repository": "acme/app", "ref": "refs/tags/v1"}), Some("ref")),
            (json!({"repository": "acme/app"}), Some("ref")),
            (json!({"repository": "evil/app", "ref": "refs/heads/main"}), Some("repository")),
            (json!({}), Some("ref")),
        ] {
            assert_eq!(mismatch(&rule, &token(claims.clone())), expected, "{claims}");
        }
        rule.claims.insert("x".to_owned(), "***".to_owned());
        let claims = json!({"repository": "acme/app", "ref": "refs/heads/main", "x": "***"});
        assert_eq!(mismatch(&rule, &token(claims)), Some("x"));
    }
}
