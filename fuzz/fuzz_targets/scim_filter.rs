//! A filter, and a path of a PATCH request, of a SCIM client.
#![no_main]

use flyte_scim::filter::{parse, parse_path};

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(filter) = parse(text) {
        assert_eq!(parse(&filter.to_string()).expect("what was written can be read"), filter);
    }
    if let Ok(path) = parse_path(text) {
        assert_eq!(parse_path(&path.to_string()).expect("what was written can be read"), path);
    }
});
