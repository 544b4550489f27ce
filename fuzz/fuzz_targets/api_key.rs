//! An API key as pasted by a user, and its text before base64.
#![no_main]

use flyte_auth::api_key::ApiKey;
use secrecy::ExposeSecret as _;

libfuzzer_sys::fuzz_target!(|text: &str| {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    for pasted in [text.to_owned(), STANDARD.encode(text)] {
        let Ok(key) = ApiKey::decode(&pasted) else { continue };
        let written = key.encode().expect("what was read can be written");
        let again = ApiKey::decode(written.expose_secret()).expect("what was written can be read");
        assert_eq!(again.endpoint, key.endpoint);
        assert_eq!((&again.client_id, &again.org), (&key.client_id, &key.org));
        assert_eq!(again.client_secret.expose_secret(), key.client_secret.expose_secret());
    }
});
