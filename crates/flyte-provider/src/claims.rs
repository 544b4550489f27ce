//! What claims say about a user: address, name, groups. Claims are a stranger's text.

use serde_json::{Map, Value};

use flyte_model::check_display_text;
use flyte_settings::{ProviderConfig, ProviderPreset};

/// The maximum length of an e-mail address in bytes (RFC 5321 section 4.5.3.1.3).
const MAX_EMAIL_BYTES: usize = 254;
/// The maximum length of a name, in characters.
const MAX_NAME_CHARACTERS: usize = 100;
/// The most groups that are read. Beyond that, the list counts as incomplete.
const MAX_GROUPS: usize = 2000;
/// The maximum length of the identifier of a group, in bytes.
const MAX_GROUP_BYTES: usize = 256;

/// An e-mail address, in the one form in which addresses of providers are compared and stored: without spaces around it, in
/// lower case, ASCII only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedEmail(String);

impl VerifiedEmail {
    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the address is in one of these domains. Subdomains are other domains.
    #[must_use]
    pub fn is_in(&self, domains: &[String]) -> bool {
        is_in(&self.0, domains)
    }
}

pub(crate) fn is_in(email: &str, domains: &[String]) -> bool {
    let domain = email.rsplit_once('@').map(|(_, domain)| domain);
    domain.is_some_and(|domain| domains.iter().any(|known| known == domain))
}

/// The groups of a user. "None" and "unknown" are different answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Groups {
    /// The provider does not say in which groups the user is.
    #[default]
    Unknown,
    /// The provider says that the user is in too many groups to list.
    TooMany,
    /// Exactly these, sorted; perhaps none.
    Listed(Vec<String>),
}

/// Returns an address in its one form; `None` if it cannot be used.
///
/// Characters outside of ASCII are refused, because two addresses that look alike, or have the same lower case (the Kelvin
/// sign and k), are different mailboxes. Tags (`+tag`) and dots are part of an address.
#[must_use]
pub fn normalize_email(text: &str) -> Option<String> {
    let text = text.trim();
    let is_address_byte = |byte: u8| byte.is_ascii_graphic() && !b"\"(),:;<>[\\]@".contains(&byte);
    let (local, domain) = text.split_once('@')?;
    let is_domain = domain.split('.').all(|label| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    });
    let is_good =
        !local.is_empty() && local.bytes().all(is_address_byte) && is_domain && text.len() <= MAX_EMAIL_BYTES;
    is_good.then(|| text.to_ascii_lowercase())
}

/// Returns a name without control characters and without marks that change the direction of the text around it, cut to a
/// length that fits pages; `None` if nothing is left.
#[must_use]
pub fn clean_name(text: &str) -> Option<String> {
    let is_harmless = |c: &char| {
        !c.is_control()
            && !matches!(*c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{61c}')
            && !matches!(*c, '\u{fff0}'..='\u{ffff}' | '\u{e0000}'..='\u{e0fff}' | '\u{2028}' | '\u{2029}')
    };
    let spaced = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c });
    let name: String = spaced.filter(is_harmless).take(MAX_NAME_CHARACTERS).collect();
    let name = name.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    (!name.is_empty()).then_some(name)
}

/// The documents with claims about one user: the ID token, and then the answer of UserInfo.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Documents<'a>(pub(crate) &'a [&'a Map<String, Value>]);

impl<'a> Documents<'a> {
    /// Returns the first claim with this name, or at this path.
    pub(crate) fn find(self, name: &str) -> Option<&'a Value> {
        self.0.iter().find_map(|claims| find(claims, name))
    }

    fn text(self, name: &str) -> Option<&'a str> {
        self.find(name)?.as_str()
    }

    /// Returns the address, verified or not.
    pub(crate) fn email(self, settings: &ProviderConfig) -> Option<String> {
        normalize_email(self.text(&settings.email_claim)?)
    }

    /// Returns the address if the provider, or a rule of the administrator, says that it is verified.
    pub(crate) fn verified_email(self, settings: &ProviderConfig) -> Option<VerifiedEmail> {
        let email = self.email(settings)?;
        // What a document confirms counts only if it is about the same address.
        let is_about = |claims: &Map<String, Value>| match find(claims, &settings.email_claim) {
            Some(other) => other.as_str().and_then(normalize_email).as_ref() == Some(&email),
            None => false,
        };
        let said = |claims| find(claims, &settings.email_verified_claim).map(is_true);
        // A denial counts wherever it is: the address may be in another document than its flag.
        let is_denied = self.0.iter().any(|claims| said(claims) == Some(false));
        let mut about = self.0.iter().filter(|claims| is_about(claims));
        let is_verified = !is_denied
            && (about.clone().any(|claims| said(claims) == Some(true))
                || (settings.trust_xms_edov
                    && about.any(|claims| find(claims, "xms_edov").is_some_and(is_edov)))
                || (self.0.iter().all(|claims| said(claims).is_none())
                    && is_in(&email, &settings.verified_domains)));
        is_verified.then_some(VerifiedEmail(email))
    }

    /// Returns the cleaned name.
    pub(crate) fn name(self, settings: &ProviderConfig) -> Option<String> {
        clean_name(self.text(&settings.name_claim)?)
    }

    /// Returns the groups. A list that the provider keeps elsewhere (`_claim_names`, OpenID Connect Core section 5.6.2) is
    /// not fetched: the address is in the token, and Entra ID's does not work any more.
    pub(crate) fn groups(self, settings: &ProviderConfig) -> Groups {
        let Some(claim) = &settings.groups_claim else { return Groups::Unknown };
        if let Some(value) = self.find(claim) {
            return groups(value);
        }
        let elsewhere = self.find("_claim_names").and_then(|names| names.get(claim)).is_some();
        if elsewhere || self.find("hasgroups").is_some_and(is_true) {
            Groups::TooMany
        } else if settings.preset == ProviderPreset::Okta {
            // Okta leaves the claim out if it would be empty.
            Groups::Listed(Vec::new())
        } else {
            Groups::Unknown
        }
    }
}

fn find<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('/')?;
    find(claims.get(first)?.as_object()?, rest)
}

/// Only these two are "true"; some providers send texts.
fn is_true(value: &Value) -> bool {
    matches!(value, Value::Bool(true)) || value.as_str() == Some("true")
}

/// Entra ID also writes its claim as a number.
fn is_edov(value: &Value) -> bool {
    is_true(value) || value.as_str() == Some("1") || value.as_i64() == Some(1)
}

/// Whether a text can be a group. It is compared as a whole, and is shown to administrators, so it must not look like another one.
fn is_group(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_GROUP_BYTES && check_display_text(text).is_ok()
}

fn groups(value: &Value) -> Groups {
    let one = |value: &Value| match value {
        Value::String(text) if is_group(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let listed: Option<Vec<String>> = match value {
        Value::Array(many) if many.len() > MAX_GROUPS => return Groups::TooMany,
        // An element that is not understood makes the list unknown, not shorter.
        Value::Array(many) => many.iter().map(one).collect(),
        Value::String(_) => one(value).map(|one| vec![one]),
        _ => None,
    };
    match listed {
        Some(mut listed) => {
            listed.sort();
            listed.dedup();
            Groups::Listed(listed)
        }
        None => Groups::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::testing::settings;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn only_true_means_verified() {
        let verified = |settings: &ProviderConfig, claims: Value| {
            Documents(&[&map(claims)]).verified_email(settings).is_some()
        };
        let plain = settings("https://id.example");
        for (flag, expected) in [
            (json!(true), true),
            (json!("true"), true),
            (json!("false"), false),
            (json!(false), false),
            (json!(null), false),
            (json!(1), false),
            (json!("1"), false),
            (json!("True"), false),
            (json!(["true"]), false),
            (json!({}), false),
        ] {
            let claims = json!({"email": "a@corp.example", "email_verified": flag});
            assert_eq!(verified(&plain, claims), expected, "{flag}");
        }
        assert!(!verified(&plain, json!({"email": "a@corp.example"})), "absent");
        // `xms_edov` counts only if the administrator says so and the usual claim is absent.
        let claims = json!({"email": "a@corp.example", "xms_edov": true});
        assert!(!verified(&plain, claims.clone()));
        let entra = ProviderConfig { trust_xms_edov: true, ..plain.clone() };
        assert!(verified(&entra, claims));
        for given in [json!(false), json!("false"), json!(null)] {
            let claims = json!({"email": "a@corp.example", "xms_edov": true, "email_verified": given});
            assert!(!verified(&entra, claims), "an explicit answer wins: {given}");
        }
        // The same for domains whose addresses count as verified.
        let domain = ProviderConfig { verified_domains: vec!["corp.example".to_owned()], ..plain };
        assert!(verified(&domain, json!({"email": "A@Corp.example"})));
        assert!(!verified(&domain, json!({"email": "a@sub.corp.example"})));
        assert!(!verified(&domain, json!({"email": "a@corp.example", "email_verified": false})));
    }

    #[test]
    fn a_flag_counts_only_for_its_own_address() {
        let plain = settings("https://id.example");
        let verified = |token: Value, userinfo: Value| {
            let (token, userinfo) = (map(token), map(userinfo));
            let email = Documents(&[&token, &userinfo]).verified_email(&plain);
            email.map(|email| email.as_str().to_owned())
        };
        let a = "a@corp.example";
        let flag = json!({"email": a, "email_verified": true});
        assert_eq!(verified(json!({}), flag.clone()).as_deref(), Some(a));
        assert_eq!(verified(json!({"email": a}), flag.clone()).as_deref(), Some(a));
        assert_eq!(
            verified(json!({"email": "boss@corp.example"}), flag.clone()),
            None,
            "a flag of another address"
        );
        assert_eq!(verified(json!({"email": a}), json!({"email_verified": true})), None);
        assert_eq!(verified(json!({"email": a, "email_verified": false}), flag.clone()), None, "false wins");
        assert_eq!(
            verified(json!({"email_verified": false}), flag),
            None,
            "also from where the address is not"
        );
    }

    #[test]
    fn rules_do_not_replace_a_denial() {
        let rules = ProviderConfig {
            verified_domains: vec!["corp.example".to_owned()],
            trust_xms_edov: true,
            ..settings("https://id.example")
        };
        let address = map(json!({"email": "boss@corp.example"}));
        for (other, is_verified) in [
            (json!({}), true),
            (json!({"email_verified": false}), false),
            (json!({"email_verified": null}), false),
            (json!({"email_verified": "false", "xms_edov": true}), false),
        ] {
            let found = Documents(&[&map(other.clone()), &address]).verified_email(&rules);
            assert_eq!(found.is_some(), is_verified, "{other}");
        }
        // The statement of another document is not about this address.
        let elsewhere = ProviderConfig { verified_domains: Vec::new(), ..rules };
        let other = map(json!({"xms_edov": true}));
        assert!(Documents(&[&other, &address]).verified_email(&elsewhere).is_none());
        let own = map(json!({"email": "boss@corp.example", "xms_edov": true}));
        assert!(Documents(&[&own]).verified_email(&elsewhere).is_some());
    }

    #[test]
    fn addresses_have_one_form() {
        for (text, expected) in [
            (" Ida@Corp.Example ", Some("ida@corp.example")),
            ("a+tag@corp.example", Some("a+tag@corp.example")),
            ("first.last@corp.example", Some("first.last@corp.example")),
            ("mi\u{212a}e@corp.example", None),
            ("m\u{456}ke@corp.example", None),
            ("a@corp\u{2024}example", None),
            ("a@b@c", None),
            ("a@", None),
            ("@b", None),
            ("a", None),
            ("", None),
            ("a b@c.example", None),
            ("a\n@c.example", None),
            ("<a@c.example>", None),
            ("a@c.example\u{202e}", None),
            ("a@-c.example", None),
            ("a@c..example", None),
        ] {
            assert_eq!(normalize_email(text).as_deref(), expected, "{text:?}");
        }
        assert_eq!(normalize_email(&format!("{}@c.example", "a".repeat(250))), None);
    }

    #[test]
    fn names_are_cleaned() {
        for (text, expected) in [
            ("Ada  Lovelace\n", Some("Ada Lovelace")),
            ("\u{202e}nimda", Some("nimda")),
            ("<script>alert(1)</script>", Some("<script>alert(1)</script>")),
            ("\u{200b}\u{feff} ", None),
            ("", None),
            ("Zoë 🦀 李", Some("Zoë 🦀 李")),
        ] {
            assert_eq!(clean_name(text).as_deref(), expected, "{text:?}");
        }
        assert_eq!(clean_name(&"x".repeat(1 << 20)).unwrap().len(), MAX_NAME_CHARACTERS);
    }

    #[test]
    fn a_claim_that_okta_leaves_out_is_empty() {
        let with = ProviderConfig {
            preset: ProviderPreset::Okta,
            groups_claim: Some("groups".to_owned()),
            ..settings("https://id.example")
        };
        assert_eq!(Documents(&[&map(json!({}))]).groups(&with), Groups::Listed(Vec::new()));
        // What is there and cannot be read says nothing, and without a claim nothing was asked for.
        assert_eq!(Documents(&[&map(json!({"groups": {"a": 1}}))]).groups(&with), Groups::Unknown);
        let without = ProviderConfig { groups_claim: None, ..with };
        assert_eq!(Documents(&[&map(json!({}))]).groups(&without), Groups::Unknown);
    }

    #[test]
    fn unknown_groups_are_not_no_groups() {
        let with =
            ProviderConfig { groups_claim: Some("groups".to_owned()), ..settings("https://id.example") };
        let groups = |claims: Value| Documents(&[&map(claims)]).groups(&with);
        let listed = |ids: &[&str]| Groups::Listed(ids.iter().map(ToString::to_string).collect());
        let overage = json!({"tid": "t1", "_claim_names": {"groups": "s"},
            "_claim_sources": {"s": {"endpoint": "https://evil.example/g"}}});
        for (claims, expected) in [
            (json!({}), Groups::Unknown),
            (json!({"groups": null}), Groups::Unknown),
            (json!({"groups": {"a": 1}}), Groups::Unknown),
            (json!({"groups": [["a"]]}), Groups::Unknown),
            (json!({"groups": ["a", "b\u{202e}"]}), Groups::Unknown),
            (json!({"groups": "a\nb"}), Groups::Unknown),
            (json!({"groups": ["x".repeat(MAX_GROUP_BYTES + 1)]}), Groups::Unknown),
            (json!({"groups": []}), listed(&[])),
            (json!({"groups": "a"}), listed(&["a"])),
            (json!({"groups": ["b", "a", "b", 7]}), listed(&["7", "a", "b"])),
            (json!({"groups": vec!["x"; MAX_GROUPS + 1]}), Groups::TooMany),
            (overage, Groups::TooMany),
            (json!({"hasgroups": true}), Groups::TooMany),
        ] {
            assert_eq!(groups(claims.clone()), expected, "{claims}");
        }
        let path = ProviderConfig { groups_claim: Some("realm_access/roles".to_owned()), ..with };
        let claims = map(json!({"realm_access": {"roles": ["r"]}}));
        assert_eq!(Documents(&[&claims]).groups(&path), listed(&["r"]));
    }

    proptest! {
        #[test]
        fn every_text_is_cleaned_or_refused(text in ".*") {
            if let Some(email) = normalize_email(&text) {
                prop_assert_eq!(normalize_email(&email), Some(email.clone()));
                prop_assert!(email.is_ascii() && email.matches('@').count() == 1);
            }
            if let Some(name) = clean_name(&text) {
                prop_assert_eq!(clean_name(&name), Some(name.clone()));
            }
        }
    }
}
