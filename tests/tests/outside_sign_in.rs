//! Sign-in to our server through a third-party provider: npm's `oidc-provider`.

use std::{
    fs,
    process::{Child, Stdio},
};

use flyte_e2e::{
    Browser, Certificate, CommandOutput, Flaw, Machine, OidcProvider, Person, Server, eventually, free_port,
};

/// Starts `flyte auth login`. Returns the command and the URL for the browser.
fn login(server: &Server, machine: &Machine) -> (Child, String) {
    machine.configure(server);
    let seen = machine.home().join("url");
    let process = machine
        .flyte_with(&Person::Looks(seen.clone()), &["auth", "login"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    (process, eventually("the browser is opened", || fs::read_to_string(&seen).ok()))
}

#[test]
fn people_sign_in_through_oidc_provider() {
    let certificate = Certificate::new(Flaw::None);
    let (port, directory) = (free_port(), tempfile::tempdir().unwrap());
    fs::write(directory.path().join("secret"), "p w:%+\n").unwrap();
    let config = directory.path().join("flyte-server.toml");
    let text = format!(
        "[trust]\nca-file = \"{}\"\n[providers.corp]\nlabel = \"Example Corp\"\nissuer = \"https://localhost:{port}\"\n\
         client-id = \"flyte-server\"\nclient-secret-file = \"secret\"\ncreate-accounts = true\nallow-internal = true\n\
         allowed-domains = [\"corp.example\"]\n",
        certificate.ca().display()
    );
    fs::write(&config, text).unwrap();
    // The server starts without its provider, and passwords work.
    let server = Server::with(&["--config", config.to_str().unwrap()]);
    let machine = Machine::bare();
    let (process, url) = login(&server, &machine);
    let browser = Browser::without_javascript();
    browser.go(&url);
    browser.click("a[href^=\"/login/with/corp\"]");
    browser.shows("Example Corp is not available");

    let redirect_uri = server.url("/login/with/corp/callback");
    let provider = OidcProvider::at(port, &certificate, 3600, &[("REDIRECT_URI", &redirect_uri)]);
    // Within the ten seconds after a failed request, the provider is not asked again.
    eventually("the provider is asked again", || {
        browser.go(&url);
        browser.click("a[href^=\"/login/with/corp\"]");
        browser.url().contains(&provider.endpoint()).then_some(())
    });
    browser.fill("input[name=login]", "ida@corp.example");
    browser.fill("input[name=password]", "any will do");
    browser.click("button[type=submit]");
    // The provider asks for consent on the next page.
    browser.shows("Authorize");
    browser.click("button[type=submit]");
    let _ = browser.arrives("/callback?");
    assert!(browser.text("body").contains("You are signed in"), "{}", browser.text("body"));
    let output = CommandOutput::from(process.wait_with_output().unwrap()).ok();
    assert!(output.out.contains("as ida@corp.example"), "{output:?}");
    assert_eq!(provider.log().matches("granted authorization_code").count(), 1, "{}", provider.log());
    assert_eq!(server.logged(&["event=\"user_created\"", "ida@corp.example"]), 1, "{}", server.log());
    let who = CommandOutput::of(&mut machine.flyte(&["whoami"])).ok();
    assert!(who.out.contains("ida@corp.example"), "{who:?}");
}
