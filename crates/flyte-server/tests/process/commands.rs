//! Commands for accounts, clients and keys beside the running server.

use std::{fs, path::Path};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use serde_json::{Value, json};

use crate::server::{Server, errors, output};

const ADA: &str = "ada@example.com";

/// Returns the standard output of a successful command.
fn told(data: &Path, arguments: &[&str]) -> String {
    let output = output(data, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", errors(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the standard error of a failed command.
fn refused(data: &Path, arguments: &[&str]) -> String {
    let output = output(data, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    errors(&output)
}

/// Returns the secret in the last line of a command's output.
fn secret(shown: &str) -> &str {
    assert!(shown.contains("shown only now"), "{shown}");
    shown.lines().last().unwrap()
}

#[test]
fn an_account_is_created_disabled_and_enabled() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    assert!(refused(&data, &["user", "list"]).contains("there is no data directory"));
    let server = Server::start(&data, &[]);

    let shown = told(&data, &["user", "add", ADA, "--name", "Ada Lovelace"]);
    let password = secret(&shown);
    assert!(server.signs_in(ADA, password));
    let list = told(&data, &["user", "list"]);
    let line = |start: &str| list.lines().find(|line| line.starts_with(start)).unwrap_or_default();
    assert!(line(ADA).contains("Ada Lovelace") && line(ADA).contains(" contributor "), "{list}");
    assert!(line("admin@localhost").contains(" admin "), "{list}");
    assert!(!list.contains("argon2"), "{list}");

    assert!(refused(&data, &["user", "add", "ADA@example.com"]).contains("already"));
    assert!(refused(&data, &["user", "add", "unknown"]).contains("an e-mail address is expected"));
    assert!(refused(&data, &["user", "disable", "unknown@example.com"]).contains("user list"));

    assert!(told(&data, &["user", "disable", "Ada@Example.com"]).contains("signed out everywhere"));
    assert!(!server.signs_in(ADA, password));
    assert!(told(&data, &["user", "list"]).contains("disabled"));
    assert!(told(&data, &["user", "enable", ADA]).contains("can sign in again"));
    assert!(server.signs_in(ADA, password));

    let file = home.path().join("password");
    let with_file = ["user", "add", "root@example.com", "--admin", "--password-file", file.to_str().unwrap()];
    fs::write(&file, "short\n").unwrap();
    assert!(refused(&data, &with_file).contains("at least 15 characters"));
    fs::write(&file, "correct horse battery\n").unwrap();
    assert!(!told(&data, &with_file).contains("horse"));
    assert!(server.signs_in("root@example.com", "correct horse battery"));
}

#[test]
fn a_client_is_registered_and_removed() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let server = Server::start(&data, &[]);
    let add = ["client", "add", "web", "--name", "Web app", "--redirect-uri", "https://web.example/cb?a,b"];
    let shown = told(&data, &add);
    let secret = secret(&shown);
    assert!(secret.starts_with("fls_") && secret.len() == 47, "{secret}");
    assert!(
        told(&data, &["client", "add", "native", "--public", "--redirect-uri", "http://127.0.0.1/cb"])
            .contains("without a secret")
    );

    assert!(!told(&data, &["client", "list"]).contains("openid"), "the scopes are shown with --wide only");
    let list = told(&data, &["client", "list", "--wide"]);
    let line = |start: &str| list.lines().find(|line| line.starts_with(start)).unwrap_or_default();
    assert!(line("web ").contains("confidential") && line("web ").contains("openid profile email"), "{list}");
    assert!(
        line("web ").contains("Web app") && line("web ").ends_with("https://web.example/cb?a,b"),
        "{list}"
    );
    assert!(line("native").contains("public") && line("flyte").contains("offline_access"), "{list}");
    assert!(!list.contains("fls_"), "{list}");

    // After the client is authenticated, the token endpoint says that the code is invalid.
    let redeem = |id: &str, secret: &str| {
        let form = format!(
            "client_id={id}&client_secret={secret}&grant_type=authorization_code&code=x\
             &redirect_uri=https%3A%2F%2Fweb.example%2Fcb%3Fa%2Cb&code_verifier={}",
            "x".repeat(43)
        );
        let headers = ["content-type: application/x-www-form-urlencoded".to_owned()];
        server.request("POST /oauth2/token", &headers, &form).1
    };
    assert!(redeem("web", secret).contains("invalid_grant"), "{}", redeem("web", secret));
    assert!(redeem("web", "fls_wrong").contains("invalid_client"));
    // Its authorization requests are accepted.
    let query = "client_id=web&response_type=code&scope=openid&code_challenge_method=S256\
                 &redirect_uri=https%3A%2F%2Fweb.example%2Fcb%3Fa%2Cb";
    let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let authorize = format!("GET /oauth2/authorize?{query}&code_challenge={challenge}");
    assert!(server.request(&authorize, &[], "").0.contains("location: /login?"));

    assert!(told(&data, &["client", "remove", "web"]).starts_with("Removed web"));
    assert!(redeem("web", secret).contains("invalid_client"));
    assert!(!told(&data, &["client", "list"]).contains("web.example"));
    assert!(refused(&data, &["client", "remove", "web"]).contains("client list"));
}

#[test]
fn a_client_with_assertions_is_registered_with_its_public_keys() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let server = Server::start(&data, &[]);
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    let key = EncodingKey::from_ec_der(pkcs8.as_ref());
    let jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
    let file = home.path().join("jwks.json");
    fs::write(&file, json!({"keys": [jwk]}).to_string()).unwrap();
    let uri = ["--redirect-uri", "https://web.example/cb"];
    let add = ["client", "add", "web", uri[0], uri[1], "--jwks", file.to_str().unwrap()];
    let shown = told(&data, &add);
    assert!(shown.contains("private_key_jwt") && !shown.contains("fls_"), "{shown}");

    let now = flyte_model::clock::Clock::default().now();
    let issuer = {
        let (_, metadata) = server.request("GET /.well-known/openid-configuration", &[], "");
        serde_json::from_str::<Value>(&metadata).unwrap()["issuer"].clone()
    };
    // After the client is authenticated, the token endpoint says that the code is invalid.
    let redeem = |proof: &str| {
        let form = format!(
            "client_id=web&grant_type=authorization_code&code=x&redirect_uri=https%3A%2F%2Fweb.example%2Fcb\
             &code_verifier={}&{proof}",
            "x".repeat(43)
        );
        let headers = ["content-type: application/x-www-form-urlencoded".to_owned()];
        server.request("POST /oauth2/token", &headers, &form).1
    };
    let claims = json!({"iss": "web", "sub": "web", "aud": issuer, "exp": now + 60, "jti": "one"});
    let assertion = jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims, &key).unwrap();
    let kind = "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
    let answer = redeem(&format!("{kind}&client_assertion={assertion}"));
    assert!(answer.contains("invalid_grant"), "{answer}");
    assert!(redeem("client_secret=x").contains("invalid_client"));
}

#[test]
fn unsafe_and_useless_registrations_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    Server::start(&data, &[]).stop();
    let uri = ["--redirect-uri", "https://web.example/cb"];
    for (arguments, told) in [
        (&["web", "--redirect-uri", "http://web.example/cb"][..], "must start with https://"),
        (&["web", "--redirect-uri", "javascript:alert(1)"], "must start with https://"),
        (&["web", "--redirect-uri", "https://web.example/cb#f"], "fragment"),
        (&["web", uri[0], uri[1], "--post-logout-redirect-uri", "/bye"], "--post-logout-redirect-uri /bye"),
        (&["web"], "--redirect-uri is missing"),
        (&["web", uri[0], uri[1], "--scope", "openid,everything"], "--scope everything is not one of openid"),
        (&["web", uri[0], uri[1], "--grant-type", "implicit"], "--grant-type implicit is not one of"),
        (&["web", "--grant-type", "client_credentials"], "flyte create api-key web"),
        (&["web", uri[0], uri[1], "--jwks", "/nonexistent"], "--jwks /nonexistent: "),
        (&["web", uri[0], uri[1], "--jwks", "/dev/null"], "--jwks /dev/null is not a JSON Web Key Set"),
        (&["w b", uri[0], uri[1]], "CLIENT_ID must have 1 to 128 visible ASCII characters"),
        (&["web", uri[0], uri[1], "--name", "a\u{1b}[2J"], "--name"),
        (&["flyte", uri[0], uri[1]], "client.id"),
    ] {
        let refused = refused(&data, &[&["client", "add"], arguments].concat());
        assert!(refused.contains(told), "{arguments:?}: {refused}");
    }
    told(&data, &["client", "add", "web", uri[0], uri[1]]);
    assert!(refused(&data, &["client", "add", "web", uri[0], uri[1]]).contains("client remove web"));
    assert!(refused(&data, &["client", "remove", "flyte"]).contains("client.id"));
}

/// The `kid`s of the published keys.
fn key_ids(server: &Server) -> Vec<String> {
    let (_, jwks) = server.request("GET /oauth2/jwks", &[], "");
    let jwks: serde_json::Value = serde_json::from_str(&jwks).unwrap();
    // The keys of the default algorithm; each algorithm has its own keys.
    let keys = jwks["keys"].as_array().unwrap().iter().filter(|key| key["alg"] == "ES256");
    keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_running_server_uses_a_key_that_a_command_created() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    assert!(refused(&data, &["rotate-keys"]).contains("there is no data directory"));
    let server = Server::start(&data, &[]);
    let first = key_ids(&server);
    assert_eq!(first.len(), 1);
    assert!(told(&data, &["rotate-keys"]).contains("stay valid"));
    while key_ids(&server).len() < 2 {}
    assert!(key_ids(&server).contains(&first[0]), "its tokens stay valid");
    let second = key_ids(&server);
    assert!(told(&data, &["rotate-keys", "--revoke"]).contains("refused"));
    while key_ids(&server).len() > 1 {}
    assert!(!second.contains(&key_ids(&server)[0]));
    assert_eq!(server.request("GET /readyz", &[], "").1, "ok\n");
}

#[test]
fn a_role_is_granted_and_revoked() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let _server = Server::start(&data, &[]);
    let place = ["--project", "flytesnacks", "--domain", "development"];
    let with_place = |arguments: &[&str]| told(&data, &[arguments, &place].concat());
    let shown = with_place(&["user", "add", ADA, "--role", "contributor"]);
    assert!(shown.contains("Created ada@example.com"), "{shown}");
    let roles = || told(&data, &["user", "roles", ADA]);
    assert!(roles().contains("contributor  flytesnacks  development  the account"), "{}", roles());
    assert!(with_place(&["user", "grant", ADA, "viewer"]).contains("now has the role viewer in project"));
    assert!(with_place(&["user", "grant", ADA, "viewer"]).contains("already has the role"));
    assert!(with_place(&["user", "revoke", ADA, "contributor"]).contains("no longer has the role"));
    assert!(!roles().contains("contributor"), "{}", roles());
    assert!(refused(&data, &["user", "revoke", ADA, "contributor"]).contains("user roles"));
    assert!(refused(&data, &["user", "grant", ADA, "owner"]).contains("role \"owner\" does not exist"));
    let elsewhere = ["user", "grant", ADA, "viewer", "--project", "unknown"];
    assert!(refused(&data, &elsewhere).contains("project \"unknown\" does not exist"));
    assert!(refused(&data, &["user", "revoke", "admin@localhost", "admin"]).contains("last administrator"));
    told(&data, &["user", "grant", ADA, "admin"]);
    told(&data, &["user", "revoke", "admin@localhost", "admin"]);
    assert!(told(&data, &["user", "roles", "admin@localhost"]).contains("has no roles"));
    let audit = told(&data, &["audit", "--event", "role_granted"]);
    assert_eq!(audit.matches("role_granted").count(), 2, "{audit}");
}
