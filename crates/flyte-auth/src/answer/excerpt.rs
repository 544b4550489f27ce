//! Descriptions of unexpected answers: short, and without anything that may be a secret.

use serde_json::{Map, Value};

use crate::token::{clean, is_unprintable};

/// The longest excerpt of a text, in characters.
const MAX_EXCERPT_CHARS: usize = 120;
/// The longest word that is shown, in characters: a longer one may be a token.
const MAX_WORD_CHARS: usize = 30;
/// The length from which a word of letters and digits may be a token, in characters.
const MIN_TOKEN_CHARS: usize = 12;
/// The most members of an object that are named.
const MAX_MEMBERS: usize = 8;
/// The members in which servers describe an error, the preferred one first.
const DESCRIPTIONS: [&str; 7] = ["message", "error_description", "error", "detail", "title", "reason", "msg"];

/// Describes a body in words.
pub(crate) fn excerpt(body: &[u8]) -> String {
    let body = trim(body);
    if body.is_empty() {
        return "empty".to_owned();
    }
    if let Ok(value) = serde_json::from_slice::<Value>(body) {
        return match value {
            Value::Object(object) => members(&object),
            other => format!("JSON, but {}", kind(&other)),
        };
    }
    if is_broken_json(body) {
        return format!("JSON that is cut off or broken, of {} bytes", body.len());
    }
    match std::str::from_utf8(body) {
        Ok(text) => match page(text) {
            Some(title) if title.is_empty() => "a web page".to_owned(),
            Some(title) => format!("a web page ({title:?})"),
            // A single word is not shown: it may be the token itself.
            None if !text.contains(|c: char| c.is_whitespace() || is_unprintable(c)) => {
                format!("a text of {} bytes", text.len())
            }
            None => format!("the text {:?}", words(text, MAX_EXCERPT_CHARS)),
        },
        Err(_) => format!("{} bytes that are not text", body.len()),
    }
}

/// The first words of a body that people can read; `None` if there are none.
pub(crate) fn first_words(body: &[u8]) -> Option<String> {
    let body = trim(body);
    let words = match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(object)) => description(&object)?,
        Ok(Value::String(text)) => words(&text, MAX_EXCERPT_CHARS),
        Ok(_) => return None,
        Err(_) if is_broken_json(body) => return None,
        Err(_) => {
            let text = std::str::from_utf8(body).ok()?;
            page(text).unwrap_or_else(|| words(text, MAX_EXCERPT_CHARS))
        }
    };
    Some(words).filter(|words| words.chars().any(char::is_alphanumeric))
}

/// A body without a byte order mark and surrounding white space.
fn trim(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii()
}

/// Whether a body that is not valid JSON begins like JSON. Its content is not shown, because any part may be a secret.
fn is_broken_json(body: &[u8]) -> bool {
    matches!(body.first(), Some(b'{' | b'[' | b'"'))
}

/// Describes an object by its error description, otherwise by the names of its members.
pub(super) fn members(object: &Map<String, Value>) -> String {
    if object.is_empty() {
        return "an empty object".to_owned();
    }
    if let Some(description) = description(object) {
        return format!("an object that says {description:?}");
    }
    let mut names: Vec<_> = object.keys().take(MAX_MEMBERS).map(|name| words(name, MAX_WORD_CHARS)).collect();
    if object.len() > MAX_MEMBERS {
        names.push("...".to_owned());
    }
    format!("an object with the members {}", names.join(", "))
}

/// The error description of an object, or of an object in it.
fn description(object: &Map<String, Value>) -> Option<String> {
    DESCRIPTIONS.iter().find_map(|name| match object.get(*name)? {
        Value::String(text) => Some(words(text, MAX_EXCERPT_CHARS)).filter(|words| !words.is_empty()),
        Value::Object(inner) => description(inner),
        _ => None,
    })
}

/// The type of a value, in words, without the value.
pub(crate) fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
    .to_owned()
}

/// The title of a web page, otherwise its first words; `None` if the text is not a web page.
fn page(text: &str) -> Option<String> {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if !text.starts_with('<') {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    let within = |tag: &str| {
        let start = lower.find(&format!("<{tag}"))?;
        let start = start + lower[start..].find('>')? + 1;
        let end = start + lower[start..].find(&format!("</{tag}"))?;
        text.get(start..end)
    };
    let bare = |text: &str| {
        let mut inside = false;
        let visible = text.chars().map(|c| {
            inside = c == '<' || (inside && c != '>');
            if inside || c == '>' { ' ' } else { c }
        });
        words(&visible.collect::<String>(), MAX_EXCERPT_CHARS)
    };
    let found = ["title", "h1", "body"].into_iter().filter_map(within).map(bare);
    Some(found.into_iter().find(|words| !words.is_empty()).unwrap_or_default())
}

/// The first words of a text in one line, without anything that may be a secret: see [`word`].
pub(super) fn words(text: &str, max_chars: usize) -> String {
    let mut line = String::new();
    let mut follows = Follows::Text;
    for raw in text.split(|c: char| c.is_whitespace() || is_unprintable(c)).filter(|word| !word.is_empty()) {
        let shown = match follows {
            Follows::Secret => "...".to_owned(),
            // "Basic authentication" holds no credentials, "Basic YWRhOg==" does.
            Follows::Credentials if !raw.chars().all(char::is_alphabetic) => "...".to_owned(),
            _ => word(raw),
        };
        follows = Follows::after(raw);
        if line.chars().count() + shown.chars().count() >= max_chars {
            line.push_str(" ...");
            break;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&shown);
    }
    clean(line.trim())
}

/// What may follow a word.
#[derive(Clone, Copy)]
enum Follows {
    Text,
    /// Credentials may follow an authentication scheme (RFC 9110 section 11.1).
    Credentials,
    /// A secret follows its name with a colon.
    Secret,
}

impl Follows {
    fn after(word: &str) -> Self {
        let name = word.trim_matches(|c: char| !c.is_alphanumeric()).to_ascii_lowercase();
        match name.as_str() {
            "basic" | "bearer" | "digest" | "dpop" | "negotiate" => Self::Credentials,
            name if names_a_secret(name) && word.trim_end_matches(['"', '\'']).ends_with([':', '=']) => {
                Self::Secret
            }
            _ => Self::Text,
        }
    }
}

fn names_a_secret(name: &str) -> bool {
    ["token", "secret", "password", "passwd", "key", "cookie", "code", "session", "assertion"]
        .iter()
        .any(|part| name.contains(part))
}

/// The part of a word that may be shown. It leaves out possible tokens, values of parameters, and everything in an address except
/// host and path.
fn word(raw: &str) -> String {
    if raw.starts_with("http://") || raw.starts_with("https://") {
        return address(raw);
    }
    // The text after `=` may be a parameter's value.
    let shown = raw.split_inclusive('=').next().unwrap_or_default();
    if may_be_a_secret(shown.trim_end_matches('=')) {
        return "...".to_owned();
    }
    match shown.split_once(':') {
        Some((name, value)) if !value.is_empty() && names_a_secret(&name.to_ascii_lowercase()) => {
            format!("{name}:...")
        }
        _ => shown.to_owned(),
    }
}

/// Whether a word looks like a token: it is very long, or it is long and mixes letters and digits.
fn may_be_a_secret(word: &str) -> bool {
    let count = word.chars().count();
    let has = |what: fn(char) -> bool| word.chars().any(what);
    let is_token = || word.chars().all(|c| c.is_ascii_alphanumeric() || "-_+~=".contains(c));
    count > MAX_WORD_CHARS
        || (count >= MIN_TOKEN_CHARS && has(|c| c.is_ascii_digit()) && has(char::is_alphabetic) && is_token())
}

/// A web address without user name, password and query, and without possible tokens in its path.
fn address(raw: &str) -> String {
    let bare = raw.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = bare.split_once("://").unwrap_or(("", bare));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    let segments = path.split('/').map(|part| if may_be_a_secret(part) { "..." } else { part });
    let path = segments.collect::<Vec<_>>().join("/");
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_described_in_a_few_words() {
        let long = "x".repeat(1000);
        for (body, expected) in [
            ("", "empty"),
            (" \n", "empty"),
            ("{}", "an empty object"),
            (r#"{"access_token":"s3cret","x":1}"#, "an object with the members access_token, x"),
            (r#"{"error":{"code":7,"message":"no\tway"}}"#, "an object that says \"no way\""),
            ("[1]", "JSON, but a list"),
            ("\"s3cret\"", "JSON, but a text"),
            ("<html><head><title>502 Bad\nGateway</title>", "a web page (\"502 Bad Gateway\")"),
            ("<!doctype html><body><h1>Blocked <b>by</b></h1><p>x", "a web page (\"Blocked by\")"),
            ("<?xml version='1.0'?><a/>", "a web page"),
            ("upstream connect error", "the text \"upstream connect error\""),
            (&format!("token {long} end"), "the text \"token ... end\""),
            ("see https://x.example/a/b?token=s3cret", "the text \"see https://x.example/a/b\""),
            ("the refresh_token=s3cret is none", "the text \"the refresh_token= is none\""),
            ("a\u{1b}[31mb", "the text \"a [31mb\""),
            ("a\u{202e}b\u{200b}c d", "the text \"a b c d\""),
            ("s3cret", "a text of 6 bytes"),
            (r#"{"access_token":"s3cret", "#, "JSON that is cut off or broken, of 25 bytes"),
            ("bad header authorization: Bearer s3cret", "the text \"bad header authorization: Bearer ...\""),
            ("bad password: hunter", "the text \"bad password: ...\""),
            ("bad token:hunter here", "the text \"bad token:... here\""),
            ("Basic authentication is off", "the text \"Basic authentication is off\""),
            ("go to https://ada:hunter2@x.example/a", "the text \"go to https://x.example/a\""),
            ("no AKIA1234567890 here", "the text \"no ... here\""),
            ("\u{feff}{\"message\":\"no way\"}", "an object that says \"no way\""),
        ] {
            assert_eq!(excerpt(body.as_bytes()), expected, "{body}");
        }
        assert_eq!(excerpt(&[0xff, 0xfe]), "2 bytes that are not text");
        let many = "word ".repeat(1000);
        assert!(excerpt(many.as_bytes()).len() < 150);
    }
}
