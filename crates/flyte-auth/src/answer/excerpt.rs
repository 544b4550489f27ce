//! What came instead of an answer, in words: bounded, and without what may be a secret.

use serde_json::{Map, Value};

use crate::token::clean;

/// The longest excerpt of a text, in characters.
const LONGEST: usize = 120;
/// A word that is longer may be a token, in characters.
const LONGEST_WORD: usize = 30;
/// How many members of an object are named.
const MEMBERS: usize = 8;
/// Members that servers explain themselves in.
const WORDS: [&str; 7] = ["message", "error_description", "error", "detail", "title", "reason", "msg"];

/// What a body is, in words.
pub(crate) fn excerpt(body: &[u8]) -> String {
    if body.trim_ascii().is_empty() {
        return "empty".to_owned();
    }
    if let Ok(value) = serde_json::from_slice::<Value>(body) {
        return match value {
            Value::Object(object) => members(&object),
            other => format!("JSON, but {}", kind(&other)),
        };
    }
    match std::str::from_utf8(body) {
        Ok(text) => match page(text) {
            Some(title) if title.is_empty() => "a web page".to_owned(),
            Some(title) => format!("a web page ({title:?})"),
            None => format!("the text {:?}", words(text, LONGEST)),
        },
        Err(_) => format!("{} bytes that are no text", body.len()),
    }
}

/// The first words that a body has for people, where it has any.
pub(crate) fn first_words(body: &[u8]) -> Option<String> {
    let words = match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(object)) => said(&object)?,
        Ok(Value::String(text)) => words(&text, LONGEST),
        Ok(_) => return None,
        Err(_) => {
            let text = std::str::from_utf8(body).ok()?;
            page(text).unwrap_or_else(|| words(text, LONGEST))
        }
    };
    Some(words).filter(|words| !words.is_empty())
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

/// The first words of a text in one line. A word that is so long that it may be a token is left out.
pub(super) fn words(text: &str, longest: usize) -> String {
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        let is_address = word.starts_with("http://") || word.starts_with("https://");
        let word = match word.chars().count() {
            _ if is_address => word.split(['?', '#']).next().unwrap_or_default(),
            // What follows may be a parameter's value.
            1..=LONGEST_WORD => word.split_inclusive('=').next().unwrap_or_default(),
            _ => "...",
        };
        if line.chars().count() + word.chars().count() >= longest {
            line.push_str(" ...");
            break;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    clean(line.trim())
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
        ] {
            assert_eq!(excerpt(body.as_bytes()), told, "{body}");
        }
        assert_eq!(excerpt(&[0xff, 0xfe]), "2 bytes that are no text");
        let many = "word ".repeat(1000);
        assert!(excerpt(many.as_bytes()).len() < 150);
    }
}
