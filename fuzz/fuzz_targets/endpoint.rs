//! An endpoint as typed or pasted by a user.
#![no_main]

use flyte_config::Endpoint;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Ok(endpoint) = text.parse::<Endpoint>() else { return };
    let again: Endpoint = endpoint.dns().parse().expect("its own spelling is one");
    assert_eq!(again.keyring_service(), endpoint.keyring_service());
    assert_eq!(endpoint.url().scheme(), "https");
    let _ = endpoint.default_org();
});
