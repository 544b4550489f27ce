//! The answer of a token endpoint.
#![no_main]

use flyte_auth::TokenResponse;

libfuzzer_sys::fuzz_target!(|input: (u16, &[u8])| {
    let _ = TokenResponse::parse("https://issuer.example/token", input.0, input.1);
});
