//! Our command against an authorization server that we did not write: npm's `oidc-provider`.

use std::fs;

use flyte_e2e::{Certificate, Flaw, Machine, OidcProvider, Person, Told};

/// A machine whose configuration names the provider as its endpoint. It is no control plane: where to sign in is found by
/// its OpenID Connect discovery document, and the client by the configuration.
fn machine_for(provider: &OidcProvider, certificate: &Certificate) -> Machine {
    let machine = Machine::bare();
    let config = format!(
        "admin:\n  endpoint: dns:///{}\n  caCertFilePath: {}\n  clientId: flyte-native\n  scopes: [openid, offline_access]\n",
        provider.endpoint(),
        certificate.ca().display()
    );
    fs::create_dir(machine.home().join(".flyte")).unwrap();
    fs::write(machine.config(), config).unwrap();
    machine
}

#[test]
fn we_sign_in_and_renew_with_rotation_at_oidc_provider() {
    let certificate = Certificate::new(Flaw::None);
    // Long enough that a browser does not outlast it, short enough to see it renewed.
    let provider = OidcProvider::start(&certificate, 2);
    let machine = machine_for(&provider, &certificate);
    let password = machine.home().join("password");
    fs::write(&password, "any will do").unwrap();
    let login = &mut machine.flyte_with(&Person::SignsIn(password), &["auth", "login"]);
    let told = Told::by(login).ok();
    assert!(told.out.starts_with("Signed in to"), "{told:?}");
    assert_eq!(provider.log().matches("granted authorization_code").count(), 1, "{}", provider.log());

    let status = Told::by(&mut machine.flyte(&["-o", "json", "auth", "status"])).ok();
    let status: serde_json::Value = serde_json::from_str(&status.out).unwrap();
    assert_eq!(status["issuer"], format!("https://{}", provider.endpoint()));
    assert_eq!(status["client_id"], "flyte-native");
    assert_eq!(status["renews_itself"], true);

    // Each renewal rotates the refresh token; the provider ends the login where an old one is used again.
    let token = || Told::by(&mut machine.flyte(&["auth", "token", "--no-login"])).ok().out;
    let mut tokens = Vec::new();
    for _ in 0..3 {
        machine.wait_until_expired();
        tokens.push(token());
    }
    tokens.dedup();
    assert_eq!(tokens.len(), 3, "each is a new one");
    assert!(provider.log().matches("granted refresh_token").count() >= 3, "{}", provider.log());
    assert!(!provider.log().contains("revoked"), "{}", provider.log());

    let told = Told::by(&mut machine.flyte(&["auth", "logout"])).ok();
    assert!(told.out.starts_with("Signed out of"), "{told:?}");
    let _ = Told::by(&mut machine.flyte(&["auth", "token", "--no-login"])).failed(4);
}
