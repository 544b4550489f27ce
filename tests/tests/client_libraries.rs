//! Third-party client libraries with every grant: npm's `openid-client` on `oauth4webapi`, and PyPI's
//! `authlib`. Their own checks are in `tests/peers/openid-client.mjs` and `authlib-client.py`.

use std::{
    cell::OnceCell,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::Stdio,
};

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use flyte_e2e::{
    Answer, Browser, Ci, CommandOutput, Machine, PASSWORD, Server, ShownDevice, eventually, python,
    repository,
};
use rcgen::KeyPair;
use serde_json::{Value, json};
use tempfile::TempDir;

#[derive(Clone, Copy)]
enum Library {
    OpenidClient,
    Authlib,
}

impl Library {
    /// What runs it, and the program that uses it.
    fn program(self) -> (PathBuf, PathBuf) {
        let peers = repository().join("tests/peers");
        match self {
            Self::OpenidClient => ("node".into(), peers.join("openid-client.mjs")),
            Self::Authlib => (python(), peers.join("authlib-client.py")),
        }
    }
}

/// A server, its administrator's machine, and an API key.
struct World {
    server: Server,
    admin: Machine,
    setup: Value,
    _settings: TempDir,
}

impl World {
    /// With these settings of tokens.
    fn new(tokens: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let settings = directory.path().join("server.toml");
        fs::write(&settings, format!("[tokens]\n{tokens}")).unwrap();
        let (server, admin) = (Server::with(&["--config", settings.to_str().unwrap()]), Machine::bare());
        admin.sign_in_by_forms(&server);
        let key = CommandOutput::of(&mut admin.flyte(&["create", "api-key", "ci"])).ok().out;
        let key = String::from_utf8(BASE64_STANDARD.decode(key.trim()).unwrap()).unwrap();
        let parts: Vec<_> = key.split(':').collect();
        let [_, _, id, secret, _] = parts[..] else { panic!("a key of {} parts", parts.len()) };
        let setup = json!({
            "issuer": server.url(""),
            "client": { "id": "flyte" },
            "key": { "id": id, "secret": secret },
        });
        Self { server, admin, setup, _settings: directory }
    }

    /// Registers a third-party confidential client whose identifier must be escaped in HTTP Basic; not all libraries do.
    fn with_portal(mut self) -> Self {
        let scopes = "openid,profile,email,offline_access,all";
        let arguments = ["client", "add", "portal+v1", "--name", "A portal", "--scope", scopes];
        let mut add = self.server.command(&arguments);
        add.args(["--redirect-uri", "http://127.0.0.1/callback"]);
        add.args(["--id-token-signed-response-alg", "RS256"]);
        add.args(["--post-logout-redirect-uri", "http://127.0.0.1/signed-out"]);
        let output = CommandOutput::of(&mut add).ok().out;
        self.setup["client"] =
            json!({ "id": "portal+v1", "secret": output.lines().last().unwrap(), "alg": "RS256" });
        self
    }

    /// Creates an API key with a key pair instead of a secret.
    fn with_signer(mut self) -> Self {
        let pair = KeyPair::generate().unwrap();
        let part = |range| BASE64_URL_SAFE_NO_PAD.encode(&pair.public_key_raw()[range]);
        let jwk = json!({
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "k1", "x": part(1..33), "y": part(33..65),
        });
        let token = CommandOutput::of(&mut self.admin.flyte(&["auth", "token"])).ok().out;
        let request = json!({ "name": "signer", "jwks": json!({ "keys": [jwk] }).to_string() });
        let call = self.server.http().post(self.server.url("/flyteauth.ApiKeyService/CreateApiKey"));
        let made = call.bearer_auth(token.trim()).json(&request).send().unwrap();
        assert_eq!(made.status().as_u16(), 200, "{}", made.text().unwrap());
        self.setup["signer"] = json!({ "id": "signer", "kid": "k1", "pem": pair.serialize_pem() });
        self
    }

    /// Trusts a CI system's jobs of one repository, with tokens of a trusted job and of a job of another repository.
    fn with_ci(mut self) -> Self {
        let ci = Ci::start();
        let trust = ["create", "trust", "deploy", "--claim", "repository=acme/app", "--issuer", ci.issuer()];
        let _ = CommandOutput::of(&mut self.admin.flyte(&trust)).ok();
        let audience = self.server.url("");
        self.setup["subject_token"] = json!(ci.token(&audience, json!({})));
        self.setup["other_token"] = json!(ci.token(&audience, json!({ "repository": "evil/app" })));
        self
    }

    /// Runs one part of a program with its library, with a user who does what it asks. Returns its steps.
    fn walk(&self, library: Library, part: &str) -> Vec<String> {
        let (interpreter, program) = library.program();
        let mut command = self.admin.command(interpreter);
        command.arg(program).arg(part).env("WORLD", self.setup.to_string());
        // Each library has its own setting for certificate authorities.
        for name in ["NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE"] {
            command.env(name, self.server.ca());
        }
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut input, output) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let (browser, mut steps) = (OnceCell::new(), Vec::new());
        for line in BufReader::new(output).lines() {
            let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
            let text = |name: &str| line[name].as_str().map(str::to_owned);
            let seen = if let Some(step) = text("did") {
                steps.push(step);
                continue;
            } else if let Some(url) = text("visit") {
                visit(browser.get_or_init(Browser::open), &url)
            } else {
                let device = ShownDevice { url: text("url").unwrap(), code: text("code").unwrap() };
                let approves = text("answer").unwrap() == "approve";
                device.answer(&self.server, if approves { Answer::Approve } else { Answer::Deny })
            };
            writeln!(input, "{seen}").unwrap();
        }
        assert!(process.wait().unwrap().success(), "after {steps:?}: see standard error");
        steps
    }
}

/// Opens an address and completes the server's pages. Returns the heading of the last one.
fn visit(browser: &Browser, url: &str) -> String {
    browser.go(url);
    let leaves = |page: &str| {
        eventually(&format!("the browser leaves {page}"), || {
            Some(browser.text("h1")).filter(|heading| !heading.starts_with(page))
        })
    };
    if browser.text("h1") == "Sign in" {
        browser.fill("input[name=email]", "admin@localhost");
        browser.fill("input[name=password]", PASSWORD);
        browser.click("button[type=submit]");
    }
    if leaves("Sign in") == "Allow A portal?" {
        browser.click("button[value=allow]");
    }
    leaves("Allow")
}

const SIGN_IN: [&str; 9] = [
    "discovery",
    "no user is signed in",
    "authorization code",
    "refusals of the library",
    "userinfo",
    "refresh",
    "introspection",
    "revocation",
    "logout",
];
const DEVICE: [&str; 2] = ["device approved", "device denied"];
const MACHINE: [&str; 4] = ["client_secret_basic", "client_secret_post", "private_key_jwt", "impostors"];
const EXCHANGE: [&str; 2] = ["token exchange", "other tokens"];

// The server's three algorithms of signatures, each in one of these: the portal registers RS256 beside the server's own.

fn signs_in_as_the_command(library: Library) {
    let world = World::new("");
    assert_eq!(world.walk(library, "sign-in"), SIGN_IN);
    // The code that came a second time, and the sign-out at the end.
    assert_eq!(world.server.logged(&["authorization_code_replayed"]), 1);
    assert_eq!(world.server.logged(&["signed_out"]), 1);
}

fn signs_in_as_a_portal(library: Library) {
    let world = World::new("").with_portal();
    assert_eq!(world.walk(library, "sign-in"), SIGN_IN);
}

fn connects_devices(library: Library) {
    // A short interval, so that the test is fast.
    let world = World::new("signing-algorithm = \"EdDSA\"\ndevice-poll-interval = \"2s\"");
    assert_eq!(world.walk(library, "device"), DEVICE);
}

fn uses_api_keys(library: Library) {
    let world = World::new("").with_signer();
    assert_eq!(world.walk(library, "machine"), MACHINE);
    let secret = world.setup["key"]["secret"].as_str().unwrap();
    assert_eq!(world.server.logged(&[secret]), 0, "no secret is in the log");
}

fn exchanges_tokens(library: Library) {
    let world = World::new("").with_ci();
    assert_eq!(world.walk(library, "exchange"), EXCHANGE);
    assert_eq!(world.server.logged(&["token_exchanged", "repo:acme/app"]), 1);
}

#[test]
fn openid_client_signs_in_as_the_command() {
    signs_in_as_the_command(Library::OpenidClient);
}

#[test]
fn openid_client_signs_in_as_a_portal() {
    signs_in_as_a_portal(Library::OpenidClient);
}

#[test]
fn openid_client_connects_devices() {
    connects_devices(Library::OpenidClient);
}

#[test]
fn openid_client_uses_api_keys() {
    uses_api_keys(Library::OpenidClient);
}

#[test]
fn openid_client_exchanges_tokens() {
    exchanges_tokens(Library::OpenidClient);
}

#[test]
fn authlib_signs_in_as_the_command() {
    signs_in_as_the_command(Library::Authlib);
}

#[test]
fn authlib_signs_in_as_a_portal() {
    signs_in_as_a_portal(Library::Authlib);
}

#[test]
fn authlib_connects_devices() {
    connects_devices(Library::Authlib);
}

#[test]
fn authlib_uses_api_keys() {
    uses_api_keys(Library::Authlib);
}

#[test]
fn authlib_exchanges_tokens() {
    exchanges_tokens(Library::Authlib);
}
