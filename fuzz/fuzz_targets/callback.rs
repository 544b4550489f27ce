//! The query that a browser brings back to the loopback listener.
#![no_main]

use flyte_auth::flows::pkce::parse_answer;

libfuzzer_sys::fuzz_target!(|query: &str| {
    // Nothing passes without the state, whatever else is there.
    assert!(parse_answer(query, "x7Qp0f2V4m").is_none() || query.contains("x7Qp0f2V4m") || query.contains('%'));
});
