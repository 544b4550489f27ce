//! The proxy examples of the documentation, with other addresses and paths, in front of the real
//! server. Each carries a sign-in, an upload larger than the default limit of proxies, gRPC if the example supports it, and a
//! stream, message by message.

use std::{
    fs,
    io::Read as _,
    path::Path,
    process::{Child, Command, Stdio},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flyte_e2e::{Certificate, CommandOutput, Flaw, Machine, Server, repository};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The addresses and paths that replace those of the examples.
struct Here<'a> {
    public: u16,
    server: u16,
    certificate: &'a Path,
}

impl Here<'_> {
    /// An example of the documentation for this machine.
    fn example(&self, name: &str) -> String {
        let text = fs::read_to_string(repository().join("docs/examples").join(name)).unwrap();
        let pem = self.certificate.to_str().unwrap();
        let mut here = text;
        for (there, here_it_is) in [
            ("127.0.0.1:8443", format!("127.0.0.1:{}", self.server).as_str()),
            ("listen 443", &format!("listen 127.0.0.1:{}", self.public)),
            ("bind :443", &format!("bind 127.0.0.1:{}", self.public)),
            ("flyte.example.com {", &format!("https://localhost:{} {{\n\ttls {pem} {pem}", self.public)),
            ("server_name flyte.example.com", "server_name localhost"),
            ("/etc/ssl/flyte/fullchain.pem", pem),
            ("/etc/ssl/flyte/key.pem", pem),
            ("/etc/ssl/flyte/flyte.pem", pem),
        ] {
            here = here.replace(there, here_it_is);
        }
        assert!(!here.contains("example.com") && !here.contains("/etc/ssl/flyte"), "{here}");
        here
    }
}

fn start(directory: &Path, program: &str, arguments: &[&str]) -> Child {
    let log = fs::File::create(directory.join("proxy.log")).unwrap();
    Command::new(program)
        .args(arguments)
        .env("HOME", directory)
        .env("XDG_DATA_HOME", directory)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap_or_else(|error| panic!("{program} is missing: run `./test --setup` ({error})"))
}

fn nginx(directory: &Path, here: &Here<'_>) -> Child {
    // What Debian's nginx.conf has around the example, with paths of this test's.
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("{name}_temp_path {}/{name};\n", directory.display()))
        .collect();
    let whole = format!(
        "daemon off; pid {0}/pid; error_log {0}/error.log; events {{}}\nhttp {{\naccess_log off;\n{paths}{1}\n}}\n",
        directory.display(),
        here.example("nginx.conf"),
    );
    fs::write(directory.join("nginx.conf"), whole).unwrap();
    let config = directory.join("nginx.conf");
    start(
        directory,
        "nginx",
        &["-c", config.to_str().unwrap(), "-e", "stderr", "-p", directory.to_str().unwrap()],
    )
}

fn haproxy(directory: &Path, here: &Here<'_>) -> Child {
    fs::write(directory.join("haproxy.cfg"), here.example("haproxy.cfg")).unwrap();
    start(directory, "haproxy", &["-db", "-f", "haproxy.cfg"])
}

fn caddy(directory: &Path, here: &Here<'_>) -> Child {
    let whole = format!("{{\n\tadmin off\n\tauto_https off\n}}\n{}", here.example("Caddyfile"));
    fs::write(directory.join("Caddyfile"), whole).unwrap();
    start(directory, "caddy", &["run", "--config", "Caddyfile", "--adapter", "caddyfile"])
}

/// A call of the control plane in JSON.
fn call(server: &Server, token: &str, method: &str, request: &Value) -> Value {
    let call = server.http().post(server.url(&format!("/flyteidl2.{method}"))).bearer_auth(token);
    let answer = call.header("content-type", "application/json").body(request.to_string()).send().unwrap();
    let (status, text) = (answer.status(), answer.text().unwrap());
    assert!(status.is_success(), "{method}: {status} {text}");
    serde_json::from_str(&text).unwrap()
}

/// Uploads a file of 3 MiB, and checks that it arrived completely.
fn upload(server: &Server, token: &str) {
    let content: Vec<u8> =
        (0..3_u64 << 20).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
    let mut digest = Command::new("openssl");
    digest.args(["dgst", "-md5", "-binary"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut digest = digest.spawn().expect("openssl is missing: run `./test --setup`");
    std::io::Write::write_all(digest.stdin.as_mut().unwrap(), &content).unwrap();
    let md5 = STANDARD.encode(digest.wait_with_output().unwrap().stdout);
    let request = json!({
        "project": "flytesnacks", "domain": "development", "filename": "large.bin",
        "contentMd5": md5, "contentLength": content.len().to_string(),
    });
    let place = call(server, token, "dataproxy.DataProxyService/CreateUploadLocation", &request);
    let mut put = server.http().put(place["signedUrl"].as_str().unwrap()).header("content-md5", &md5);
    for (name, value) in place["headers"].as_object().into_iter().flatten() {
        put = put.header(name, value.as_str().unwrap());
    }
    let answer = put.body(content).send().unwrap();
    assert!(answer.status().is_success(), "{}: {}", answer.status(), answer.text().unwrap());
}

/// Starts a run, so that a watch of runs has a first message.
fn create_run(server: &Server, token: &str) {
    let place =
        json!({"project": "flytesnacks", "domain": "development", "name": "env.main", "version": "1"});
    let mut template_id = place.clone();
    template_id["resourceType"] = json!("TASK");
    let template = json!({
        "id": template_id, "type": "python", "metadata": {"runtime": {}}, "interface": {},
        "container": {"image": "python", "args": ["a0"]},
    });
    let spec = json!({"taskTemplate": template, "shortName": "main", "environment": {"name": "env"}});
    call(server, token, "task.TaskService/DeployTask", &json!({"taskId": place, "spec": spec}));
    let project = json!({"name": "flytesnacks", "domain": "development"});
    let request = json!({"projectId": project, "taskId": place, "inputs": {}});
    call(server, token, "workflow.RunService/CreateRun", &request);
}

/// Opens a stream, and reads its first message while the stream is open.
fn stream(server: &Server, token: &str) {
    create_run(server, token);
    let request = json!({"projectId": {"name": "flytesnacks", "domain": "development"}}).to_string();
    let mut body = vec![0];
    body.extend(u32::try_from(request.len()).unwrap().to_be_bytes());
    body.extend(request.bytes());
    let watch = server.http().post(server.url("/flyteidl2.workflow.RunService/WatchRuns")).bearer_auth(token);
    let mut answer = watch.header("content-type", "application/connect+json").body(body).send().unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
    let mut head = [0; 5];
    answer.read_exact(&mut head).unwrap();
    // An end of the stream would have the flag 2.
    assert_eq!(head[0], 0, "the first message of the stream");
}

/// A gRPC call that needs no token.
fn grpc(server: &Server) {
    let call = server.http().post(server.url("/flyteidl2.auth.AuthMetadataService/GetOAuth2Metadata"));
    let call = call.header("content-type", "application/grpc").header("te", "trailers");
    let answer = call.body(vec![0; 5]).send().unwrap();
    assert_eq!(answer.version(), reqwest::Version::HTTP_2);
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("application/grpc"));
    let body = answer.bytes().unwrap();
    assert!(body.len() > 5 && body[0] == 0, "{body:?}");
}

fn carries_everything(proxy: fn(&Path, &Here<'_>) -> Child, with_grpc: bool) {
    let certificate = Certificate::new(Flaw::None);
    let directory = TempDir::new().unwrap();
    let pem = certificate.pem();
    let server = Server::behind(&certificate, |public, server| {
        proxy(directory.path(), &Here { public, server, certificate: &pem })
    });
    let machine = Machine::bare();
    machine.sign_in_by_forms(&server);
    let projects = CommandOutput::of(&mut machine.flyte(&["get", "project"])).ok();
    assert!(projects.out.contains("flytesnacks"), "{projects:?}");
    let token = CommandOutput::of(&mut machine.flyte(&["auth", "token"])).ok().out.trim().to_owned();
    upload(&server, &token);
    stream(&server, &token);
    if with_grpc {
        grpc(&server);
    }
}

#[test]
fn nginx_carries_everything_except_grpc() {
    carries_everything(nginx, false);
}

#[test]
fn haproxy_carries_everything() {
    carries_everything(haproxy, true);
}

#[test]
fn caddy_carries_everything() {
    carries_everything(caddy, true);
}

#[test]
fn other_examples_are_well_formed() {
    let examples = repository().join("docs/examples");
    for name in ["traefik.yaml", "ingress.yaml"] {
        let check =
            "import sys, yaml; print(sum(1 for part in yaml.safe_load_all(open(sys.argv[1])) if part))";
        let output =
            CommandOutput::of(Command::new(flyte_e2e::python()).args(["-c", check]).arg(examples.join(name)))
                .ok();
        assert_eq!(output.out.trim(), "1", "{name}");
    }
    // systemd's own reading of the unit, with a program that exists.
    let directory = TempDir::new().unwrap();
    let unit = directory.path().join("flyte-server.service");
    let text = fs::read_to_string(examples.join("flyte-server.service")).unwrap();
    let user = "User=flyte-server\n";
    assert!(text.contains("KillMode=process\n") && text.contains(user));
    fs::write(&unit, text.replace("/usr/local/bin/flyte-server", "/bin/true").replace(user, "User=root\n"))
        .unwrap();
    let output = CommandOutput::of(Command::new("systemd-analyze").arg("verify").arg(&unit));
    // If systemd does not run, it reports errors about other units.
    let ours: Vec<_> = output.err.lines().filter(|line| line.contains("flyte-server")).collect();
    assert_eq!((output.code, ours), (Some(0), vec![]), "{output:?}");
}
