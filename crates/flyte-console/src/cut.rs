//! Shortens texts that are too long for a page, and says so.

use flyte_pages::Cut;
use serde_json::Value;

/// The longest value or message on a page, in bytes.
pub(crate) const MOST: usize = 8 << 10;

/// Shortens a text to `most` bytes. `whole` says where the whole text is.
pub(crate) fn text(text: &str, most: usize, whole: &str) -> Cut {
    if text.len() <= most {
        return Cut { text: text.to_owned(), missing: None };
    }
    let end = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    Cut {
        text: format!("{} …", &text[..end]),
        missing: Some(format!("The first {end} of {} bytes. {whole}", text.len())),
    }
}

/// A value of an input or output, as `flyte get io` shows it.
pub(crate) fn value(value: &Value, whole: &str) -> Cut {
    let shown = match value {
        // An empty text would be invisible.
        Value::String(text) if !text.is_empty() => text.clone(),
        value => value.to_string(),
    };
    text(&shown, MOST, whole)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_long_text_ends_between_characters_and_says_so() {
        assert_eq!(text("short", 5, ""), Cut { text: "short".to_owned(), missing: None });
        let cut = text("aéé", 4, "See the file.");
        assert_eq!(cut.text, "aé …");
        assert_eq!(cut.missing.as_deref(), Some("The first 3 of 5 bytes. See the file."));
        let cut = value(&json!("x".repeat(100_000)), "");
        assert!(cut.text.len() < MOST + 10 && cut.missing.unwrap().contains("100000"));
        assert_eq!(value(&json!(""), "").text, "\"\"");
        assert_eq!(value(&json!({"a": [1]}), "").text, "{\"a\":[1]}");
    }
}
