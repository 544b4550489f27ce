//! What came instead of an answer, in words: bounded, and without what may be a secret.

use serde_json::{Map, Value};

use crate::token::{clean, is_unprintable};

/// The longest excerpt of a text, in characters.
const LONGEST: usize = 120;
/// A word that is longer may be a token, in characters.
const LONGEST_WORD: usize = 30;
/// A word of letters and digits that is not shorter may be a token, in characters.
const SHORTEST_TOKEN: usize = 12;
/// How many members of an object are named.
const MEMBERS: usize = 8;
/// Members that servers explain themselves in.
const WORDS: [&str; 7] = ["message", "error_description", "error", "detail", "title", "reason", "msg"];

/// What a body is, in words.
pub(crate) fn excerpt(body: &[u8]) -> String {
    let body = without_mark(body);
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
            // A single word may be the token itself.
            None if !text.contains(|c: char| c.is_whitespace() || is_unprintable(c)) => {
                format!("a text of {} bytes", text.len())
            }
            None => format!("the text {:?}", words(text, LONGEST)),
        },
        Err(_) => format!("{} bytes that are no text", body.len()),
    }
}

/// The first words that a body has for people, where it has any.
pub(crate) fn first_words(body: &[u8]) -> Option<String> {
    let body = without_mark(body);
    let words = match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(object)) => said(&object)?,
        Ok(Value::String(text)) => words(&text, LONGEST),
        Ok(_) => return None,
        Err(_) if is_broken_json(body) => return None,
        Err(_) => {
            let text = std::str::from_utf8(body).ok()?;
            page(text).unwrap_or_else(|| words(text, LONGEST))
        }
    };
    Some(words).filter(|words| words.chars().any(char::is_alphanumeric))
}

/// A body without the blanks around it, and without a byte order mark.
fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii()
}

/// Whether a body that is not JSON was meant to be: what is in it may be anything.
fn is_broken_json(body: &[u8]) -> bool {
    matches!(body.first(), Some(b'{' | b'[' | b'"'))
}

/// An object by the names of its members, and what it says to people.
pub(super) fn members(object: &Map<String, Value>) -> String {
    if object.is_empty() {
        return "an empty object".to_owned();
    }
    if let Some(said) = said(object) {
        return format!("an object that says {said:?}");
    }
    let mut names: Vec<_> = object.keys().take(MEMBERS).map(|name| words(name, LONGEST_WORD)).collect();
    if object.len() > MEMBERS {
        names.push("...".to_owned());
    }
    format!("an object with the members {}", names.join(", "))
}

fn said(object: &Map<String, Value>) -> Option<String> {
    WORDS.iter().find_map(|name| match object.get(*name)? {
        Value::String(text) => Some(words(text, LONGEST)).filter(|words| !words.is_empty()),
        Value::Object(inner) => said(inner),
        _ => None,
    })
}

/// The kind of a value, without the value.
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

/// The title of a web page, else its first words; `None` where it is none.
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
        words(&visible.collect::<String>(), LONGEST)
    };
    let found = ["title", "h1", "body"].into_iter().filter_map(within).map(bare);
    Some(found.into_iter().find(|words| !words.is_empty()).unwrap_or_default())
}

/// The first words of a text in one line. What may be a secret is left out: see [`word`].
pub(super) fn words(text: &str, longest: usize) -> String {
    let mut line = String::new();
    let mut announced = Announced::Nothing;
    for raw in text.split(|c: char| c.is_whitespace() || is_unprintable(c)).filter(|word| !word.is_empty()) {
        let shown = match announced {
            Announced::Secret => "...".to_owned(),
            // "Basic authentication" is none, "Basic YWRhOg==" is one.
            Announced::Credentials if !raw.chars().all(char::is_alphabetic) => "...".to_owned(),
            _ => word(raw),
        };
        announced = Announced::by(raw);
        if line.chars().count() + shown.chars().count() >= longest {
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

/// What a word says about the next one.
#[derive(Clone, Copy)]
enum Announced {
    Nothing,
    /// An authentication scheme (RFC 9110 section 11.1): credentials may follow.
    Credentials,
    /// The name of a secret, with a colon.
    Secret,
}

impl Announced {
    fn by(word: &str) -> Self {
        let name = word.trim_matches(|c: char| !c.is_alphanumeric()).to_ascii_lowercase();
        match name.as_str() {
            "basic" | "bearer" | "digest" | "dpop" | "negotiate" => Self::Credentials,
            name if names_a_secret(name) && word.trim_end_matches(['"', '\'']).ends_with([':', '=']) => {
                Self::Secret
            }
            _ => Self::Nothing,
        }
    }
}

fn names_a_secret(name: &str) -> bool {
    ["token", "secret", "password", "passwd", "key", "cookie", "code", "session", "assertion"]
        .iter()
        .any(|part| name.contains(part))
}

/// A word, as far as it is shown: neither what may be a token, nor the value of a parameter, nor what is in an address beside
/// host and path.
fn word(raw: &str) -> String {
    if raw.starts_with("http://") || raw.starts_with("https://") {
        return address(raw);
    }
    // What follows may be a parameter's value.
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

/// Whether a word looks like a token rather than one of a language: it is very long, or long with letters and digits mixed.
fn may_be_a_secret(word: &str) -> bool {
    let count = word.chars().count();
    let has = |what: fn(char) -> bool| word.chars().any(what);
    let is_token = || word.chars().all(|c| c.is_ascii_alphanumeric() || "-_+~=".contains(c));
    count > LONGEST_WORD
        || (count >= SHORTEST_TOKEN && has(|c| c.is_ascii_digit()) && has(char::is_alphabetic) && is_token())
}

/// A web address without user name, password, query and what may be a token in its path.
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
    fn what_came_is_told_in_a_few_words() {
        let long = "x".repeat(1000);
        for (body, told) in [
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
            assert_eq!(excerpt(body.as_bytes()), told, "{body}");
        }
        assert_eq!(excerpt(&[0xff, 0xfe]), "2 bytes that are no text");
        let many = "word ".repeat(1000);
        assert!(excerpt(many.as_bytes()).len() < 150);
    }
}
