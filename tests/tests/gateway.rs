//! The server in front of a Flyte 2 backend, which has no sign-in of its own.

use std::{fs, process::Command};

use flyte_e2e::{Certificate, CommandOutput, Flaw, Machine, Server, StandIn, eventually};
use serde_json::json;

const LIST_PROJECTS: &str = "/flyteidl2.project.ProjectService/ListProjects";

fn run(command: &mut Command) -> CommandOutput {
    CommandOutput::of(command)
}

/// Sends a Connect call, with a token if there is one.
fn call(server: &Server, path: &str, token: Option<&str>) -> (u16, String) {
    let mut request = server.http().post(server.url(path)).json(&json!({}));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().unwrap();
    (answer.status().as_u16(), answer.text().unwrap())
}

#[test]
fn a_backend_gets_the_calls_of_signed_in_callers() {
    let certificate = Certificate::new(Flaw::None);
    for certificate in [None, Some(&certificate)] {
        let backend = StandIn::plain_backend(certificate);
        let scheme = if certificate.is_some() { "https" } else { "http" };
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("flyte-server.toml");
        let mut settings = format!("upstream.url = \"{scheme}://{}\"\n", backend.endpoint());
        if let Some(certificate) = certificate {
            settings += &format!("upstream.authority-file = {:?}\n", certificate.ca().to_str().unwrap());
        }
        fs::write(&file, settings).unwrap();
        let server = Server::with(&["--config", file.to_str().unwrap()]);
        let machine = Machine::bare();
        machine.sign_in_by_forms(&server);

        let projects = run(&mut machine.flyte(&["get", "project"])).ok();
        assert!(projects.out.contains("flytesnacks"), "{projects:?}");
        let calls = backend.asked_for("ListProjects");
        let [listed] = calls.as_slice() else { panic!("one call: {calls:?}") };
        assert!(
            listed.header("authorization").is_empty() && listed.header("cookie").is_empty(),
            "{listed:?}"
        );
        let claims: Vec<_> = listed.headers.get_all("x-amzn-oidc-data").iter().collect();
        assert_eq!(claims.len(), 1, "{listed:?}");

        // The server itself answers who the caller is, and manages API keys.
        let me = run(&mut machine.flyte(&["whoami"])).ok();
        assert!(me.out.contains("admin@localhost"), "{me:?}");
        let key = run(&mut machine.flyte(&["create", "api-key", "ci", "--project", "flytesnacks"])).ok();
        let key = key.out.lines().last().unwrap_or_default().trim().to_owned();
        let projects = run(machine.flyte(&["get", "project"]).env("FLYTE_API_KEY", &key));
        assert!(projects.out.contains("flytesnacks"), "{projects:?}");

        // Strangers get nothing from the backend.
        let before = backend.asked().len();
        for path in [LIST_PROJECTS, "/flyteidl2.project.ProjectService/NoSuchMethod", "/a.B/c", "/a.B/c/d"] {
            let (status, _) = call(&server, path, None);
            assert!(matches!(status, 401 | 404), "{path}: {status}");
        }
        assert_eq!(call(&server, LIST_PROJECTS, Some("nonsense")).0, 401);
        let metadata = "/flyteidl2.auth.AuthMetadataService/GetPublicClientConfig";
        let (status, config) = call(&server, metadata, None);
        assert!(status == 200 && config.contains("\"clientId\""), "{config}");
        let health = |path: &str| path == "/healthz";
        let after = backend.asked().into_iter().skip(before).filter(|asked| !health(&asked.path));
        assert_eq!(after.count(), 0);
        for asked in backend.asked() {
            assert!(health(&asked.path) || asked.path == LIST_PROJECTS, "{asked:?}");
        }
        // Nothing of the embedded control plane is there.
        for name in ["objects", "attempts", "python", "authorities.pem"] {
            assert!(!server.data().join(name).exists(), "{name}");
        }
    }
}

#[test]
fn a_server_without_its_backend_is_alive_but_not_ready() {
    let backend = StandIn::plain_backend(None);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("flyte-server.toml");
    let settings = format!("[upstream]\nurl = \"http://{}\"\nhealth-interval = \"1s\"\n", backend.endpoint());
    fs::write(&file, settings).unwrap();
    let server = Server::with(&["--config", file.to_str().unwrap()]);
    let machine = Machine::bare();
    machine.sign_in_by_forms(&server);
    let http = server.http();
    drop(backend);
    let answer = eventually("it is not ready", || {
        http.get(server.url("/readyz")).send().ok().filter(|answer| answer.status() == 503)
    });
    assert_eq!(answer.text().unwrap(), "backend\n");
    assert_eq!(http.get(server.url("/healthz")).send().unwrap().text().unwrap(), "ok\n");
    // Sign-in and keys do not need the backend.
    let _ = run(&mut machine.flyte(&["whoami"])).ok();
    let projects = run(&mut machine.flyte(&["get", "project"]));
    assert_ne!(projects.code, Some(0), "{projects:?}");
    assert!(projects.err.contains("unavailable") || projects.err.contains("backend"), "{projects:?}");
    let config = run(server.command(&["check-config", "--config"]).arg(&file));
    assert!(config.out.contains("cannot be reached now"), "{config:?}");
}
