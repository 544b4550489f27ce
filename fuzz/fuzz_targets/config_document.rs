//! A configuration file, and an edit of it.
#![no_main]

use std::path::Path;

use flyte_config::{Document, Setting, key};

libfuzzer_sys::fuzz_target!(|text: String| {
    let path = Path::new("config.yaml");
    let Ok(mut document) = Document::parse(text.clone(), path) else { return };
    assert_eq!(document.text(), text);
    if document.set(key::ENDPOINT, Setting::Text("dns:///flyte.example")).is_ok() {
        let again = Document::parse(document.text().to_owned(), path).expect("an edit leaves a file that can be read");
        assert_eq!(again.get(key::ENDPOINT), Some("dns:///flyte.example"));
    }
});
