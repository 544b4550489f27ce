//! Step-up authentication challenges (RFC 9470): the resource server accepts the token, but requires a more recent sign-in or another
//! way to sign in.

use std::time::Duration;

use http::{HeaderMap, header};

/// The error code of this challenge (RFC 9470 section 3).
const ERROR: &str = "insufficient_user_authentication";
/// The longest `acr_values` that is passed on, in bytes.
const MAX_ACR_VALUES_BYTES: usize = 512;

/// Requirements for a sign-in. The default requires nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepUp {
    /// How long ago the person may have signed in (`max_age`).
    pub max_age: Option<Duration>,
    /// The accepted ways to sign in, the preferred one first, separated by spaces (`acr_values`).
    pub acr_values: Option<String>,
}

impl StepUp {
    /// Requires a sign-in within this time.
    #[must_use]
    pub fn within(max_age: Duration) -> Self {
        Self { max_age: Some(max_age), acr_values: None }
    }

    /// Reads the challenge in the headers of a response.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let values = headers.get_all(header::WWW_AUTHENTICATE);
        values.iter().filter_map(|value| value.to_str().ok()).find_map(Self::parse)
    }

    /// Reads a `WWW-Authenticate` header, which may hold challenges of several schemes (RFC 9110 section 11.6.1).
    fn parse(value: &str) -> Option<Self> {
        let mut challenges: Vec<Vec<(String, String)>> = Vec::new();
        for part in split(value) {
            let (name, text) = part.split_once('=').unwrap_or((part, ""));
            // The scheme precedes the first parameter of its challenge.
            let name = match name.trim().rsplit_once(' ') {
                Some((_, name)) => {
                    challenges.push(Vec::new());
                    name
                }
                None => name.trim(),
            };
            if challenges.is_empty() {
                challenges.push(Vec::new());
            }
            if let Some(challenge) = challenges.last_mut() {
                challenge.push((name.to_ascii_lowercase(), unquoted(text.trim())));
            }
        }
        challenges.iter().find_map(|challenge| {
            let parameter = |wanted: &str| {
                challenge.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
            };
            if parameter("error") != Some(ERROR) {
                return None;
            }
            let max_age = parameter("max_age").and_then(|text| text.parse().ok()).map(Duration::from_secs);
            let acr_values = parameter("acr_values").filter(|text| {
                !text.is_empty()
                    && text.len() <= MAX_ACR_VALUES_BYTES
                    && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
            });
            Some(Self { max_age, acr_values: acr_values.map(str::to_owned) })
        })
    }

    /// The parameters of an authorization request (OpenID Connect Core section 3.1.2.1).
    pub(crate) fn parameters(&self) -> impl Iterator<Item = (&'static str, String)> + use<> {
        let max_age = self.max_age.map(|age| ("max_age", age.as_secs().to_string()));
        let acr_values = self.acr_values.clone().map(|values| ("acr_values", values));
        [max_age, acr_values].into_iter().flatten()
    }

    /// Describes the requirements in words.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self.max_age.map(|age| age.as_secs()) {
            None => "another sign-in".to_owned(),
            Some(0) => "a new sign-in".to_owned(),
            Some(seconds) if seconds % 60 == 0 => match seconds / 60 {
                1 => "a sign-in of the last minute".to_owned(),
                minutes => format!("a sign-in of the last {minutes} minutes"),
            },
            Some(seconds) => format!("a sign-in of the last {seconds} seconds"),
        }
    }
}

/// Splits at the commas outside of quotation marks.
fn split(value: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    value
        .split(move |c: char| {
            let separates = c == ',' && !quoted;
            if quoted && !escaped && c == '\\' {
                escaped = true;
                return false;
            }
            if c == '"' && !escaped {
                quoted = !quoted;
            }
            escaped = false;
            separates
        })
        .map(str::trim)
        .filter(|part| !part.is_empty())
}

/// The content of a quoted string (RFC 9110 section 5.6.4). Returns a token unchanged.
fn unquoted(text: &str) -> String {
    let Some(inner) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else {
        return text.to_owned();
    };
    let mut escaped = false;
    inner
        .chars()
        .filter(|c| {
            escaped = *c == '\\' && !escaped;
            !escaped
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn step_up(max_age: u64, acr_values: &str) -> StepUp {
        StepUp {
            max_age: Some(Duration::from_secs(max_age)),
            acr_values: Some(acr_values.to_owned()).filter(|text| !text.is_empty()),
        }
    }

    #[test]
    fn challenges_are_found_among_others() {
        for (value, expected) in [
            // RFC 9470 section 3.
            (
                "Bearer error=\"insufficient_user_authentication\", error_description=\"A different authentication level \
                 is required\", acr_values=\"myACR\"",
                Some(StepUp { max_age: None, acr_values: Some("myACR".to_owned()) }),
            ),
            (
                "Bearer error=\"insufficient_user_authentication\", error_description=\"More recent authentication is \
                 required\", max_age=\"5\"",
                Some(step_up(5, "")),
            ),
            (
                "Basic realm=\"a, b=\\\"c\\\"\", bearer Error=insufficient_user_authentication,max_age=900,acr_values=\"a b\"",
                Some(step_up(900, "a b")),
            ),
            // The age belongs to another challenge.
            (
                "DPoP max_age=1, error=\"x\", Bearer error=\"insufficient_user_authentication\"",
                Some(StepUp::default()),
            ),
            (
                "Bearer error=\"insufficient_user_authentication\", max_age=\"soon\", acr_values=\"\u{e9}\"",
                Some(StepUp::default()),
            ),
            ("Bearer error=\"invalid_token\", max_age=\"5\"", None),
            ("Bearer realm=\"error=insufficient_user_authentication\"", None),
            ("Bearer", None),
            ("", None),
        ] {
            assert_eq!(StepUp::parse(value), expected, "{value}");
        }
    }

    #[test]
    fn requirements_become_words_and_parameters() {
        let words = |max_age| StepUp::within(Duration::from_secs(max_age)).in_words();
        assert_eq!(words(900), "a sign-in of the last 15 minutes");
        assert_eq!(
            (words(60).as_str(), words(0).as_str()),
            ("a sign-in of the last minute", "a new sign-in")
        );
        assert_eq!(words(90), "a sign-in of the last 90 seconds");
        let sent: Vec<_> = step_up(900, "a b").parameters().collect();
        assert_eq!(sent, [("max_age", "900".to_owned()), ("acr_values", "a b".to_owned())]);
        assert_eq!(StepUp::default().parameters().count(), 0);
    }

    proptest! {
        #[test]
        fn no_header_panics(value in ".{0,200}") {
            let _ = StepUp::parse(&value);
        }
    }
}
