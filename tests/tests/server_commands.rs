//! Server commands next to a running server, and their effect on users and clients.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
};

use flyte_e2e::{CommandOutput, Machine, Person, Server, eventually, repository, sign_in_elsewhere};
use serde_json::Value;

/// RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A third-party client that the operator registered.
struct Client<'a> {
    server: &'a Server,
    secret: String,
    redirect_uri: String,
}

impl<'a> Client<'a> {
    fn register(server: &'a Server, redirect_uri: String) -> Self {
        let added = CommandOutput::of(&mut server.command(&[
            "client",
            "add",
            "web",
            "--name",
            "Third-party app",
            "--redirect-uri",
            "http://127.0.0.1/callback",
            "--scope",
            "openid,email,offline_access",
        ]))
        .ok();
        let secret = added.out.lines().last().unwrap().to_owned();
        Self { server, secret, redirect_uri }
    }

    fn authorize(&self) -> String {
        let redirect_uri = self.redirect_uri.replace(':', "%3A").replace('/', "%2F");
        self.server.url(&format!(
            "/oauth2/authorize?client_id=web&response_type=code&scope=openid%20email%20offline_access&state=s\
             &code_challenge={CHALLENGE}&code_challenge_method=S256&redirect_uri={redirect_uri}"
        ))
    }

    fn token(&self, form: &[(&str, &str)]) -> Value {
        let request = self.server.http().post(self.server.url("/oauth2/token")).form(form);
        request.basic_auth("web", Some(&self.secret)).send().unwrap().json().unwrap()
    }

    fn redeem(&self, code: &str) -> Value {
        self.token(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect_uri),
            ("code_verifier", VERIFIER),
        ])
    }

    fn refresh(&self, token: &str) -> Value {
        self.token(&[("grant_type", "refresh_token"), ("refresh_token", token)])
    }
}

/// The status of a call with an access token.
fn userinfo(server: &Server, token: &str) -> u16 {
    let request = server.http().get(server.url("/oauth2/userinfo")).bearer_auth(token);
    request.send().unwrap().status().as_u16()
}

/// The code in a callback URL.
fn code(callback: &str) -> String {
    let code = callback.split(['?', '&', ' ']).find_map(|part| part.strip_prefix("code="));
    code.unwrap_or_else(|| panic!("no code in {callback}")).to_owned()
}

fn text(answer: &Value, name: &str) -> String {
    answer[name].as_str().unwrap_or_else(|| panic!("no {name} in {answer}")).to_owned()
}

#[test]
fn third_party_client_needs_consent_and_is_removed() {
    let (server, machine) = (Server::start(), Machine::bare());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let redirect_uri = format!("http://{}/callback", listener.local_addr().unwrap());
    let client = Client::register(&server, redirect_uri);

    // In a real browser: the sign-in page, the consent page, and the redirect to the client.
    let mut person = machine
        .command(repository().join("tests/peers/sign-in.py"))
        .arg(server.password_file())
        .arg(client.authorize())
        .spawn()
        .unwrap();
    let callback = loop {
        let (mut stream, _) = listener.accept().unwrap();
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).unwrap();
        let page = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\ndone";
        stream.write_all(page.as_bytes()).unwrap();
        // A browser may request an icon, or open a connection in advance.
        if line.starts_with("GET /callback?") {
            break line;
        }
    };
    assert!(person.wait().unwrap().success());
    assert_eq!(server.logged(&["consent_given", "web"]), 1, "{}", server.log());
    let tokens = client.redeem(&code(&callback));
    assert_eq!(tokens["scope"], "openid email offline_access", "{tokens}");
    let access = text(&tokens, "access_token");
    assert_eq!(userinfo(&server, &access), 200);

    // A user who agreed once is not asked again, even in another browser.
    let again = client.redeem(&code(&sign_in_elsewhere(&server, &client.authorize())));
    assert_eq!(userinfo(&server, &text(&again, "access_token")), 200);
    assert_eq!(server.logged(&["consent_given"]), 1);

    let _ = CommandOutput::of(&mut server.command(&["client", "remove", "web"])).ok();
    eventually("what it got is refused", || (userinfo(&server, &access) == 401).then_some(()));
    assert_eq!(client.refresh(&text(&tokens, "refresh_token"))["error"], "invalid_client");

    machine.sign_in(&server);
    let audit = CommandOutput::of(&mut machine.flyte(&["get", "audit"])).ok().out;
    for event in ["client_registered", "consent_given", "client_removed"] {
        assert!(audit.contains(event), "no {event} in {audit}");
    }
}

#[test]
fn audit_log_is_the_same_on_the_server_and_remotely() {
    let (mut server, machine) = (Server::start(), Machine::bare());
    machine.sign_in(&server);
    let _ =
        CommandOutput::of(&mut machine.flyte(&["create", "api-key", "ci", "--project", "flytesnacks"])).ok();
    let _ = CommandOutput::of(&mut server.command(&[
        "user",
        "add",
        "grace@example.com",
        "--name",
        "Grace Hopper",
    ]))
    .ok();

    let conditions: [&[&str]; 6] = [
        &[],
        &["--email", "ADMIN@localhost", "--since", "1h"],
        &["--project", "flytesnacks", "--event", "api_key_created"],
        &["--object", "grace@*", "--until", "2100-01-01"],
        &["--address", "127.0.0.1", "--limit", "2"],
        &["--email", "unknown@example.com"],
    ];
    let here = |server: &Server, more: &[&str]| {
        CommandOutput::of(&mut server.command(&[&["audit"], more].concat())).ok()
    };
    let afar =
        |more: &[&str]| CommandOutput::of(&mut machine.flyte(&[&["get", "audit"], more].concat())).ok();
    for conditions in conditions {
        let there = afar(conditions);
        let output = here(&server, conditions);
        assert_eq!((&output.out, &output.err), (&there.out, &there.err), "{conditions:?}");
        assert!(output.out.lines().all(|line| line.chars().count() <= 80), "{conditions:?}: {}", output.out);
        let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let there = json(&afar(&[conditions, &["-o", "json"]].concat()).out);
        assert_eq!(json(&here(&server, &[conditions, &["--json"]].concat()).out), there, "{conditions:?}");
    }
    let made = here(&server, &["--event", "api_key_created", "--wide"]).out;
    let person = here(&server, &["--event", "signed_in", "--json"]).out;
    let person = serde_json::from_str::<Value>(&person).unwrap()[0].clone();
    assert_eq!(person["email"], "admin@localhost", "{person}");
    let users = CommandOutput::of(&mut server.command(&["user", "list"])).ok().out;
    let listed = |email: &str| users.lines().find(|line| line.contains(email)).unwrap().to_owned();
    assert!(listed("admin@localhost").contains(person["subject"].as_str().unwrap()), "{users}");
    assert!(listed("grace@example.com").contains("Grace Hopper"), "{users}");
    assert!(made.contains(person["subject"].as_str().unwrap()) && made.contains("admin@localhost"), "{made}");
    let key = CommandOutput::of(&mut machine.flyte(&["get", "api-key", "ci", "-o", "json"])).ok().out;
    let key: Value = serde_json::from_str(&key).unwrap();
    assert_eq!((&key["created_by"], &key["created_by_email"]), (&person["subject"], &person["email"]));

    for (wrong, flag) in
        [("--address=here", "--address"), ("--since=soon", "--since"), ("--email=ada", "--email")]
    {
        for output in [
            CommandOutput::of(&mut server.command(&["audit", wrong])).failed(2),
            CommandOutput::of(&mut machine.flyte(&["get", "audit", wrong])).failed(2),
        ] {
            assert!(output.err.contains(flag), "{output:?}");
        }
    }
    server.signal("TERM");
    server.wait();
    let created = here(&server, &["--event", "user_created"]).out;
    assert_eq!(created.lines().count(), 2, "without the server too: {created}");
}

#[test]
fn revoked_keys_and_disabled_accounts_lose_their_tokens_at_once() {
    let (server, machine) = (Server::start(), Machine::bare());
    machine.sign_in(&server);
    let token = || CommandOutput::of(&mut machine.flyte(&["auth", "token"])).ok().out.trim().to_owned();
    let first = token();
    assert_eq!(userinfo(&server, &first), 200);
    let _ = CommandOutput::of(&mut server.command(&["rotate-keys"])).ok();
    assert_eq!(userinfo(&server, &first), 200, "a new key ends nothing");
    let _ = CommandOutput::of(&mut server.command(&["rotate-keys", "--revoke"])).ok();
    eventually("its tokens are refused", || (userinfo(&server, &first) == 401).then_some(()));
    // No user has to sign in again.
    let projects = CommandOutput::of(&mut machine.flyte(&["get", "project"])).ok();
    assert!(projects.out.contains("flytesnacks"), "{projects:?}");
    let second = token();
    assert_eq!(userinfo(&server, &second), 200);
    let key = CommandOutput::of(&mut machine.flyte(&["create", "api-key", "ci"])).ok().out;
    let job = |arguments: &[&str]| {
        let mut command = machine.flyte(arguments);
        command.env("FLYTE_API_KEY", key.trim()).env("FLYTE_ADMIN_CACERTFILEPATH", server.ca());
        command
    };
    let of_key = CommandOutput::of(&mut job(&["auth", "token"])).ok().out.trim().to_owned();
    let lists = |token: &str| {
        let call = server.http().post(server.url("/flyteidl2.project.ProjectService/ListProjects"));
        let call = call.bearer_auth(token).header("content-type", "application/json").body("{}");
        call.send().unwrap().status().as_u16()
    };
    assert_eq!(lists(&of_key), 200);

    let disabled = CommandOutput::of(&mut server.command(&["user", "disable", "admin@localhost"])).ok();
    assert!(disabled.out.contains("Deleted API key ci."), "{disabled:?}");
    eventually("the account's tokens are refused", || (userinfo(&server, &second) == 401).then_some(()));
    eventually("and its key's", || (lists(&of_key) == 401).then_some(()));
    let _ = CommandOutput::of(&mut job(&["get", "project"])).failed(4);
    let _ = CommandOutput::of(&mut machine.flyte(&["get", "project"])).failed(4);
    let _ = CommandOutput::of(&mut server.command(&["user", "enable", "admin@localhost"])).ok();
    let _ = CommandOutput::of(&mut machine.flyte(&["get", "project"])).failed(4);
    let person = Person::SignsIn(server.password_file());
    let _ = CommandOutput::of(&mut machine.flyte_with(&person, &["auth", "login"])).ok();
    let _ = CommandOutput::of(&mut machine.flyte(&["get", "project"])).ok();
    assert!(
        CommandOutput::of(&mut machine.flyte(&["get", "api-key"]))
            .ok()
            .err
            .contains("You have no API keys yet")
    );

    // A new password ends the sign-ins of the old one, and keys if requested.
    let reset = |arguments: &[&str]| {
        let file = server.password_file();
        let mut command = server.command(&["reset-password", "admin@localhost", "--password-file"]);
        CommandOutput::of(command.arg(file).args(arguments)).ok().out
    };
    let _ = CommandOutput::of(&mut machine.flyte(&["create", "api-key", "second", "--expires", "7d"])).ok();
    let output = reset(&[]);
    assert!(output.contains("  second  contributor, until 20") && output.contains("--end-keys"), "{output}");
    let output = reset(&["--end-keys"]);
    assert!(
        output.contains("Deleted API key second.") && output.contains("signed out everywhere"),
        "{output}"
    );
    assert!(!reset(&[]).contains("API key"));
}

#[test]
fn health_asks_the_running_server() {
    let mut server = Server::start();
    let listen = format!("127.0.0.1:{}", server.port());
    let health = |server: &Server, arguments: &[&str]| {
        let mut command = server.command(&["health", "--listen", &listen]);
        // A proxy for other hosts has nothing to do with a question to this machine.
        CommandOutput::of(command.args(arguments).env("HTTPS_PROXY", "http://127.0.0.1:9"))
    };
    // The server encrypts with a certificate from its own authority.
    for arguments in [&[][..], &["--ready"]] {
        assert_eq!(health(&server, arguments).ok().out, "ok\n");
    }
    let plain = health(&server, &["--tls", "off"]);
    assert!(plain.code == Some(1) && plain.err.contains("/healthz"), "{}", plain.err);

    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
    let stopped = health(&server, &[]);
    assert!(stopped.code == Some(1) && stopped.err.contains("no answer from https://"), "{}", stopped.err);
}
