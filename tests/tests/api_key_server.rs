//! API keys at the real server: managed by the published plugin, used by the published client, and invalid after deletion.

use std::time::{Duration, Instant};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flyte_e2e::{CommandOutput, Machine, Person, Server, eventually};
use serde_json::{Value, json};

/// A call of Connect with JSON; the status and the body.
fn call(server: &Server, token: &str, method: &str, request: &Value) -> (u16, Value) {
    let answer = server.http().post(server.url(method)).bearer_auth(token).json(request).send().unwrap();
    (answer.status().as_u16(), answer.json().unwrap())
}

/// The token endpoint's answer to an API key.
fn token(server: &Server, id: &str, secret: &str) -> (u16, Value) {
    let form = [("grant_type", "client_credentials"), ("scope", "openid offline_access all")];
    let answer = server
        .http()
        .post(server.url("/oauth2/token"))
        .basic_auth(id, Some(secret))
        .form(&form)
        .send()
        .unwrap();
    (answer.status().as_u16(), answer.json().unwrap())
}

/// The administrator's machine, signed in, and an access token of theirs.
fn administrator(server: &Server) -> (Machine, String) {
    let machine = Machine::with_keyring();
    machine.sign_in_by_forms(server);
    let token = CommandOutput::of(&mut machine.flyte(&["auth", "token"])).ok().out.trim().to_owned();
    (machine, token)
}

/// A text without the marks of bold type, which the published client prints in colourless output too.
fn plain(text: &str) -> String {
    let mut pieces = text.split('\u{1b}');
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |plain, piece| plain + piece.split_once('m').map_or("", |(_, rest)| rest))
}

fn projects(server: &Server, token: &str) -> u16 {
    call(server, token, "/flyteidl2.project.ProjectService/ListProjects", &json!({})).0
}

#[test]
fn published_plugin_manages_keys_for_the_published_client() {
    let server = Server::start();
    let (machine, _) = administrator(&server);
    let published = |arguments: &[&str]| {
        // So wide that the key fits on one line.
        CommandOutput::of(machine.published_flyte(&server, &Person::Absent, arguments).env("COLUMNS", "400"))
    };
    assert!(published(&["get", "api-key"]).ok().out.contains("No API keys found."));
    let made = plain(&published(&["create", "api-key", "--name", "My CI"]).ok().out);
    assert!(made.contains("Client ID: my-ci"), "{made}");
    let again = published(&["create", "api-key", "--name", "my ci"]).failed(1);
    assert!(format!("{again:?}").contains("already exists"), "{again:?}");
    let key = made.split("FLYTE_API_KEY=\"").nth(1).unwrap().split('"').next().unwrap();
    let key = String::from_utf8(STANDARD.decode(key).unwrap()).unwrap();
    let parts: Vec<_> = key.split(':').collect();
    // The plugin writes the port into the key, and the client reads it as the client ID.
    let [host, port, id, secret, org] = parts[..] else { panic!("{key}") };
    assert_eq!((format!("{host}:{port}"), id, org), (server.endpoint(), "my-ci", "None"));
    assert!(secret.starts_with("flyte_key_") && secret.len() == 59, "{secret}");

    let listed = published(&["get", "api-key"]).ok().out;
    assert!(listed.contains("my-ci") && !listed.contains(secret), "{listed}");
    // The plugin cannot choose the role or expiry, so an administrator gets a contributor's key with an expiry.
    let ours = CommandOutput::of(&mut machine.flyte(&["get", "api-key", "my-ci", "-o", "json"])).ok().out;
    let ours: Value = serde_json::from_str(&ours).unwrap();
    let lifetime = ours["expires_at"].as_i64().unwrap() - ours["created_at"].as_i64().unwrap();
    assert_eq!((lifetime, &ours["access"]["role"]), (90 * 86_400, &"contributor".into()));
    let shown = published(&["get", "api-key", "my-ci"]).ok().out;
    assert!(shown.contains("my-ci") && !shown.contains(secret), "{shown}");

    // Another machine with only the key and the address. The key has no port, because the client cannot read one.
    let job = Machine::bare();
    job.configure(&server);
    let key = STANDARD.encode(format!("localhost:{id}:{secret}:None"));
    let get = || {
        let arguments = ["--endpoint", &server.endpoint(), "get", "project"];
        CommandOutput::of(
            job.published_flyte(&server, &Person::Absent, &arguments).env("FLYTE_API_KEY", &key),
        )
    };
    let used = get().ok();
    assert!(used.out.contains("flytesnacks"), "{used:?}");
    let me = CommandOutput::of(
        job.published_flyte(&server, &Person::Absent, &["--endpoint", &server.endpoint(), "whoami"])
            .env("FLYTE_API_KEY", &key),
    );
    assert!(me.clone().ok().out.contains("my-ci"), "{me:?}");

    let deleted = published(&["delete", "api-key", "my-ci", "--yes"]).ok();
    assert!(!deleted.out.contains(secret), "{deleted:?}");
    let refused = get();
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert_eq!(server.logged(&["event=\"api_key_created\"", "object=\"my-ci\""]), 1);
    assert_eq!(server.logged(&["event=\"api_key_deleted\"", "object=\"my-ci\""]), 1);
    assert!(server.logged(&["event=\"api_key_used_after_deletion\"", "object=\"my-ci\""]) > 0);
    assert_eq!(server.logged(&[secret]), 0, "no secret is in the log");
}

#[test]
fn deleted_key_is_invalid_within_a_second_and_after_a_crash() {
    let mut server = Server::start();
    let (_machine, admin) = administrator(&server);
    let (status, made) =
        call(&server, &admin, "/flyteauth.ApiKeyService/CreateApiKey", &json!({"name": "ci"}));
    assert_eq!(status, 200, "{made}");
    let secret = made["clientSecret"].as_str().unwrap();
    let issued = token(&server, "ci", secret).1["access_token"].as_str().unwrap().to_owned();
    assert_eq!(projects(&server, &issued), 200);
    let started = Instant::now();
    let (status, _) =
        call(&server, &admin, "/flyteauth.ApiKeyService/DeleteApiKey", &json!({"clientId": "ci"}));
    assert_eq!(status, 200);
    assert_eq!(projects(&server, &issued), 401);
    assert_eq!(token(&server, "ci", secret).1["error"], "invalid_client");
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    server.crash();
    assert_eq!(projects(&server, &issued), 401);
    assert_eq!(token(&server, "ci", secret).0, 401);
}

#[test]
fn old_secret_ends_with_the_overlap() {
    let server = Server::start();
    let (_machine, admin) = administrator(&server);
    let (_, made) = call(&server, &admin, "/flyteauth.ApiKeyService/CreateApiKey", &json!({"name": "ci"}));
    let old = made["clientSecret"].as_str().unwrap();
    let rotate = json!({"clientId": "ci", "overlap": "4"});
    let (_, rotated) = call(&server, &admin, "/flyteauth.ApiKeyService/RotateApiKey", &rotate);
    let new = rotated["clientSecret"].as_str().unwrap();
    assert_eq!((token(&server, "ci", old).0, token(&server, "ci", new).0), (200, 200));
    eventually("the overlap is over", || (token(&server, "ci", old).0 == 401).then_some(()));
    assert_eq!(token(&server, "ci", new).0, 200);
}

#[test]
fn expired_key_has_its_own_error_and_its_tokens_end() {
    let server = Server::start();
    let (_machine, admin) = administrator(&server);
    let create = json!({"name": "ci", "lifetime": "3"});
    let (_, made) = call(&server, &admin, "/flyteauth.ApiKeyService/CreateApiKey", &create);
    let secret = made["clientSecret"].as_str().unwrap();
    let (status, issued) = token(&server, "ci", secret);
    assert!(status == 200 && issued["expires_in"].as_i64().unwrap() <= 3, "{issued}");
    let issued = issued["access_token"].as_str().unwrap();
    assert_eq!(projects(&server, issued), 200);
    eventually("the key has expired", || (token(&server, "ci", secret).0 == 401).then_some(()));
    let (_, answer) = token(&server, "ci", secret);
    assert!(answer["error_description"].as_str().unwrap().contains("expired at"), "{answer}");
    assert_eq!(projects(&server, issued), 401);
}
