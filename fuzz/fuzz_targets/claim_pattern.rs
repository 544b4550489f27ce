//! A pattern of a trust rule, and a claim of a stranger's token.
#![no_main]

use flyte_federation::{Pattern, SubjectToken};
use flyte_issuer::KeySet;

libfuzzer_sys::fuzz_target!(|input: (&str, &str)| {
    let (text, value) = input;
    if let Ok(pattern) = text.parse::<Pattern>() {
        assert_eq!(pattern.to_string(), text);
        let matches = pattern.matches(value);
        if pattern.is_literal() {
            assert_eq!(matches, text == value);
        }
        if matches {
            assert!(value.as_bytes().starts_with(&pattern.prefix()));
        }
    }
    let _ = SubjectToken::parse(value);
    let _ = KeySet::parse(value.as_bytes());
});
