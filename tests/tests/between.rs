//! Proxies and other servers between this machine and the control plane.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::{Arc, Mutex},
    thread,
};

use flyte_e2e::{Certificate, CommandOutput, Flaw, Machine, Reply, StandIn, free_port};

const PAGE: &str = "text/html; charset=utf-8";

fn by_command(machine: &Machine, endpoint: &str, certificate: &Certificate) -> Command {
    let mut command = machine.flyte(&["--endpoint", endpoint]);
    command
        .env("FLYTE_ADMIN_CACERTFILEPATH", certificate.ca())
        .env("FLYTE_AUTH_TYPE", "ExternalCommand")
        .env("FLYTE_AUTH_COMMAND", "echo t0ken-of-mine");
    command
}

#[test]
fn answers_of_proxies_are_recognized() {
    let certificate = Certificate::new(Flaw::None);
    for (reply, exit, expected) in [
        (
            Reply::new(431, PAGE, "<html><head><title>431 Request Header\nFields Too Large</title>")
                .with("server", "nginx/1.25"),
            1,
            &["HTTP 431", "nginx/1.25", "larger request headers"][..],
        ),
        (
            Reply::new(400, PAGE, "<center>Request Header Or Cookie Too Large</center>\u{1b}[2J"),
            1,
            &["HTTP 400 (Bad Request)", "too large"],
        ),
        (
            Reply::new(403, PAGE, "<h1>Access denied</h1> authorization: Bearer t0ken-of-mine")
                .with("server", "cloudflare"),
            1,
            &["HTTP 403 (Forbidden) from cloudflare", "Access denied", "VPN"],
        ),
        (
            Reply::new(403, "text/plain", "RBAC: access denied").with("server", "istio-envoy"),
            1,
            &["from istio-envoy", "RBAC: access denied"],
        ),
        (
            Reply::new(403, "text/plain", "no: authorization: Bearer t0ken-of-mine \u{202e}evil"),
            1,
            &["HTTP 403", "no: authorization: Bearer ..."],
        ),
        (
            Reply::new(429, "application/json", r#"{"message":"API rate limit exceeded"}"#)
                .with("retry-after", "77")
                .with("server", "kong/3.4"),
            1,
            &["HTTP 429", "from kong/3.4", "API rate limit exceeded", "Try again in 77 seconds"],
        ),
        (
            Reply::new(502, PAGE, "<html><body><h1>502 Bad Gateway</h1></body>")
                .with("server", "awselb/2.0")
                .with("retry-after", "60"),
            1,
            &["HTTP 502 (Bad Gateway) from awselb/2.0", "cannot reach it", "60 seconds"],
        ),
        (
            Reply::new(401, PAGE, "<title>Sign in</title>").with("www-authenticate", "Basic realm=x"),
            4,
            &["HTTP 401", "admin.proxyCommand"],
        ),
        (Reply::new(511, PAGE, "<title>Hotel</title>"), 1, &["HTTP 511", "Hotel", "any web page"]),
    ] {
        let shown = format!("{reply:?}");
        let front = StandIn::start(Some(&certificate), move |_| reply.clone());
        let machine = Machine::bare();
        // With a token, and before the client knows how to get one.
        let with_token = CommandOutput::of(
            by_command(&machine, &front.endpoint(), &certificate).args(["get", "run"]).args([
                "--project",
                "p",
                "--domain",
                "d",
            ]),
        );
        let login = CommandOutput::of(
            machine
                .flyte(&["--endpoint", &front.endpoint(), "auth", "login"])
                .env("FLYTE_ADMIN_CACERTFILEPATH", certificate.ca()),
        );
        for output in [with_token, login] {
            assert_eq!(output.code, Some(exit), "{shown}: {output:?}");
            for expected in expected {
                assert!(output.err.contains(expected), "{expected}: {output:?}");
            }
            for wrong in ["not a Flyte control plane", "t0ken", "\u{1b}", "\u{202e}", "admin.endpoint"] {
                assert!(!output.err.contains(wrong), "{wrong}: {output:?}");
            }
        }
    }
}

#[test]
fn mixed_up_tls_and_plain_http_are_explained() {
    let machine = Machine::bare();
    let plain = StandIn::plain_backend(None);
    let output =
        CommandOutput::of(&mut machine.flyte(&["--endpoint", &plain.endpoint(), "get", "project"])).failed(1);
    assert!(output.err.contains("does not speak TLS") && output.err.contains("--insecure"), "{output:?}");
    let nginx = StandIn::start(None, |_| {
        Reply::new(400, PAGE, "<title>400 The plain HTTP request was sent to HTTPS port</title>")
    });
    let output = CommandOutput::of(&mut machine.flyte(&[
        "--insecure",
        "--endpoint",
        &nginx.endpoint(),
        "get",
        "project",
    ]));
    assert!(output.failed(1).err.contains("The server has TLS: leave out --insecure"));
}

/// A proxy that records its requests, and connects every tunnel to one port of this machine.
struct Proxy {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (mut client, mut head) = (client.unwrap(), Vec::new());
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).is_ok_and(|read| read == 1) {
                    head.push(byte[0]);
                }
                log.lock().unwrap().push(String::from_utf8(head).unwrap());
                client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
                let server = TcpStream::connect(("127.0.0.1", target)).unwrap();
                for (mut from, mut to) in
                    [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)]
                {
                    thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(std::net::Shutdown::Write);
                    });
                }
            }
        });
        Self { port, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().drain(..).collect()
    }
}

#[test]
fn proxy_works_with_any_password_and_no_proxy_bypasses_it() {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    // The certificate is for other.example, which exists only behind the proxy.
    let certificate = Certificate::new(Flaw::AnotherName);
    let backend = StandIn::plain_backend(Some(&certificate));
    let (proxy, machine) = (Proxy::to(backend.port()), Machine::bare());
    let run = |variables: &[(&str, &str)]| {
        let mut command = machine.flyte(&["--endpoint", "other.example:8443", "get", "project"]);
        command.env("FLYTE_ADMIN_CACERTFILEPATH", certificate.ca());
        CommandOutput::of(command.envs(variables.iter().copied()))
    };
    let address = format!("http://ada:p@ss:w/rd#%?&@127.0.0.1:{}", proxy.port);
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "FLYTE_ADMIN_HTTPPROXYURL"] {
        let output = run(&[(name, &address), ("NO_PROXY", "other.example:443,*.example.org")]).ok();
        assert!(output.out.contains("flytesnacks"), "{name}: {output:?}");
        let asked = proxy.asked();
        let credentials = format!("proxy-authorization: Basic {}", STANDARD.encode("ada:p@ss:w/rd#%?&"));
        assert!(
            !asked.is_empty()
                && asked.iter().all(|head| head.starts_with("CONNECT other.example:8443 ")
                    && head.to_lowercase().contains(&credentials.to_lowercase())),
            "{name}: {asked:?}"
        );
    }
    // NO_PROXY bypasses the proxy, so the name cannot be resolved.
    for exempt in ["other.example:8443", "*.example", ".example", "example", "OTHER.EXAMPLE", "*"] {
        let output = run(&[("HTTPS_PROXY", &address), ("no_proxy", exempt)]).failed(1);
        assert!(output.err.contains("the host name cannot be resolved"), "{exempt}: {output:?}");
        assert_eq!(proxy.asked(), Vec::<String>::new(), "{exempt}");
    }
}

#[test]
fn dead_proxy_is_named_and_not_used_for_this_machine() {
    let certificate = Certificate::new(Flaw::None);
    let (backend, machine) = (StandIn::plain_backend(Some(&certificate)), Machine::bare());
    let dead = format!("http://ada:hunter2@127.0.0.1:{}", free_port());
    let run = |endpoint: &str, name: &str, value: &str| {
        let mut command = machine.flyte(&["--endpoint", endpoint, "get", "project"]);
        CommandOutput::of(command.env("FLYTE_ADMIN_CACERTFILEPATH", certificate.ca()).env(name, value))
    };
    for name in ["HTTPS_PROXY", "https_proxy", "all_proxy"] {
        let output = run("flyte.example.com", name, &dead).failed(1);
        let place = dead.rsplit('@').next().unwrap();
        assert!(output.err.contains(&format!("the proxy {place} ({name}) cannot be used")), "{output:?}");
        assert!(
            output.err.contains("refused") && output.err.contains(&format!("Check {name}")),
            "{output:?}"
        );
        assert!(!output.err.contains("hunter2"), "{output:?}");
        // This machine is always reached without the proxy.
        for value in [dead.as_str(), "no proxy at all"] {
            let output = run(&backend.endpoint(), name, value).ok();
            assert!(output.out.contains("flytesnacks"), "{output:?}");
        }
    }
    let output = run(&backend.endpoint(), "FLYTE_ADMIN_HTTPPROXYURL", &dead).failed(1);
    assert!(output.err.contains("(admin.httpProxyURL) cannot be used"), "{output:?}");
    let output = run("127.1.2.3.example.invalid", "ALL_PROXY", &dead.replace("http:", "socks5h:")).failed(1);
    assert!(output.err.contains("(ALL_PROXY) cannot be used: nothing answers"), "{output:?}");
    let output = run("flyte.example.invalid", "ALL_PROXY", &dead.replace("http:", "socks5:")).failed(1);
    assert!(output.err.contains("cannot be resolved") && output.err.contains("socks5h://"), "{output:?}");
    let output = run("flyte.example.com", "HTTPS_PROXY", "http://ada:hunter2@:1").failed(1);
    assert!(output.err.contains("HTTPS_PROXY") && !output.err.contains("hunter2"), "{output:?}");
}
