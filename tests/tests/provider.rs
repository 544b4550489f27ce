//! Our command with a third-party authorization server: npm's `oidc-provider`.

use std::fs;

use flyte_e2e::{Certificate, CommandOutput, Flaw, Machine, OidcProvider, Person};

/// A machine whose configuration names the provider as its endpoint. The provider is not a control plane: discovery uses
/// its OpenID Connect document, and the configuration names the client.
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
fn sign_in_and_renewal_work_with_oidc_provider() {
    let certificate = Certificate::new(Flaw::None);
    // Long enough that a browser does not outlast it, short enough to see it renewed.
    let provider = OidcProvider::start(&certificate, 2);
    let machine = machine_for(&provider, &certificate);
    let password = machine.home().join("password");
    fs::write(&password, "any will do").unwrap();
    let login = &mut machine.flyte_with(&Person::SignsIn(password), &["auth", "login"]);
    let output = CommandOutput::of(login).ok();
    assert!(output.out.starts_with("Signed in to"), "{output:?}");
    assert_eq!(provider.log().matches("granted authorization_code").count(), 1, "{}", provider.log());

    let status = CommandOutput::of(&mut machine.flyte(&["-o", "json", "auth", "status"])).ok();
    let status: serde_json::Value = serde_json::from_str(&status.out).unwrap();
    assert_eq!(status["issuer"], format!("https://{}", provider.endpoint()));
    assert_eq!(status["client_id"], "flyte-native");
    assert_eq!(status["renews_itself"], true);

    // Each renewal rotates the refresh token. The provider ends the login if an old one is used again.
    let token = || CommandOutput::of(&mut machine.flyte(&["auth", "token", "--no-login"])).ok().out;
    let mut tokens = Vec::new();
    for _ in 0..3 {
        machine.wait_until_expired();
        tokens.push(token());
    }
    tokens.dedup();
    assert_eq!(tokens.len(), 3, "each is a new one");
    assert!(provider.log().matches("granted refresh_token").count() >= 3, "{}", provider.log());
    assert!(!provider.log().contains("revoked"), "{}", provider.log());

    let output = CommandOutput::of(&mut machine.flyte(&["auth", "logout"])).ok();
    assert!(output.out.starts_with("Signed out of"), "{output:?}");
    let _ = CommandOutput::of(&mut machine.flyte(&["auth", "token", "--no-login"])).failed(4);
}
