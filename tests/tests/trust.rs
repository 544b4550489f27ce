//! A control plane with a separate identity provider: certificate trust, and refusals of the provider.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::Command,
    sync::{Arc, Mutex},
};

use flyte_e2e::{Asked, Certificate, CommandOutput, Flaw, Machine, Reply, StandIn, binary, files, free_port};
use flyte_idl::flyteidl2::auth::{
    GetOAuth2MetadataResponse, GetPublicClientConfigResponse, UserInfoResponse,
};
use serde_json::{Value, json};

/// An identity provider at its own port, and the control plane that names it.
struct Realm {
    plane: StandIn,
    provider: StandIn,
    plane_certificate: Certificate,
    provider_certificate: Certificate,
    /// The answer to refreshes, if they are refused.
    refusal: Arc<Mutex<Option<Reply>>>,
    machine: Machine,
}

/// The answers of the provider, which signs in every user at once.
fn provide(asked: &Asked, refusal: &Mutex<Option<Reply>>) -> Reply {
    let parameters = |text: &str| {
        let url = reqwest::Url::parse(&format!("http://x/?{text}")).unwrap();
        url.query_pairs().into_owned().collect::<std::collections::HashMap<_, _>>()
    };
    match asked.path.as_str() {
        "/authorize" => {
            let asked = parameters(&asked.query);
            let back = format!("{}?code=c&state={}", asked["redirect_uri"], asked["state"]);
            Reply::new(302, "text/plain", "").with("location", &back)
        }
        "/token" => {
            let asked = parameters(&asked.body);
            let refused = refusal.lock().unwrap().clone().filter(|_| asked["grant_type"] == "refresh_token");
            let tokens = json!({ "access_token": "a", "refresh_token": "r", "token_type": "Bearer", "expires_in": "1" });
            refused.unwrap_or_else(|| Reply::json(200, &tokens))
        }
        _ => Reply::new(404, "text/plain", "no such page"),
    }
}

/// The answers of the control plane, which accepts any token in its own header.
fn control(asked: &Asked, provider: &str, port: u16) -> Reply {
    match asked.path.rsplit('/').next().unwrap_or_default() {
        "GetOAuth2Metadata" => Reply::message(&GetOAuth2MetadataResponse {
            issuer: format!("https://{provider}"),
            authorization_endpoint: format!("https://{provider}/authorize"),
            token_endpoint: format!("https://{provider}/token"),
            jwks_uri: format!("https://{provider}/jwks"),
            ..Default::default()
        }),
        "GetPublicClientConfig" => Reply::message(&GetPublicClientConfigResponse {
            client_id: "flyte".to_owned(),
            redirect_uri: format!("http://localhost:{port}/callback"),
            scopes: vec!["offline_access".to_owned()],
            authorization_metadata_key: "flyte-authorization".to_owned(),
            ..Default::default()
        }),
        _ if asked.header("flyte-authorization").is_empty() => {
            Reply::error(asked, "unauthenticated", "no token")
        }
        "UserInfo" => {
            Reply::message(&UserInfoResponse { email: "ada@example.com".to_owned(), ..Default::default() })
        }
        _ => Reply::error(asked, "unimplemented", "not here"),
    }
}

impl Realm {
    fn new() -> Self {
        let (plane_certificate, provider_certificate) =
            (Certificate::new(Flaw::None), Certificate::new(Flaw::None));
        let refusal = Arc::new(Mutex::new(None));
        let held = Arc::clone(&refusal);
        let provider = StandIn::start(Some(&provider_certificate), move |asked| provide(asked, &held));
        let (elsewhere, port) = (provider.endpoint(), free_port());
        let plane = StandIn::start(Some(&plane_certificate), move |asked| control(asked, &elsewhere, port));
        let machine = Machine::bare();
        // The browser that follows its URL. Its path contains spaces.
        let directory = machine.home().join("My Browsers");
        fs::create_dir(&directory).unwrap();
        let browser = directory.join("follow it");
        let script = format!(
            "#!/bin/sh\necho \"$1\" >>'{}'\nexec curl -sSLk \"$1\"\n",
            directory.join("seen").display()
        );
        fs::write(&browser, script).unwrap();
        fs::set_permissions(&browser, fs::Permissions::from_mode(0o755)).unwrap();
        Self { plane, provider, plane_certificate, provider_certificate, refusal, machine }
    }

    /// A command with a browser and with the control plane's authority in the configuration.
    fn flyte(&self, arguments: &[&str]) -> Command {
        let mut command = self.machine.flyte(&["--endpoint", &self.plane.endpoint()]);
        command
            .env("FLYTE_ADMIN_CACERTFILEPATH", self.plane_certificate.ca())
            .env("BROWSER", self.machine.home().join("My Browsers/follow it"))
            .args(arguments);
        command
    }

    /// The same, on a system that trusts the provider.
    fn trusting(&self, arguments: &[&str]) -> Command {
        let mut command = self.flyte(arguments);
        command.env("SSL_CERT_FILE", self.provider_certificate.ca());
        command
    }

    /// The number of times that the browser was opened.
    fn opened(&self) -> usize {
        let seen = fs::read_to_string(self.machine.home().join("My Browsers/seen")).unwrap_or_default();
        seen.lines().count()
    }

    /// Whether a refresh has been asked for, and with what.
    fn refreshes(&self) -> usize {
        self.provider
            .asked_for("token")
            .iter()
            .filter(|asked| asked.body.contains("grant_type=refresh_token"))
            .count()
    }
}

#[test]
fn each_server_has_its_own_trust() {
    let realm = Realm::new();
    let provider = realm.provider.endpoint();
    // The system trusts the provider, and the file the control plane. Both are needed.
    let output = CommandOutput::of(&mut realm.trusting(&["auth", "login"])).ok();
    assert!(output.out.contains("as ada@example.com"), "{output:?}");
    assert_eq!(realm.opened(), 1);
    let doctor = CommandOutput::of(&mut realm.trusting(&["auth", "doctor", "-o", "json"])).ok();
    assert!(
        doctor.out.contains(&format!(
            "token_endpoint, authorization_endpoint (opened by the browser), jwks_uri (https://{provider})"
        )),
        "{doctor:?}"
    );

    // An authority that is not configured: the browser may go there, this program does not. The settings about the control
    // plane's certificate are no licence for another server, and another port is another server.
    let other = Certificate::new(Flaw::None);
    for setting in [("FLYTE_ADMIN_INSECURESKIPVERIFY", "true"), ("FLYTE_ADMIN_INSECURESKIPVERIFY", "false")] {
        let distrusting = |arguments: &[&str]| {
            let mut command = realm.flyte(arguments);
            command.env("SSL_CERT_FILE", other.ca()).env(setting.0, setting.1);
            if setting.1 == "true" {
                command.env_remove("FLYTE_ADMIN_CACERTFILEPATH");
            }
            CommandOutput::of(&mut command)
        };
        let tokens = realm.provider.asked_for("token").len();
        let output = distrusting(&["auth", "login"]).failed(1);
        assert!(output.err.contains(&format!("cannot reach https://{provider}/token")), "{output:?}");
        assert!(output.err.contains("authority that this machine does not trust"), "{output:?}");
        assert!(output.err.contains("Add its authority to the system's"), "{output:?}");
        assert_eq!(realm.provider.asked_for("token").len(), tokens, "nothing was sent there");
        let doctor = distrusting(&["auth", "doctor", "-o", "json"]).failed(1);
        let report: Value = serde_json::from_str(&doctor.out).unwrap();
        let checks = report["checks"].as_array().unwrap();
        let failing = checks.iter().find(|check| check["check"] == "endpoints").unwrap();
        assert!(
            failing["verdict"] == "fail" && failing["found"].as_str().unwrap().contains("token_endpoint"),
            "{report}"
        );
    }
    // Both authorities in the file: good for the provider too.
    let both = realm.machine.home().join("both.pem");
    let pem = |certificate: &Certificate| fs::read_to_string(certificate.ca()).unwrap();
    fs::write(&both, pem(&realm.plane_certificate) + &pem(&realm.provider_certificate)).unwrap();
    let mut command = realm.flyte(&["auth", "login"]);
    let _ =
        CommandOutput::of(command.env("FLYTE_ADMIN_CACERTFILEPATH", &both).env("SSL_CERT_FILE", other.ca()))
            .ok();
    // The same in a container that has no authorities at all.
    let mut command = realm.flyte(&["auth", "login"]);
    command
        .env("FLYTE_ADMIN_CACERTFILEPATH", &both)
        .env("SSL_CERT_FILE", "/nowhere")
        .env("SSL_CERT_DIR", "/nowhere");
    let _ = CommandOutput::of(&mut command).ok();
}

#[test]
fn refused_refresh_offers_a_sign_in_and_keeps_the_login() {
    let realm = Realm::new();
    let _ = CommandOutput::of(&mut realm.trusting(&["auth", "login"])).ok();
    let kept = || files(&realm.machine.home().join(".local/share"));
    let refuse = |reply: Option<Reply>| *realm.refusal.lock().unwrap() = reply;
    for (reply, words) in [
        (
            Reply::json(
                401,
                &json!({ "error": "invalid_client", "error_description": "the application is gone" }),
            ),
            "invalid_client: the application is gone",
        ),
        (Reply::json(400, &json!({ "error": "unauthorized_client" })), "unauthorized_client"),
        (
            Reply::json(
                400,
                &json!({ "error": "invalid_scope", "error_description": "no \u{1b}[2Joffline" }),
            ),
            "invalid_scope: no [2Joffline",
        ),
        (
            Reply::json(200, &json!({ "error": "bad_refresh_token", "error_description": "It is revoked." })),
            "bad_refresh_token: It is revoked.",
        ),
        (
            Reply::new(
                200,
                "application/x-www-form-urlencoded",
                "error=bad_refresh_token&error_description=gone+now",
            ),
            "bad_refresh_token: gone now",
        ),
    ] {
        refuse(None);
        realm.machine_expires();
        refuse(Some(reply));
        let (before, asked) = (kept(), realm.refreshes());
        // A job gets the server's own words, and nothing is lost.
        let output = CommandOutput::of(&mut realm.trusting(&["whoami"])).failed(4);
        assert!(output.err.contains(words) && output.err.contains("flyte auth login"), "{words}: {output:?}");
        assert!(!output.err.contains('\u{1b}'), "{output:?}");
        assert!(realm.refreshes() > asked);
        assert_eq!(kept(), before, "{words}");
        // At a terminal, the user reads them and signs in.
        let opened = realm.opened();
        let output = CommandOutput::of(&mut realm.at_a_terminal(&["whoami"])).ok();
        assert!(output.out.contains(words) && output.out.contains("ada@example.com"), "{words}: {output:?}");
        assert_eq!(realm.opened(), opened + 1);
        assert_ne!(kept(), before, "the new login took its place");
    }
}

#[test]
fn other_answers_keep_the_login_and_name_their_source() {
    let realm = Realm::new();
    let _ = CommandOutput::of(&mut realm.trusting(&["auth", "login"])).ok();
    realm.machine_expires();
    let kept = files(&realm.machine.home().join(".local/share"));
    for (reply, words) in [
        (
            Reply::new(403, "text/html", "<title>Access denied</title>").with("server", "cloudflare"),
            ["HTTP status 403", "Access denied", "from cloudflare"],
        ),
        (
            Reply::json(404, &json!({ "status": 404, "error": "Not Found", "path": "/token" }))
                .with("server", "kong/3.4"),
            ["HTTP status 404", "Not Found", "from kong/3.4"],
        ),
        (
            Reply::new(431, "text/html", "<h1>Request Header Fields Too Large</h1>").with("server", "nginx"),
            ["HTTP status 431", "Too Large", "from nginx"],
        ),
        (
            Reply::new(429, "text/html", "slow down").with("retry-after", "9"),
            ["HTTP 429", "9 seconds", "token"],
        ),
        (Reply::new(200, "text/html", "<title>Sign in</title>"), ["a web page", "Sign in", "login was kept"]),
        (
            Reply::new(200, "application/json", "{\"access_token\": \"s3cret"),
            ["cut off or broken", "24 bytes", "login was kept"],
        ),
    ] {
        *realm.refusal.lock().unwrap() = Some(reply);
        let opened = realm.opened();
        for mut command in [realm.trusting(&["whoami"]), realm.at_a_terminal(&["whoami"])] {
            let output = CommandOutput::of(&mut command).failed(1);
            let text = output.out.clone() + &output.err;
            for words in words {
                assert!(text.contains(words), "{words}: {output:?}");
            }
            assert!(!text.contains("s3cret") && !text.contains("Sign in again"), "{output:?}");
        }
        assert_eq!(realm.opened(), opened);
        assert_eq!(files(&realm.machine.home().join(".local/share")), kept, "{words:?}");
    }
    *realm.refusal.lock().unwrap() = None;
    let _ = CommandOutput::of(&mut realm.trusting(&["whoami"])).ok();
}

impl Realm {
    /// Waits until the token, which lives for a second, is over.
    fn machine_expires(&self) {
        flyte_e2e::eventually("the token is over", || {
            let output =
                CommandOutput::of(&mut self.trusting(&["-o", "json", "auth", "status", "--offline"]));
            let status: Value = serde_json::from_str(&output.out).ok()?;
            (status["expired"] == true).then_some(())
        });
    }

    /// A command in a pseudo-terminal; what it shows is its standard output.
    fn at_a_terminal(&self, arguments: &[&str]) -> Command {
        let words = [&["--endpoint", &self.plane.endpoint()], arguments].concat().join(" ");
        let command = self.trusting(&[]);
        let mut script = self.machine.command("script");
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                script.env(name, value);
            }
        }
        script.args(["-qec", &format!("'{}' {words}", binary("flyte").display()), "/dev/null"]);
        script
    }
}
