//! The query of an authorization request and the form of a token request.
#![no_main]

use flyte_model::Scopes;
use flyte_oauth::{parameters::Parameters, resource};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Ok(parameters) = Parameters::parse(input) else { return };
    for (name, value) in parameters.iter() {
        let mut url = "https://issuer.example/oauth2/authorize?".to_owned();
        flyte_oauth::parameters::append(&mut url, name, value);
        if name == "scope"
            && let Ok(scopes) = value.parse::<Scopes>()
        {
            assert_eq!(scopes.to_string().parse().ok(), Some(scopes));
        }
    }
    let _ = resource::requested(&parameters, "https://issuer.example");
});
