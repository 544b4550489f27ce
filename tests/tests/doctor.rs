//! `flyte auth doctor` finds problems, and says how to fix them.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    process::Command,
    time::Instant,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flyte_e2e::{Certificate, CommandOutput, Flaw, Machine, Server, WebServer, free_port};
use serde_json::Value;

/// The findings of the doctor, by check.
struct Report(Value);

impl Report {
    fn of(command: &mut Command) -> Self {
        let output = CommandOutput::of(command.args(["auth", "doctor", "-o", "json"]));
        let report: Value = serde_json::from_str(&output.out).unwrap_or_else(|_| panic!("{output:?}"));
        assert_eq!(output.code, Some(if report["ok"] == true { 0 } else { 1 }), "{output:?}");
        Self(report)
    }

    fn check(&self, name: &str) -> &Value {
        let checks = self.0["checks"].as_array().unwrap();
        checks.iter().find(|check| check["check"] == name).unwrap_or_else(|| panic!("{name}: {checks:?}"))
    }

    /// Asserts that the check has this verdict, and that its finding or fix contains `expected`.
    #[track_caller]
    fn assert_finding(&self, name: &str, verdict: &str, expected: &str) {
        let check = self.check(name);
        let text = format!("{} {}", check["found"], check["fix"]);
        assert!(
            check["verdict"] == verdict && text.contains(expected),
            "{name}, {verdict}, {expected}: {}",
            self.0
        );
        let needs_fix = matches!(verdict, "warn" | "fail");
        assert!(!needs_fix || check["fix"].is_string(), "no fix: {check}");
    }
}

#[test]
fn all_checks_pass_on_a_working_machine() {
    let (server, machine) = (Server::start(), Machine::with_keyring());
    machine.sign_in(&server);
    let report = Report::of(machine.flyte(&[]).env("BROWSER", "sh -c true"));
    for (name, expected) in [
        ("configuration", server.endpoint()),
        ("secrets", "none in the configuration".to_owned()),
        ("address", "localhost is 127.0.0.1".to_owned()),
        ("connection", server.endpoint()),
        ("certificate", "expires in".to_owned()),
        ("clock", "agrees".to_owned()),
        ("discovery", server.url("")),
        ("keyring", "Secret Service".to_owned()),
        ("browser", "by BROWSER".to_owned()),
        ("sign-in", "the server accepts you as admin@localhost".to_owned()),
    ] {
        report.assert_finding(name, "pass", &expected);
    }
    report.assert_finding("API key", "skip", "FLYTE_API_KEY is not set");
    assert_eq!(report.0["ok"], true);
    let table = CommandOutput::of(machine.flyte(&["auth", "doctor"]).env("BROWSER", "sh")).ok();
    assert!(table.out.ends_with("\nEverything works.\n"), "{table:?}");
}

#[test]
fn rows_of_the_troubleshooting_page_are_found() {
    let (server, machine) = (Server::start(), Machine::bare());
    machine.configure(&server);
    // "Browser doesn't open", and a machine without a keyring: both work, with warnings.
    let mut over_ssh = machine.flyte(&[]);
    let report = Report::of(over_ssh.env("SSH_CONNECTION", "10.0.0.2 1 10.0.0.1 22"));
    report.assert_finding("browser", "warn", "this is an SSH session without a display");
    report.assert_finding("browser", "warn", "--auth-type headless");
    report.assert_finding("keyring", "warn", "encrypted file");
    report.assert_finding("sign-in", "warn", "flyte auth login");
    assert_eq!(report.0["ok"], true);
    // "API key doesn't work."
    let report = Report::of(machine.flyte(&[]).env("FLYTE_API_KEY", "Zmx5dGUuZXhhbXBsZS5jb206Y2k6aHVudGVy"));
    report.assert_finding("API key", "fail", "of the four parts");
    let report = Report::of(machine.flyte(&[]).env("FLYTE_API_KEY", "Zmx5dGU"));
    report.assert_finding("API key", "fail", "incomplete");
    // "Device flow code expires."
    let report = Report::of(&mut machine.flyte(&["--auth-type", "headless"]));
    report.assert_finding("device code", "pass", "codes are valid for 10 minutes");
    report.assert_finding("browser", "skip", "not needed");
}

#[test]
fn untrusted_certificate_is_described() {
    let (server, machine) = (Server::start(), Machine::bare());
    let report = Report::of(&mut machine.flyte(&["--endpoint", &server.endpoint()]));
    report.assert_finding("connection", "pass", "answers");
    report.assert_finding("certificate", "fail", "authority that this machine does not trust");
    report.assert_finding("certificate", "fail", "expires in");
    let command = format!("flyte create config --endpoint {} --ca-cert-file FILE", server.url(""));
    report.assert_finding("certificate", "fail", &command);
    // An API key has no file to name an authority in.
    let key = STANDARD.encode(format!("{}:ci:secret:None", server.endpoint()));
    let report = Report::of(machine.flyte(&[]).env("FLYTE_API_KEY", key));
    report.assert_finding("certificate", "fail", "export SSL_CERT_FILE=FILE");
    // Its clock is checked anyway, because a wrong clock may be the cause.
    report.assert_finding("clock", "pass", "agrees");
    report.assert_finding("discovery", "skip", "cannot be reached");
}

#[test]
fn each_flaw_of_a_certificate_is_found() {
    for (flaw, expected) in [
        (Flaw::Expired, ["has expired", "days ago", "clock"]),
        (Flaw::NotYetValid, ["not valid yet", "clocks", "authority of a test"]),
        (Flaw::AnotherName, ["for another host name", "expires in", "authority of a test"]),
        (Flaw::SelfSigned, ["self-signed", "expires in", "--ca-cert-file"]),
        (Flaw::Authority, ["marked as an authority (CA:TRUE)", "expires in", "CA:FALSE"]),
    ] {
        let (certificate, machine) = (Certificate::new(flaw), Machine::bare());
        let server = WebServer::start(&certificate, 404);
        let ca = certificate.ca();
        let line =
            ["create", "config", "--endpoint", &server.endpoint(), "--ca-cert-file", ca.to_str().unwrap()];
        let _ = CommandOutput::of(&mut machine.flyte(&line)).ok();
        let report = Report::of(&mut machine.flyte(&[]));
        for expected in expected {
            report.assert_finding("certificate", "fail", expected);
        }
        // This machine's clock agrees with the server's: it is the certificate.
        report.assert_finding("clock", "pass", "agrees");
    }
}

#[test]
fn unreachable_server_fails_step_by_step() {
    let machine = Machine::bare();
    let report = Report::of(&mut machine.flyte(&[]));
    report.assert_finding("configuration", "fail", "flyte create config --endpoint HOST");
    let nowhere = format!("localhost:{}", free_port());
    let report = Report::of(&mut machine.flyte(&["--endpoint", &nowhere]));
    report.assert_finding("address", "pass", "127.0.0.1");
    report.assert_finding("connection", "fail", "refused");
    for check in ["certificate", "clock", "discovery"] {
        report.assert_finding(check, "skip", "");
    }
    let report = Report::of(&mut machine.flyte(&["--endpoint", "no-such-host.invalid"]));
    report.assert_finding("address", "fail", "cannot be resolved");
    // The machine itself is also checked offline.
    report.assert_finding("keyring", "warn", "encrypted file");
}

#[test]
fn mistakes_and_secrets_in_the_configuration_are_found() {
    let machine = Machine::bare();
    fs::create_dir(machine.home().join(".flyte")).unwrap();
    let write = |text: &str| fs::write(machine.config(), text).unwrap();
    write("admin:\n  endpoint: dns:///no-such-host.invalid\n  clientSecret: hunter2\n");
    let report = Report::of(&mut machine.flyte(&[]));
    report.assert_finding("secrets", "fail", "config.yaml:3");
    report.assert_finding("secrets", "fail", "admin.clientSecret looks like a secret");
    assert!(!report.0.to_string().contains("hunter2"));

    write("admin:\n  endpoint: dns:///no-such-host.invalid\n  authTyp: DeviceFlow\n");
    let report = Report::of(&mut machine.flyte(&[]));
    report.assert_finding("configuration", "warn", "admin.authTyp is not a key");
    report.assert_finding("configuration", "warn", "spelling");

    write("admin:\n  endpoint: [\n");
    let report = Report::of(&mut machine.flyte(&[]));
    report.assert_finding("configuration", "fail", "config.yaml:");
    report.assert_finding("keyring", "skip", "no control plane");

    let secret = machine.home().join("secret");
    fs::write(&secret, "hunter2").unwrap();
    write(&format!(
        "admin:\n  endpoint: dns:///no-such-host.invalid\n  clientSecretLocation: {}\n",
        secret.display()
    ));
    let report = Report::of(&mut machine.flyte(&[]));
    report.assert_finding("secrets", "warn", "chmod 600");
}

#[test]
fn locked_keyring_is_a_finding_without_waiting() {
    let (server, machine) = (Server::start(), Machine::with_keyring());
    machine.sign_in(&server);
    machine.lock_keyring();
    let started = Instant::now();
    let report = Report::of(&mut machine.flyte(&[]));
    report.assert_finding("keyring", "fail", "locked");
    report.assert_finding("keyring", "fail", "Unlock it");
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}

/// Answers every request with this, over plain HTTP, until the test ends.
fn answering(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let _ = connection.read(&mut [0; 4096]);
            let _ = connection.write_all(answer.as_bytes());
        }
    });
    address
}

#[test]
fn wrong_clock_is_found() {
    let past = "HTTP/1.1 404 Not Found\r\ndate: Thu, 01 Jan 2015 00:00:00 GMT\r\ncontent-length: 0\r\n\
                connection: close\r\n\r\n";
    let machine = Machine::bare();
    let report = Report::of(&mut machine.flyte(&["--insecure", "--endpoint", &answering(past)]));
    report.assert_finding("clock", "fail", "ahead of the server's");
    report.assert_finding("clock", "fail", "timedatectl");
    report.assert_finding("certificate", "warn", "plain HTTP");
    report.assert_finding("sign-in", "skip", "plain HTTP");
}

#[test]
fn web_page_is_not_a_control_plane() {
    let page =
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\nconnection: close\r\n\r\n<html>";
    let machine = Machine::bare();
    let report = Report::of(&mut machine.flyte(&["--insecure", "--endpoint", &answering(page)]));
    report.assert_finding("discovery", "fail", "is not a Flyte control plane");
    report.assert_finding("clock", "skip", "does not send its time");
}

#[test]
fn key_for_another_control_plane_is_a_warning() {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    let (server, machine) = (Server::start(), Machine::bare());
    machine.configure(&server);
    for (endpoint, verdict, expected) in [
        (format!("localhost:{}", free_port()), "warn", "change admin.endpoint"),
        (server.endpoint(), "pass", "FLYTE_API_KEY is ci"),
    ] {
        let key = BASE64_STANDARD.encode(format!("{endpoint}:ci:s3cret:None"));
        Report::of(machine.flyte(&[]).env("FLYTE_API_KEY", key)).assert_finding("API key", verdict, expected);
    }
}
