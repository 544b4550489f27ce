//! CI jobs without a key: the server exchanges a job's token by a trust rule.

use std::{
    thread,
    time::{Duration, Instant},
};

use flyte_e2e::{Ci, CommandOutput, Machine, Server};
use serde_json::{Value, json};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// A server, a CI system, and an administrator's machine.
struct World {
    server: Server,
    ci: Ci,
    admin: Machine,
}

impl World {
    fn new() -> Self {
        let (server, ci, admin) = (Server::start(), Ci::start(), Machine::bare());
        admin.sign_in_by_forms(&server);
        Self { server, ci, admin }
    }

    fn admin(&self, arguments: &[&str]) -> CommandOutput {
        CommandOutput::of(&mut self.admin.flyte(arguments))
    }

    /// Trusts the main branch of `acme/app`.
    fn trust(&self, name: &str, further: &[&str]) {
        let arguments = [
            &["create", "trust", name, "--issuer", self.ci.issuer(), "--claim", "repository=acme/app"][..],
            &["--claim", "ref=refs/heads/main"],
            further,
        ];
        let _ = self.admin(&arguments.concat()).ok();
    }

    fn token(&self, claims: Value) -> String {
        self.ci.token(&self.server.url(""), claims)
    }

    /// Exchanges a token by hand; status and body.
    fn exchange(&self, token: &str) -> (u16, Value) {
        let form = [("grant_type", GRANT), ("subject_token", token), ("subject_token_type", JWT)];
        let answer = self.server.http().post(self.server.url("/oauth2/token")).form(&form).send().unwrap();
        (answer.status().as_u16(), answer.json().unwrap())
    }

    /// The status of a call with an access token.
    fn call(&self, method: &str, access_token: &str) -> u16 {
        let request = self.server.http().post(self.server.url(method)).bearer_auth(access_token);
        request.header("content-type", "application/json").body("{}").send().unwrap().status().as_u16()
    }
}

const LIST: &str = "/flyteidl2.project.ProjectService/ListProjects";
const CREATE: &str = "/flyteidl2.project.ProjectService/CreateProject";

#[test]
fn jobs_token_is_exchanged() {
    let mut world = World::new();
    assert_eq!(world.exchange(&world.token(json!({}))).0, 400, "no rule exists yet");
    world.trust("deploy", &["--token-lifetime", "10m"]);
    let (status, body) = world.exchange(&world.token(json!({})));
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["issued_token_type"], "urn:ietf:params:oauth:token-type:access_token");
    assert_eq!((&body["expires_in"], body.get("refresh_token")), (&json!(600), None));
    let access = body["access_token"].as_str().unwrap();
    assert_eq!(world.call(LIST, access), 200);
    assert_eq!(world.call(CREATE, access), 403, "a contributor");

    for claims in [
        json!({"repository": "evil/app"}),
        json!({"ref": "refs/heads/main2"}),
        json!({"aud": "https://other.example"}),
        json!({"exp": 1_000}),
    ] {
        let (status, body) = world.exchange(&world.token(claims.clone()));
        assert_eq!((status, &body["error"]), (400, &json!("invalid_request")), "{claims}: {body}");
    }
    // The CI system signs with a new key. The server finds it when it can ask again.
    world.ci.rotate("k2");
    let token = world.token(json!({}));
    let begun = Instant::now();
    while world.exchange(&token).0 != 200 {
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", world.exchange(&token));
        thread::sleep(Duration::from_millis(200));
    }

    // The audit log has all events.
    let audit = world.admin(&["-o", "json", "get", "audit"]).ok().out;
    for event in ["trust_created", "token_exchanged", "token_exchange_refused", "call_denied"] {
        assert!(audit.contains(event), "{event} in {audit}");
    }
    assert!(audit.contains("deploy:repo:acme/app:ref:refs/heads/main"), "{audit}");
    assert!(!audit.contains(access) && !world.server.log().contains(access));
    assert!(!audit.contains(&token) && !world.server.log().contains(&token));
}

#[test]
fn deleting_a_rule_ends_its_tokens_within_a_second() {
    let world = World::new();
    world.trust("deploy", &[]);
    let token = world.token(json!({}));
    let access = world.exchange(&token).1["access_token"].as_str().unwrap().to_owned();
    assert_eq!(world.call(LIST, &access), 200);
    let _ = world.admin(&["delete", "trust", "deploy", "--yes"]).ok();
    let deleted = Instant::now();
    while world.call(LIST, &access) != 401 {
        assert!(deleted.elapsed() < Duration::from_secs(1), "the token still works");
    }
    assert_eq!(world.exchange(&token).0, 400);
}

#[test]
fn rules_and_events_survive_a_crash() {
    let mut world = World::new();
    world.trust("deploy", &[]);
    world.server.crash();
    assert_eq!(world.exchange(&world.token(json!({}))).0, 200);
    let audit = world.admin(&["-o", "json", "get", "audit"]).ok().out;
    assert!(audit.contains("trust_created") && audit.contains("first_admin_created"), "{audit}");
}

#[test]
fn command_finds_the_jobs_token() {
    let world = World::new();
    world.trust("deploy", &["--role", "viewer"]);
    let job = Machine::bare();
    job.configure(&world.server);
    let flyte = |token: &str, arguments: &[&str]| {
        CommandOutput::of(job.flyte(arguments).env("FLYTE_ID_TOKEN", token).env("CI", "true"))
    };
    let projects = flyte(&world.token(json!({})), &["-o", "json", "get", "project"]).ok();
    let projects: Value = serde_json::from_str(&projects.out).unwrap();
    assert_eq!(projects[0]["id"], "flytesnacks");
    // A call that the rule does not allow, and a job without a rule, get clear errors.
    let denied = flyte(&world.token(json!({})), &["create", "project", "p2"]);
    assert_ne!(denied.code, Some(0), "{denied:?}");
    let refused = flyte(&world.token(json!({"repository": "evil/app"})), &["get", "project"]);
    assert!(refused.code != Some(0) && refused.err.contains("trust"), "{refused:?}");
    // No token is stored.
    let token = world.token(json!({}));
    let _ = flyte(&token, &["get", "project"]).ok();
    for (path, content) in flyte_e2e::files(job.home()) {
        let text = String::from_utf8_lossy(&content);
        assert!(!text.contains(&token) && !text.contains("access_token"), "{}", path.display());
    }
}

#[test]
fn documented_jobs_need_only_the_endpoint() {
    let world = World::new();
    world.trust("deploy", &["--role", "viewer"]);
    let job = Machine::bare();
    // As in the documentation of GitLab and Kubernetes: the public URL, without a slash.
    let token = world.token(json!({}));
    let file = job.home().join("token");
    std::fs::write(&file, format!("{token}\n")).unwrap();
    let github = world.ci.github_variables();
    let shapes: [(&str, Vec<(&str, String)>); 3] = [
        ("GitHub Actions", github.to_vec()),
        ("FLYTE_ID_TOKEN", vec![("FLYTE_ID_TOKEN", token)]),
        (file.to_str().unwrap(), vec![("FLYTE_ID_TOKEN_FILE", file.display().to_string())]),
    ];
    let flyte = |variables: &[(&str, String)], arguments: &[&str]| {
        let mut command = job.flyte(arguments);
        command.envs(variables.iter().map(|(name, value)| (name, value))).env("CI", "true");
        command.env("FLYTE_ADMIN_ENDPOINT", world.server.endpoint());
        CommandOutput::of(command.env("FLYTE_ADMIN_CACERTFILEPATH", world.server.ca()))
    };
    for (place, variables) in shapes {
        let projects = flyte(&variables, &["get", "project"]).ok();
        assert!(projects.out.contains("flytesnacks"), "{place}: {projects:?}");
        // It counts as signed in.
        let status = flyte(&variables, &["auth", "status", "--json"]).ok();
        let status: Value = serde_json::from_str(&status.out).unwrap();
        assert_eq!(status["credentials"], format!("the token of this CI job ({place})"));
        assert_eq!((&status["signed_in"], &status["auth_type"]), (&json!(true), &json!("TokenExchange")));
        let doctor = flyte(&variables, &["auth", "doctor", "-o", "json"]);
        let doctor: Value = serde_json::from_str(&doctor.out).unwrap();
        let sign_in = doctor["checks"].as_array().unwrap().iter().find(|check| check["check"] == "sign-in");
        assert_eq!(sign_in.unwrap()["verdict"], "pass", "{place}: {doctor}");
    }
    let _ = flyte(&[], &["auth", "status"]).failed(4);

    // A token for another server is not sent.
    let others = world.ci.token("https://vault.example.com", json!({}));
    let refused = flyte(&[("FLYTE_ID_TOKEN", others)], &["get", "project"]).failed(4);
    for output in
        ["is for https://vault.example.com, not for", &world.server.url(""), "FLYTE_ID_TOKEN_AUDIENCE"]
    {
        assert!(refused.err.contains(output), "{output}: {refused:?}");
    }
    let audit = world.admin(&["-o", "json", "get", "audit"]).ok().out;
    assert!(!audit.contains("token_exchange_refused"), "it was sent: {audit}");
}
