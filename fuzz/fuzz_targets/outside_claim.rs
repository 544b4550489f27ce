//! The address and the name that an outside provider sends.
#![no_main]

use flyte_provider::{clean_name, normalize_email};

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Some(email) = normalize_email(text) {
        assert_eq!(normalize_email(&email).as_deref(), Some(email.as_str()));
        assert!(email.is_ascii() && email.matches('@').count() == 1 && email.len() <= 254);
        assert!(!email.contains(|c: char| c.is_control() || c.is_whitespace() || c.is_ascii_uppercase()));
    }
    if let Some(name) = clean_name(text) {
        assert_eq!(clean_name(&name).as_deref(), Some(name.as_str()));
        assert!(name.chars().count() <= 100 && !name.contains(char::is_control));
    }
});
