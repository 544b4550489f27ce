//! A lenient reader for the answers of other servers: JSON objects whose members are read one by one.
//!
//! A member that is `null`, empty or of another type than its specification says does not make the rest of the answer
//! unusable. If a required member is missing or unusable, the error names it and describes its value.

mod excerpt;
mod intermediary;

use std::fmt;

use secrecy::SecretString;
use serde::{Deserialize, Deserializer, de::MapAccess, de::Visitor};
use serde_json::{Map, Value};
use url::Url;

pub(crate) use self::excerpt::{excerpt, kind};
pub use self::intermediary::Intermediary;
pub(crate) use self::intermediary::{MAX_PAGE_BYTES, is_page, retry_after, server};

/// The members of an answer. The comparison of names ignores case and underscores, because protobuf writes `tokenEndpoint` for
/// the `token_endpoint` of RFC 8414.
#[derive(Debug)]
pub(crate) struct Members(Map<String, Value>);

/// A member with a value that cannot be used. It holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its member {member} is {found}, not {expected}")]
pub(crate) struct Unusable {
    pub(crate) member: &'static str,
    pub(crate) found: String,
    pub(crate) expected: &'static str,
}

impl Members {
    /// Reads a JSON object.
    ///
    /// # Errors
    /// A description of the body if it is not a JSON object.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, String> {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        serde_json::from_slice(body).map_err(|_| excerpt(body))
    }

    /// Reads a JSON object, or a form (`application/x-www-form-urlencoded`) that has one of these members. Some token endpoints
    /// answer with a form.
    pub(crate) fn parse_or_form(body: &[u8], members: &[&str]) -> Result<Self, String> {
        Self::parse(body).or_else(|found| {
            let form: Map<_, _> = url::form_urlencoded::parse(body.trim_ascii())
                .map(|(name, value)| (name.into_owned(), Value::String(value.into_owned())))
                .collect();
            let is_form = body.is_ascii() && members.iter().any(|member| form.contains_key(*member));
            if is_form { Ok(Self(form)) } else { Err(found) }
        })
    }

    /// The value of the first of these names that has a value.
    fn value(&self, names: &[&'static str]) -> Option<(&'static str, &Value)> {
        let found = |name: &str| {
            let exact = self.0.get(name).filter(|value| !is_empty(value));
            exact.or_else(|| {
                let others = self.0.iter().filter(|(other, _)| is_same(other, name));
                others.map(|(_, value)| value).find(|value| !is_empty(value))
            })
        };
        names.iter().find_map(|name| Some((*name, found(name)?)))
    }

    /// A text. Also accepts a number, and a list of one item.
    pub(crate) fn text(&self, names: &[&'static str]) -> Result<Option<String>, Unusable> {
        let Some((member, value)) = self.value(names) else { return Ok(None) };
        scalar(value).map(Some).ok_or_else(|| Unusable { member, found: kind(value), expected: "a text" })
    }

    /// A secret text.
    pub(crate) fn secret(&self, names: &[&'static str]) -> Result<Option<SecretString>, Unusable> {
        Ok(self.text(names)?.map(SecretString::from))
    }

    /// A number. Also accepts a text (`"600"`, `"600s"`).
    pub(crate) fn number(&self, names: &[&'static str]) -> Result<Option<f64>, Unusable> {
        let Some((member, value)) = self.value(names) else { return Ok(None) };
        let number =
            scalar(value).and_then(|text| text.strip_suffix('s').unwrap_or(&text).trim().parse().ok());
        number.filter(|number: &f64| number.is_finite()).map(Some).ok_or_else(|| Unusable {
            member,
            found: quote(value),
            expected: "a number",
        })
    }

    /// A flag. Also accepts a text or a number.
    pub(crate) fn flag(&self, names: &[&'static str]) -> Result<Option<bool>, Unusable> {
        let Some((member, value)) = self.value(names) else { return Ok(None) };
        let text = scalar(value).unwrap_or_default().to_ascii_lowercase();
        match text.as_str() {
            "true" | "1" | "yes" => Ok(Some(true)),
            "false" | "0" | "no" => Ok(Some(false)),
            _ => Err(Unusable { member, found: quote(value), expected: "true or false" }),
        }
    }

    /// A list of texts. Also accepts a single text.
    pub(crate) fn texts(&self, names: &[&'static str]) -> Vec<String> {
        match self.value(names) {
            Some((_, Value::Array(values))) => values.iter().filter_map(scalar).collect(),
            Some((_, value)) => scalar(value).into_iter().collect(),
            None => Vec::new(),
        }
    }

    /// A list of words. Also accepts a text with white space or commas between the words, as in `scope`.
    pub(crate) fn list(&self, names: &[&'static str]) -> Vec<String> {
        let texts = self.texts(names);
        let words = texts.iter().flat_map(|text| text.split([' ', ',', '\t', '\n']));
        words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    /// An `http` or `https` URL.
    pub(crate) fn url(&self, names: &[&'static str]) -> Result<Option<Url>, Unusable> {
        let Some((member, value)) = self.value(names) else { return Ok(None) };
        let url = scalar(value).and_then(|text| Url::parse(&text).ok());
        let url = url.filter(is_web_page);
        url.map(Some).ok_or_else(|| Unusable {
            member,
            found: quote(value),
            expected: "the address of a web page",
        })
    }

    /// The URLs of all endpoints in the answer, with the names of their members.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = (&str, Url)> {
        let is_endpoint = |name: &str| {
            let name = letters(name);
            name.ends_with("endpoint") || name == "jwksuri"
        };
        self.0.iter().filter(move |(name, _)| is_endpoint(name)).filter_map(|(name, value)| {
            let url = scalar(value).and_then(|text| Url::parse(&text).ok()).filter(is_web_page)?;
            Some((name.as_str(), url))
        })
    }

    /// The members of a nested object.
    pub(crate) fn object(&self, name: &'static str) -> Option<Self> {
        match self.value(&[name])?.1 {
            Value::Object(members) => Some(Self(members.clone())),
            _ => None,
        }
    }

    /// Describes the answer in words, without its values.
    pub(crate) fn describe(&self) -> String {
        excerpt::members(&self.0)
    }
}

/// Whether two names are the same, ignoring case, underscores and hyphens.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    letters(one) == letters(other)
}

/// A name in lower case, without underscores and hyphens.
fn letters(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-')).map(|c| c.to_ascii_lowercase()).collect()
}

fn is_web_page(url: &Url) -> bool {
    matches!(url.scheme(), "https" | "http") && url.has_host()
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Object)
    }
}

/// Reads an object. If a name occurs several times, the last member that has a value counts (most readers take the last one,
/// RFC 8259 section 4).
struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Members, A::Error> {
        let mut read = Map::new();
        while let Some((name, value)) = members.next_entry::<String, Value>()? {
            if !(is_empty(&value) && read.contains_key(&name)) {
                read.insert(name, value);
            }
        }
        Ok(Members(read))
    }
}

/// Whether a value is empty: `null`, white space, or a list or an object without content.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(values) => values.iter().all(is_empty),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The text of a string, a number, a flag, or the only item of a list.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Array(values) => {
            let mut items = values.iter().filter(|value| !is_empty(value));
            match (items.next(), items.next()) {
                (Some(only), None) if !only.is_array() => scalar(only),
                _ => None,
            }
        }
        Value::Null | Value::Object(_) => None,
    }
}

/// A value that is not secret, in quotation marks.
fn quote(value: &Value) -> String {
    match scalar(value) {
        Some(text) => format!("{:?}", excerpt::words(&text, 80)),
        None => kind(value),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret as _;
    use serde_json::json;

    use super::*;

    fn members(value: &Value) -> Members {
        Members::parse(value.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn empty_values_count_as_missing() {
        for nothing in [json!(null), json!(""), json!(" "), json!([]), json!({}), json!([null, ""])] {
            let answer = members(&json!({ "a": nothing, "b": 1 }));
            assert_eq!(answer.text(&["a"]), Ok(None), "{nothing}");
            assert_eq!(answer.number(&["a"]), Ok(None));
            assert_eq!(answer.flag(&["a"]), Ok(None));
            assert_eq!(answer.url(&["a"]), Ok(None));
            assert!(answer.list(&["a"]).is_empty());
        }
    }

    #[test]
    fn a_value_may_have_several_forms() {
        let answer = members(&json!({
            "tokenEndpoint": "https://x/", "Expires_In": "600s", "interval": " 5 ", "code": 1234, "yes": "True",
            "one": ["only"], "scopes": "a b,c", "list": ["a", null, 1], "other": null, "OTHER": "x",
        }));
        assert_eq!(answer.url(&["token_endpoint"]).unwrap().unwrap().as_str(), "https://x/");
        assert_eq!(answer.number(&["expires_in"]), Ok(Some(600.0)));
        assert_eq!(answer.number(&["interval"]), Ok(Some(5.0)));
        assert_eq!(answer.secret(&["code"]).unwrap().unwrap().expose_secret(), "1234");
        assert_eq!(answer.flag(&["yes"]), Ok(Some(true)));
        assert_eq!(answer.text(&["one"]), Ok(Some("only".to_owned())));
        assert_eq!((answer.list(&["scopes"]).len(), answer.list(&["list"]).len()), (3, 2));
        assert_eq!(answer.text(&["other"]), Ok(Some("x".to_owned())), "the spelling that has a value");
    }

    #[test]
    fn the_last_value_of_a_repeated_name_counts() {
        for (body, expected) in [
            (r#"{"a":"x","a":null}"#, "x"),
            (r#"{"a":"","a":"x"}"#, "x"),
            (r#"{"a":"y","a":"x"}"#, "x"),
            ("\u{feff} {\"a\":\"x\"}\n", "x"),
            (r#"{"a":{},"A":"x"}"#, "x"),
        ] {
            let answer = Members::parse(body.as_bytes()).unwrap();
            assert_eq!(answer.text(&["a"]).unwrap().as_deref(), Some(expected), "{body}");
        }
    }

    #[test]
    fn every_endpoint_is_found() {
        let answer = members(&json!({
            "jwks_uri": "https://x/k", "tokenEndpoint": "https://x/t", "userinfo_endpoint": null,
            "end_session_endpoint": "not one", "op_policy_uri": "https://x/p", "issuer": "https://x",
        }));
        let found: Vec<_> = answer.endpoints().map(|(name, url)| format!("{name} {url}")).collect();
        assert_eq!(found, ["jwks_uri https://x/k", "tokenEndpoint https://x/t"]);
    }

    #[test]
    fn an_unusable_member_is_named_without_secrets() {
        let answer = members(&json!({
            "token_endpoint": "over there", "expires_in": "soon", "access_token": { "s3cret": "s3cret" },
        }));
        let message = answer.url(&["token_endpoint"]).unwrap_err().to_string();
        assert_eq!(message, "its member token_endpoint is \"over there\", not the address of a web page");
        let message = answer.number(&["expires_in"]).unwrap_err().to_string();
        assert_eq!(message, "its member expires_in is \"soon\", not a number");
        let message = answer.secret(&["access_token"]).unwrap_err().to_string();
        assert_eq!(message, "its member access_token is an object, not a text");
        assert!(Members::parse(b"[1]").unwrap_err().contains("list"));
    }

    proptest! {
        #[test]
        fn no_answer_causes_a_panic(body in proptest::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,80}") {
            for body in [body, format!(r#"{{"a":{text}}}"#).into_bytes(), json!({ "a": text }).to_string().into_bytes()] {
                if let Ok(answer) = Members::parse_or_form(&body, &["a"]) {
                    let _ = (answer.text(&["a"]), answer.number(&["a"]), answer.flag(&["a"]), answer.url(&["a"]));
                    let _ = (answer.list(&["a"]), answer.describe(), answer.object("a"));
                }
            }
        }
    }
}
