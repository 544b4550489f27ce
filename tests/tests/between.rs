//! What stands between this machine and the control plane: its answers, and proxies.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::{Arc, Mutex},
    thread,
};

use flyte_e2e::{Certificate, Flaw, Machine, Reply, StandIn, Told, free_port};

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
fn answers_of_what_is_in_front_are_told_as_theirs() {
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
        // With a token in hand, and where it is still to be found out how to get one.
        let with_token =
            Told::by(by_command(&machine, &front.endpoint(), &certificate).args(["get", "run"]).args([
                "--project",
                "p",
                "--domain",
                "d",
            ]));
        let login = Told::by(
            machine
                .flyte(&["--endpoint", &front.endpoint(), "auth", "login"])
                .env("FLYTE_ADMIN_CACERTFILEPATH", certificate.ca()),
        );
        for told in [with_token, login] {
            assert_eq!(told.code, Some(exit), "{shown}: {told:?}");
            for expected in expected {
                assert!(told.err.contains(expected), "{expected}: {told:?}");
            }
            for wrong in ["not a Flyte control plane", "t0ken", "\u{1b}", "\u{202e}", "admin.endpoint"] {
                assert!(!told.err.contains(wrong), "{wrong}: {told:?}");
            }
        }
    }
}

#[test]
fn tls_and_plain_http_that_are_mixed_up_are_told() {
    let machine = Machine::bare();
    let plain = StandIn::plain_backend(None);
    let told = Told::by(&mut machine.flyte(&["--endpoint", &plain.endpoint(), "get", "project"])).failed(1);
    assert!(told.err.contains("does not speak TLS") && told.err.contains("--insecure"), "{told:?}");
    let nginx = StandIn::start(None, |_| {
        Reply::new(400, PAGE, "<title>400 The plain HTTP request was sent to HTTPS port</title>")
    });
    let told =
        Told::by(&mut machine.flyte(&["--insecure", "--endpoint", &nginx.endpoint(), "get", "project"]));
    assert!(told.failed(1).err.contains("The server has TLS: leave out --insecure"));
}

/// A proxy that notes what it is asked, and takes every tunnel to one port of this machine.
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
fn a_proxy_is_used_with_any_password_and_passed_where_it_should_be() {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    // The certificate is for other.example, which is nowhere but behind the proxy.
    let certificate = Certificate::new(Flaw::AnotherName);
    let backend = StandIn::plain_backend(Some(&certificate));
    let (proxy, machine) = (Proxy::to(backend.port()), Machine::bare());
    let run = |variables: &[(&str, &str)]| {
        let mut command = machine.flyte(&["--endpoint", "other.example:8443", "get", "project"]);
        command.env("FLYTE_ADMIN_CACERTFILEPATH", certificate.ca());
        Told::by(command.envs(variables.iter().copied()))
    };
    let address = format!("http://ada:p@ss:w/rd#%?&@127.0.0.1:{}", proxy.port);
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "FLYTE_ADMIN_HTTPPROXYURL"] {
        let told = run(&[(name, &address), ("NO_PROXY", "other.example:443,*.example.org")]).ok();
        assert!(told.out.contains("flytesnacks"), "{name}: {told:?}");
        let asked = proxy.asked();
        let credentials = format!("proxy-authorization: Basic {}", STANDARD.encode("ada:p@ss:w/rd#%?&"));
        assert!(
            !asked.is_empty()
                && asked.iter().all(|head| head.starts_with("CONNECT other.example:8443 ")
                    && head.to_lowercase().contains(&credentials.to_lowercase())),
            "{name}: {asked:?}"
        );
    }
    // Around it, where NO_PROXY says so: nothing has that name there.
    for exempt in ["other.example:8443", "*.example", ".example", "example", "OTHER.EXAMPLE", "*"] {
        let told = run(&[("HTTPS_PROXY", &address), ("no_proxy", exempt)]).failed(1);
        assert!(told.err.contains("the host name cannot be resolved"), "{exempt}: {told:?}");
        assert_eq!(proxy.asked(), Vec::<String>::new(), "{exempt}");
    }
}

#[test]
fn a_dead_proxy_is_named_with_its_setting_and_is_no_way_to_this_machine() {
    let certificate = Certificate::new(Flaw::None);
    let (backend, machine) = (StandIn::plain_backend(Some(&certificate)), Machine::bare());
    let dead = format!("http://ada:hunter2@127.0.0.1:{}", free_port());
    let run = |endpoint: &str, name: &str, value: &str| {
        let mut command = machine.flyte(&["--endpoint", endpoint, "get", "project"]);
        Told::by(command.env("FLYTE_ADMIN_CACERTFILEPATH", certificate.ca()).env(name, value))
    };
    for name in ["HTTPS_PROXY", "https_proxy", "all_proxy"] {
        let told = run("flyte.example.com", name, &dead).failed(1);
        let place = dead.rsplit('@').next().unwrap();
        assert!(told.err.contains(&format!("the proxy {place} ({name}) cannot be used")), "{told:?}");
        assert!(told.err.contains("refused") && told.err.contains(&format!("Check {name}")), "{told:?}");
        assert!(!told.err.contains("hunter2"), "{told:?}");
        // This machine is reached without it, whatever it is.
        for value in [dead.as_str(), "no proxy at all"] {
            let told = run(&backend.endpoint(), name, value).ok();
            assert!(told.out.contains("flytesnacks"), "{told:?}");
        }
    }
    let told = run(&backend.endpoint(), "FLYTE_ADMIN_HTTPPROXYURL", &dead).failed(1);
    assert!(told.err.contains("(admin.httpProxyURL) cannot be used"), "{told:?}");
    let told = run("127.1.2.3.example.invalid", "ALL_PROXY", &dead.replace("http:", "socks5h:")).failed(1);
    assert!(told.err.contains("(ALL_PROXY) cannot be used: nothing answers"), "{told:?}");
    let told = run("flyte.example.invalid", "ALL_PROXY", &dead.replace("http:", "socks5:")).failed(1);
    assert!(told.err.contains("cannot be resolved") && told.err.contains("socks5h://"), "{told:?}");
    let told = run("flyte.example.com", "HTTPS_PROXY", "http://ada:hunter2@:1").failed(1);
    assert!(told.err.contains("HTTPS_PROXY") && !told.err.contains("hunter2"), "{told:?}");
}
