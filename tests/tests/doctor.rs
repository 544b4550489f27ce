//! `flyte auth doctor` finds what is broken, and says how to mend it.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    process::Command,
    time::Instant,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flyte_e2e::{Certificate, Flaw, Machine, Server, Told, WebServer, free_port};
use serde_json::Value;

/// What the doctor found, by check.
struct Report(Value);

impl Report {
    fn of(command: &mut Command) -> Self {
        let told = Told::by(command.args(["auth", "doctor", "-o", "json"]));
        let report: Value = serde_json::from_str(&told.out).unwrap_or_else(|_| panic!("{told:?}"));
        assert_eq!(told.code, Some(if report["ok"] == true { 0 } else { 1 }), "{told:?}");
        Self(report)
    }

    fn check(&self, name: &str) -> &Value {
        let checks = self.0["checks"].as_array().unwrap();
        checks.iter().find(|check| check["check"] == name).unwrap_or_else(|| panic!("{name}: {checks:?}"))
    }

    /// The check has this verdict, and `told` is in what was found or in the fix.
    #[track_caller]
    fn tells(&self, name: &str, verdict: &str, told: &str) {
        let check = self.check(name);
        let text = format!("{} {}", check["found"], check["fix"]);
        assert!(check["verdict"] == verdict && text.contains(told), "{name}, {verdict}, {told}: {}", self.0);
        let needs_fix = matches!(verdict, "warn" | "fail");
        assert!(!needs_fix || check["fix"].is_string(), "no fix: {check}");
    }
}

#[test]
fn where_all_is_well_everything_passes() {
    let (server, machine) = (Server::start(), Machine::with_keyring());
    machine.sign_in(&server);
    let report = Report::of(machine.flyte(&[]).env("BROWSER", "sh -c true"));
    for (name, told) in [
        ("configuration", server.endpoint()),
        ("secrets", "none in the configuration".to_owned()),
        ("address", "localhost is 127.0.0.1".to_owned()),
        ("connection", server.endpoint()),
        ("certificate", "expires in".to_owned()),
        ("clock", "agrees".to_owned()),
        ("discovery", server.url("")),
        ("keyring", "Secret Service".to_owned()),
        ("browser", "by BROWSER".to_owned()),
        ("sign-in", "the server takes you for admin@localhost".to_owned()),
    ] {
        report.tells(name, "pass", &told);
    }
    report.tells("API key", "skip", "FLYTE_API_KEY is not set");
    assert_eq!(report.0["ok"], true);
    let table = Told::by(machine.flyte(&["auth", "doctor"]).env("BROWSER", "sh")).ok();
    assert!(table.out.ends_with("\nAll is well.\n"), "{table:?}");
}

#[test]
fn each_row_of_the_page_on_troubleshooting_is_found() {
    let (server, machine) = (Server::start(), Machine::bare());
    machine.configure(&server);
    // "Browser doesn't open", and a machine without a keyring: both work, and both are told.
    let mut over_ssh = machine.flyte(&[]);
    let report = Report::of(over_ssh.env("SSH_CONNECTION", "10.0.0.2 1 10.0.0.1 22"));
    report.tells("browser", "warn", "this is an SSH session without a display");
    report.tells("browser", "warn", "--auth-type headless");
    report.tells("keyring", "warn", "encrypted file");
    report.tells("sign-in", "warn", "flyte auth login");
    assert_eq!(report.0["ok"], true);
    // "API key doesn't work."
    let report = Report::of(machine.flyte(&[]).env("FLYTE_API_KEY", "Zmx5dGUuZXhhbXBsZS5jb206Y2k6aHVudGVy"));
    report.tells("API key", "fail", "of the four parts");
    let report = Report::of(machine.flyte(&[]).env("FLYTE_API_KEY", "Zmx5dGU"));
    report.tells("API key", "fail", "cut off");
    // "Device flow code expires."
    let report = Report::of(&mut machine.flyte(&["--auth-type", "headless"]));
    report.tells("device code", "pass", "codes work for 10 minutes");
    report.tells("browser", "skip", "not needed");
}

#[test]
fn a_server_that_is_not_trusted_is_told_with_its_certificate() {
    let (server, machine) = (Server::start(), Machine::bare());
    let report = Report::of(&mut machine.flyte(&["--endpoint", &server.endpoint()]));
    report.tells("connection", "pass", "answers");
    report.tells("certificate", "fail", "authority that this machine does not trust");
    report.tells("certificate", "fail", "expires in");
    let command = format!("flyte create config --endpoint {} --ca-cert-file FILE", server.url(""));
    report.tells("certificate", "fail", &command);
    // An API key has no file to name an authority in.
    let key = STANDARD.encode(format!("{}:ci:secret:None", server.endpoint()));
    let report = Report::of(machine.flyte(&[]).env("FLYTE_API_KEY", key));
    report.tells("certificate", "fail", "export SSL_CERT_FILE=FILE");
    // Its clock is known all the same: a wrong one may be why.
    report.tells("clock", "pass", "agrees");
    report.tells("discovery", "skip", "cannot be reached");
}

#[test]
fn each_flaw_of_a_certificate_is_told() {
    for (flaw, told) in [
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
        let _ = Told::by(&mut machine.flyte(&line)).ok();
        let report = Report::of(&mut machine.flyte(&[]));
        for told in told {
            report.tells("certificate", "fail", told);
        }
        // This machine's clock agrees with the server's: it is the certificate.
        report.tells("clock", "pass", "agrees");
    }
}

#[test]
fn nothing_there_is_told_step_by_step() {
    let machine = Machine::bare();
    let report = Report::of(&mut machine.flyte(&[]));
    report.tells("configuration", "fail", "flyte create config --endpoint HOST");
    let nowhere = format!("localhost:{}", free_port());
    let report = Report::of(&mut machine.flyte(&["--endpoint", &nowhere]));
    report.tells("address", "pass", "127.0.0.1");
    report.tells("connection", "fail", "refused");
    for check in ["certificate", "clock", "discovery"] {
        report.tells(check, "skip", "");
    }
    let report = Report::of(&mut machine.flyte(&["--endpoint", "no-such-host.invalid"]));
    report.tells("address", "fail", "cannot be resolved");
    // The rest of the machine is looked at offline too.
    report.tells("keyring", "warn", "encrypted file");
}

#[test]
fn a_configuration_with_mistakes_and_secrets_is_told_by_its_line() {
    let machine = Machine::bare();
    fs::create_dir(machine.home().join(".flyte")).unwrap();
    let write = |text: &str| fs::write(machine.config(), text).unwrap();
    write("admin:\n  endpoint: dns:///no-such-host.invalid\n  clientSecret: hunter2\n");
    let report = Report::of(&mut machine.flyte(&[]));
    report.tells("secrets", "fail", "config.yaml:3");
    report.tells("secrets", "fail", "admin.clientSecret looks like a secret");
    assert!(!report.0.to_string().contains("hunter2"));

    write("admin:\n  endpoint: dns:///no-such-host.invalid\n  authTyp: DeviceFlow\n");
    let report = Report::of(&mut machine.flyte(&[]));
    report.tells("configuration", "warn", "admin.authTyp is not a key");
    report.tells("configuration", "warn", "spelling");

    write("admin:\n  endpoint: [\n");
    let report = Report::of(&mut machine.flyte(&[]));
    report.tells("configuration", "fail", "config.yaml:");
    report.tells("keyring", "skip", "no control plane");

    let secret = machine.home().join("secret");
    fs::write(&secret, "hunter2").unwrap();
    write(&format!(
        "admin:\n  endpoint: dns:///no-such-host.invalid\n  clientSecretLocation: {}\n",
        secret.display()
    ));
    let report = Report::of(&mut machine.flyte(&[]));
    report.tells("secrets", "warn", "chmod 600");
}

#[test]
fn a_locked_keyring_is_told_and_not_waited_for() {
    let (server, machine) = (Server::start(), Machine::with_keyring());
    machine.sign_in(&server);
    machine.lock_keyring();
    let started = Instant::now();
    let report = Report::of(&mut machine.flyte(&[]));
    report.tells("keyring", "fail", "locked");
    report.tells("keyring", "fail", "Unlock it");
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
fn a_wrong_clock_is_told() {
    let past = "HTTP/1.1 404 Not Found\r\ndate: Thu, 01 Jan 2015 00:00:00 GMT\r\ncontent-length: 0\r\n\
                connection: close\r\n\r\n";
    let machine = Machine::bare();
    let report = Report::of(&mut machine.flyte(&["--insecure", "--endpoint", &answering(past)]));
    report.tells("clock", "fail", "ahead of the server's");
    report.tells("clock", "fail", "timedatectl");
    report.tells("certificate", "warn", "plain HTTP");
    report.tells("sign-in", "skip", "plain HTTP");
}

#[test]
fn a_web_page_is_no_control_plane() {
    let page =
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\nconnection: close\r\n\r\n<html>";
    let machine = Machine::bare();
    let report = Report::of(&mut machine.flyte(&["--insecure", "--endpoint", &answering(page)]));
    report.tells("discovery", "fail", "is not a Flyte control plane");
    report.tells("clock", "skip", "does not tell its time");
}

#[test]
fn a_key_for_another_control_plane_than_the_configured_one_is_told() {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    let (server, machine) = (Server::start(), Machine::bare());
    machine.configure(&server);
    for (endpoint, verdict, told) in [
        (format!("localhost:{}", free_port()), "warn", "two control planes"),
        (server.endpoint(), "pass", "FLYTE_API_KEY is ci"),
    ] {
        let key = BASE64_STANDARD.encode(format!("{endpoint}:ci:s3cret:None"));
        Report::of(machine.flyte(&[]).env("FLYTE_API_KEY", key)).tells("API key", verdict, told);
    }
}
