//! A redirect URI of a stranger's request against registered ones.
#![no_main]

use flyte_oauth::redirect_uri;

libfuzzer_sys::fuzz_target!(|presented: &str| {
    let exact = "https://web.example/callback";
    assert_eq!(redirect_uri::matches(exact, presented), presented == exact);
    if redirect_uri::matches("http://127.0.0.1/callback", presented) {
        assert!(presented.starts_with("http://127.0.0.1") && presented.ends_with("/callback"));
    }
});
