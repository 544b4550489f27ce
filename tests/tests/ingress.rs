//! The sign-in by an ingress: a backend without authentication names our server as its authorization server, and nginx asks our
//! server about each request, with the example of the documentation.

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};

use flyte_e2e::{
    Asked, Certificate, CommandOutput, Flaw, Machine, Reply, Server, StandIn, eventually, free_port,
    repository,
};
use flyte_idl::flyteidl2::auth::GetPublicClientConfigResponse;
use reqwest::blocking::Response;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

/// nginx with the example in front of a backend; killed when dropped.
struct Nginx {
    directory: TempDir,
    port: u16,
    process: Child,
}

impl Nginx {
    fn start(certificate: &Certificate, backend: &StandIn, server: &Server) -> Self {
        let (directory, port) = (TempDir::new().unwrap(), free_port());
        let home = directory.path();
        let mut here = fs::read_to_string(repository().join("docs/examples/sign-in-nginx.conf")).unwrap();
        let pem = certificate.pem();
        for (there, here_it_is) in [
            ("127.0.0.1:8090", format!("127.0.0.1:{}", backend.port())),
            ("server auth.example.com:443", format!("server 127.0.0.1:{}", server.port())),
            ("Host auth.example.com", format!("Host {}", server.endpoint())),
            ("auth.example.com", "localhost".to_owned()),
            ("listen 443", format!("listen 127.0.0.1:{port}")),
            ("server_name flyte.example.com", "server_name localhost".to_owned()),
            ("/etc/ssl/flyte/fullchain.pem", pem.display().to_string()),
            ("/etc/ssl/flyte/key.pem", pem.display().to_string()),
            ("/etc/ssl/certs/ca-certificates.crt", server.ca().display().to_string()),
        ] {
            assert!(here.contains(there), "{there}");
            here = here.replace(there, &here_it_is);
        }
        assert!(!here.contains("example.com") && !here.contains("/etc/ssl"), "{here}");
        let mut whole = format!(
            "daemon off; pid {0}/pid; error_log {0}/error.log; events {{}}\nhttp {{\naccess_log off;\n",
            home.display()
        );
        for name in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            writeln!(whole, "{name}_temp_path {}/{name};", home.display()).unwrap();
        }
        whole.push_str(&here);
        whole.push('}');
        let config = home.join("nginx.conf");
        fs::write(&config, whole).unwrap();
        let process = Command::new("nginx")
            .args(["-e", "stderr", "-p"])
            .arg(home)
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx is missing: run `./test --setup`");
        Self { directory, port, process }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("error.log")).unwrap_or_default()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A name in protobuf's spelling: `token_endpoint` is `tokenEndpoint`.
fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| name + &word[..1].to_uppercase() + &word[1..])
}

/// A backend that copies our server's metadata as the open-source one does, and says everything to every caller. It has the
/// document only, without the RPC, so that clients read the document.
fn backend(server: &Server) -> StandIn {
    let url = server.url("/.well-known/oauth-authorization-server");
    let metadata: Map<String, Value> = server.http().get(url).send().unwrap().json().unwrap();
    let metadata: Map<String, Value> =
        metadata.into_iter().map(|(name, value)| (camel_case(&name), value)).collect();
    assert!(metadata.contains_key("tokenEndpoint") && !metadata.contains_key("token_endpoint"));
    let metadata = Value::Object(metadata);
    let client = GetPublicClientConfigResponse {
        client_id: "flyte".to_owned(),
        redirect_uri: format!("http://localhost:{}/callback", server.callback_port()),
        scopes: ["openid", "profile", "email", "offline_access", "all"].map(str::to_owned).to_vec(),
        authorization_metadata_key: "authorization".to_owned(),
        ..Default::default()
    };
    StandIn::start(None, move |asked| match asked.path.as_str() {
        "/.well-known/oauth-authorization-server" => Reply::json(200, &metadata),
        "/flyteidl2.auth.AuthMetadataService/GetPublicClientConfig" => Reply::message(&client),
        "/flyteidl2.auth.AuthMetadataService/GetOAuth2Metadata" => {
            Reply::error(asked, "unimplemented", "not here")
        }
        _ if asked.header("content-type") == "application/proto" => Reply::new(200, "application/proto", ""),
        _ => Reply::json(200, &json!({})),
    })
}

/// What a client sees and what reaches the backend.
struct Setup {
    nginx: Nginx,
    backend: StandIn,
    http: reqwest::blocking::Client,
    seen: Arc<Mutex<usize>>,
}

impl Setup {
    /// Calls an RPC through nginx. Returns the answer and the requests that arrived at the backend because of it.
    fn call(&self, token: &str, path: &str, headers: &[(&str, &str)]) -> (Response, Vec<Asked>) {
        let url = format!("https://localhost:{}{path}", self.nginx.port);
        let mut call = self.http.post(url).header("content-type", "application/json").body("{}");
        if !token.is_empty() {
            call = call.bearer_auth(token);
        }
        for (name, value) in headers {
            call = call.header(*name, *value);
        }
        let answer = call.send().unwrap_or_else(|error| panic!("{error}: {}", self.nginx.log()));
        let all = self.backend.asked();
        let mut seen = self.seen.lock().unwrap();
        let arrived = all[*seen..].to_vec();
        *seen = all.len();
        (answer, arrived)
    }
}

#[test]
fn nginx_asks_our_server_before_it_passes_a_call() {
    const LIST: &str = "/flyteidl2.workflow.RunService/ListRuns";
    let (certificate, server) = (Certificate::new(Flaw::None), Server::start());
    let backend = backend(&server);
    let nginx = Nginx::start(&certificate, &backend, &server);
    let both = nginx.directory.path().join("both.pem");
    let authorities = [certificate.ca(), server.ca()].map(|ca| fs::read(ca).unwrap()).concat();
    fs::write(&both, &authorities).unwrap();
    let http = client(&both);
    let endpoint = format!("https://localhost:{}", nginx.port);
    eventually("nginx answers", || http.get(&endpoint).send().ok());

    // The sign-in: our command reads the document in protobuf's spelling, and goes to our server.
    let machine = Machine::bare();
    let configure = ["create", "config", "--endpoint", &endpoint, "--ca-cert-file", both.to_str().unwrap()];
    let place = ["--project", "flytesnacks", "--domain", "development"];
    let _ = CommandOutput::of(&mut machine.flyte(&[&configure[..], &place].concat())).ok();
    let _ = machine.sign_in_by(&server, &["auth", "login"]).ok();
    let _ = CommandOutput::of(&mut machine.flyte(&["get", "project"])).ok();
    let listed = backend.asked_for("ListProjects");
    assert_eq!(listed.len(), 1, "only calls with a token arrive");
    let token = CommandOutput::of(&mut machine.flyte(&["auth", "token"])).ok().out.trim().to_owned();
    assert_eq!(listed[0].header("authorization"), format!("Bearer {token}"));

    let setup = Setup { nginx, http, seen: Arc::new(Mutex::new(backend.asked().len())), backend };
    for bad in ["", "x", &token[..token.len() - 8]] {
        let (answer, arrived) = setup.call(bad, LIST, &[]);
        assert_eq!((answer.status().as_u16(), arrived.len()), (401, 0), "{bad:?}");
        assert!(answer.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
    }
    let forged = [
        ("x-amzn-oidc-data", "mallory"),
        ("x_amzn_oidc_data", "mallory"),
        ("x.amzn.oidc.data", "mallory"),
        ("x-amzn-oidc-identity", "mallory"),
        ("x_amzn_oidc_identity", "mallory"),
        ("x-auth-request-user", "mallory"),
        ("x-forwarded-user", "mallory"),
        ("x-forwarded-email", "mallory"),
        ("cookie", "a=mallory"),
        ("x-original-uri", "/flyteidl2.auth.AuthMetadataService/GetOAuth2Metadata"),
    ];
    let (answer, arrived) = setup.call(&token, LIST, &forged);
    assert_eq!((answer.status().as_u16(), arrived.len()), (200, 1), "{}", setup.nginx.log());
    assert!(!format!("{:?}", arrived[0].headers).contains("mallory"), "{:?}", arrived[0].headers);
    assert_eq!(arrived[0].header("x-forwarded-proto"), "https");
    let (answer, arrived) = setup.call("", LIST, &forged[9..]);
    assert_eq!((answer.status().as_u16(), arrived.len()), (401, 0), "a client cannot name another path");

    for path in [
        "/flyteidl2.workflow.InternalRunService/RecordAction",
        "//flyteidl2.workflow.InternalRunService/RecordAction",
        "/v2/%2e%2e/flyteidl2.workflow.InternalRunService/RecordAction",
        "/flyteidl2.auth.AuthMetadataService/%2e%2e/flyteidl2.workflow.InternalRunService/RecordAction",
        "/internal/x",
        "/_flyte_auth",
    ] {
        let (answer, arrived) = setup.call(&token, path, &[]);
        assert!(matches!(answer.status().as_u16(), 403 | 404), "{path}: {}", answer.status());
        assert!(arrived.is_empty(), "{path}: {arrived:?}");
    }

    let revoke =
        setup.http.post(server.url("/oauth2/revoke")).form(&[("client_id", "flyte"), ("token", &token)]);
    assert!(revoke.send().unwrap().status().is_success());
    let (answer, arrived) = setup.call(&token, LIST, &[]);
    assert_eq!((answer.status().as_u16(), arrived.len()), (401, 0), "a revoked token");
}

/// An HTTP client that trusts the authorities in this file.
fn client(authorities: &Path) -> reqwest::blocking::Client {
    let pem = fs::read(authorities).unwrap();
    reqwest::blocking::Client::builder()
        .tls_certs_only(reqwest::Certificate::from_pem_bundle(&pem).unwrap())
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .unwrap()
}
