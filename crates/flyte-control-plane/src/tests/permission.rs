//! `AccessService`: what callers may do, and by which rule.

use serde_json::json;

use super::{
    run::Runs,
    trust::{CREATE_TRUST, trust},
    *,
};
use flyte_model::Role;

const EXPLAIN: &str = "/flyteauth.AccessService/ExplainAccess";

/// The answer of the rule that decided; `yes` if the call is allowed.
fn decided(answer: &Value) -> String {
    if answer["allowed"] == json!(true) {
        assert!(answer.get("decidedBy").is_none(), "{answer}");
        return "yes".to_owned();
    }
    let rule = &answer["decidedBy"];
    let refuses = |step: &&Value| step["rule"] == *rule && step.get("allows").is_none();
    assert!(answer["steps"].as_array().unwrap().iter().any(|step| refuses(&step)), "{answer}");
    rule.as_str().unwrap().to_owned()
}

fn question(words: &str, project: &str, principal: &str) -> Value {
    let (verb, resource) = words.split_once(' ').unwrap();
    json!({"verb": verb, "resource": resource, "project": project, "domain": "development", "principal": principal})
}

#[tokio::test]
async fn callers_learn_what_they_may_do_and_why() {
    let server = Runs::start().await;
    let tokens = [
        ("Ada", server.token("Ada", &["all"])),
        ("read", server.token("Ada", &["read"])),
        ("Root", server.token("Root", &["all"])),
        ("viewer", server.key(Role::Viewer, "p").await),
        ("contributor", server.key(Role::Contributor, "p").await),
        ("other client", server.token_by("other", "Ada", &["all"], NOW)),
        ("old sign-in", server.token_by("flyte", "Root", &["all"], NOW - 1000)),
    ];
    for (caller, words, project, expected) in [
        ("Ada", "create run", "p", "yes"),
        ("Ada", "deploy tasks", "p", "yes"),
        ("Ada", "get audit", "", "administrator"),
        ("Ada", "create api-key", "", "yes"),
        ("read", "create run", "p", "scope"),
        ("read", "get run", "p", "yes"),
        ("Root", "get audit", "", "yes"),
        ("Root", "create trust", "", "yes"),
        ("old sign-in", "create trust", "", "principal"),
        ("other client", "create api-key", "", "principal"),
        ("other client", "list api-key", "", "yes"),
        ("viewer", "create run", "p", "role"),
        ("viewer", "get run", "p", "yes"),
        ("contributor", "create run", "p", "yes"),
        ("contributor", "create run", "q", "limit"),
        // It does not exist, which makes no difference.
        ("contributor", "create run", "nowhere", "limit"),
        ("contributor", "create api-key", "p", "principal"),
        ("contributor", "create run", "", "request"),
        ("contributor", "list run", "", "yes"),
    ] {
        let (_, token) = tokens.iter().find(|(name, _)| *name == caller).unwrap();
        let mut question = question(words, project, "");
        if project.is_empty() {
            question["domain"] = json!("");
        }
        let answer = server.call(token, EXPLAIN, question).await.json();
        assert_eq!(decided(&answer), expected, "{caller} {words} {project}: {answer}");
    }
    // The answer is that of the call itself, by the RPC's name too.
    let (_, viewer) = &tokens[3];
    let rpc = "flyteidl2.project.ProjectService/CreateProject";
    let answer = server.call(viewer, EXPLAIN, json!({"rpc": rpc})).await.json();
    assert_eq!((&answer["rpc"], &answer["subject"]), (&json!(rpc), &json!("key-viewer-p")), "{answer}");
    let called = server.call(viewer, &format!("/{rpc}"), json!({"project": {"id": "x"}})).await;
    let refusal =
        answer["steps"].as_array().unwrap().iter().find(|step| step.get("allows").is_none()).unwrap();
    assert_eq!(refusal["reason"].as_str().unwrap(), called.error().1);
}

#[tokio::test]
async fn unknown_words_are_refused_with_those_that_there_are() {
    let server = Server::start().await;
    for (request, expected) in [
        (json!({}), "verb is missing"),
        (json!({"resource": "run"}), "verb is missing"),
        (json!({"verb": "destroy", "resource": "run"}), "verb: \"destroy\" is not one of abort, create"),
        (json!({"verb": "get", "resource": "pod"}), "resource: \"pod\" is not one of action, api-key"),
        (json!({"verb": "get"}), "resource: \"\" is not one of action"),
        (json!({"rpc": "a.B/C"}), "rpc: \"a.B/C\" is not the name of an RPC"),
        (json!({"rpc": "RunService/CreateRun", "verb": "get"}), "rpc cannot be with verb"),
    ] {
        let (code, message) = server.json(EXPLAIN, Some("Ada"), &request).await.error();
        assert!(code == "invalid_argument" && message.starts_with(expected), "{request}: {code} {message}");
    }
    assert_eq!(server.json(EXPLAIN, None, &json!({"rpc": "x"})).await.error().0, "unauthenticated");
}

#[tokio::test]
async fn only_administrators_learn_who_exists() {
    let server = Runs::start().await;
    let key = server.key(Role::Contributor, "p").await;
    server.run("p", "r1").await;
    let mut gone = flyte_testing::user("Gone");
    gone.disabled_at = Some(NOW);
    server.plane.store.create_user(&gone).await.unwrap();
    let mut rule = trust();
    rule["access"]["project"] = json!("p");
    server.ok(CREATE_TRUST, "Root", json!({"trust": rule})).await;
    for (principal, words, project, expected) in [
        ("ada@example.com", "create run", "p", "yes"),
        ("Ada@Example.com", "get audit", "", "administrator"),
        ("user-Ada", "create api-key", "", "yes"),
        // A person counts as just signed in, by the command.
        ("root@example.com", "create trust", "", "yes"),
        ("key-contributor-p", "create run", "p", "yes"),
        ("key-contributor-p", "create run", "q", "limit"),
        ("p/development/r1", "get run", "p", "yes"),
        ("p/development/r1", "get run", "q", "limit"),
        ("p/development/r1", "create run", "p", "principal"),
        ("ci:repo:acme/x:ref:refs/heads/main", "create run", "p", "yes"),
        ("ci:repo:acme/x:ref:refs/heads/main", "create api-key", "p", "principal"),
        ("gone@example.com", "get run", "p", "principal"),
    ] {
        let answer = server.ok(EXPLAIN, "Root", question(words, project, principal)).await;
        assert_eq!(decided(&answer), expected, "{principal} {words} {project}: {answer}");
    }
    let answer = server.ok(EXPLAIN, "Root", question("get run", "p", "gone@example.com")).await;
    assert_eq!(answer["steps"][0]["reason"], "the account is disabled or gone");
    for unknown in ["x@example.com", "user-X", "ci2", "p/development/r2", "p/x", "other:job"] {
        let (code, message) =
            server.json(EXPLAIN, Some("Root"), &question("get run", "p", unknown)).await.error();
        assert!(code == "not_found" && message.contains(unknown), "{unknown}: {code} {message}");
    }
    // For everyone else, those that exist and those that do not are the same.
    let limited_admin = server.key(Role::Admin, "p").await;
    for token in [server.token("Ada", &["all"]), key.clone(), limited_admin] {
        let mut answers = Vec::new();
        for principal in ["root@example.com", "x@example.com", "key-viewer-p", "ci2", "p/development/r1"] {
            answers.push(server.call(&token, EXPLAIN, question("get run", "p", principal)).await.error());
        }
        assert_eq!(answers[0].0, "permission_denied");
        answers.dedup();
        assert_eq!(answers.len(), 1, "{answers:?}");
    }
    // Oneself is no other.
    let answer = server.call(&key, EXPLAIN, question("create run", "p", "key-contributor-p")).await.json();
    assert_eq!(decided(&answer), "yes");
}
