//! `flyte auth can-i`: what a caller may do, and by which rule, at both kinds of servers.

use std::{fs, process::Command};

use flyte_e2e::{CommandOutput, Machine, Server, StandIn};
use serde_json::Value;

fn run(command: &mut Command) -> CommandOutput {
    CommandOutput::of(command)
}

#[test]
fn a_person_a_key_and_an_administrator_learn_what_may_be_done() {
    let backend = StandIn::plain_backend(None);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("flyte-server.toml");
    fs::write(&file, format!("upstream.url = \"http://{}\"\n", backend.endpoint())).unwrap();
    for (server, is_gateway) in
        [(Server::start(), false), (Server::with(&["--config", file.to_str().unwrap()]), true)]
    {
        let machine = Machine::bare();
        machine.sign_in_by_forms(&server);
        let place = ["--project", "flytesnacks", "--domain", "development"];
        let ask = |words: &[&str]| {
            let mut command = machine.flyte(&["auth", "can-i"]);
            command.args(words).args(place);
            command
        };
        let yes = run(&mut ask(&["create", "run"])).ok();
        assert!(yes.out.starts_with("yes\n") && yes.out.contains("RunService/CreateRun"), "{yes:?}");
        // The rules for code are those of a backend.
        assert_eq!(yes.out.contains("projects.service-accounts"), is_gateway, "{yes:?}");

        let create = ["create", "api-key", "ci", "--role", "viewer", "--project", "flytesnacks"];
        let key = run(&mut machine.flyte(&create)).ok();
        let key = key.out.lines().last().unwrap_or_default().trim().to_owned();
        let no = run(ask(&["create", "run", "-o", "json"]).env("FLYTE_API_KEY", &key));
        assert_eq!(no.code, Some(1), "{no:?}");
        let no: Value = serde_json::from_str(&no.out).unwrap();
        assert_eq!(
            (&no["allowed"], &no["decided_by"], &no["subject"]),
            (&false.into(), &"role".into(), &"ci".into())
        );
        // The administrator asks about the key, and gets the same answer.
        let about = run(&mut ask(&["flyteidl2.workflow.RunService/CreateRun", "--as", "ci", "-o", "json"]));
        assert_eq!(about.code, Some(1), "{about:?}");
        let about: Value = serde_json::from_str(&about.out).unwrap();
        assert_eq!(about, no);
        let other = run(machine
            .flyte(&["auth", "can-i", "get", "run", "-p", "other", "-d", "development"])
            .env("FLYTE_API_KEY", &key));
        assert!(
            other.code == Some(1) && other.out.contains("Why:      limit: there is no project"),
            "{other:?}"
        );
        let quiet = run(ask(&["get", "run", "--quiet"]).env("FLYTE_API_KEY", &key)).ok();
        assert_eq!(quiet.out, "");

        // Unknown words are a wrong command line, and the key may not ask about others.
        let unknown = run(&mut ask(&["destroy", "run"]));
        assert!(unknown.code == Some(2) && unknown.err.contains("abort, create, get"), "{unknown:?}");
        let others = run(ask(&["get", "run", "--as", "admin@localhost"]).env("FLYTE_API_KEY", &key));
        assert!(others.code == Some(1) && others.err.contains("needs an administrator"), "{others:?}");

        // A refused call names the rule, for the caller and in the audit log.
        let audit = run(machine.flyte(&["get", "audit"]).env("FLYTE_API_KEY", &key));
        assert_eq!(audit.code, Some(1), "{audit:?}");
        let hint = "The rule that decided is \"administrator\". All rules: flyte auth can-i flyteauth.AuditService/ListEvents";
        assert!(audit.err.contains(hint), "{audit:?}");
        let events = run(&mut machine.flyte(&["get", "audit", "--event", "call_denied", "-o", "json"])).ok();
        let events: Vec<Value> = serde_json::from_str(&events.out).unwrap();
        assert!(events.iter().any(|event| event["details"]["rule"] == "administrator"), "{events:?}");
    }
}

#[test]
fn a_server_that_cannot_explain_is_named() {
    let backend = StandIn::plain_backend(None);
    let machine = Machine::bare();
    let asked = run(&mut machine.flyte(&[
        "auth",
        "can-i",
        "get",
        "run",
        "--insecure",
        "--endpoint",
        &backend.endpoint().to_string(),
    ]));
    assert!(asked.code == Some(1) && asked.err.contains("does not offer this"), "{asked:?}");
    assert!(asked.err.contains("older than this client"), "{asked:?}");
}
