//! API keys with our own command: created, used without other configuration, rotated, inspected and deleted.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

use flyte_e2e::{CommandOutput, Machine, Person, Server, eventually, sign_in_elsewhere};
use serde_json::Value;

/// An administrator's machine.
fn administrator(server: &Server) -> Machine {
    let machine = Machine::bare();
    machine.sign_in_by_forms(server);
    machine
}

/// A machine with only a key, which trusts the server's certificate.
fn job(server: &Server, machine: &Machine, key: &str, arguments: &[&str]) -> Command {
    let mut command = machine.flyte(arguments);
    command.env("FLYTE_API_KEY", key).env("FLYTE_ADMIN_CACERTFILEPATH", server.ca());
    command
}

#[test]
fn key_works_alone_until_it_is_deleted() {
    let (server, elsewhere) = (Server::start(), Machine::bare());
    let machine = administrator(&server);
    let none = CommandOutput::of(&mut machine.flyte(&["get", "api-key"])).ok();
    assert!(none.out.is_empty() && none.err.contains("You have no API keys yet"), "{none:?}");

    let made =
        CommandOutput::of(&mut machine.flyte(&["create", "api-key", "My CI", "--expires", "90d"])).ok();
    // Only the key is on standard output, so that it can be piped.
    let key = made.out.strip_suffix('\n').unwrap();
    assert!(!key.contains(char::is_whitespace) && !made.err.contains(key), "{made:?}");
    assert!(made.err.contains("API key My CI created; it works until"), "{made:?}");

    let used = CommandOutput::of(&mut job(&server, &elsewhere, key, &["get", "project"])).ok();
    assert!(used.out.contains("flytesnacks"), "{used:?}");
    let who = CommandOutput::of(&mut job(&server, &elsewhere, key, &["whoami"])).ok();
    assert!(who.out.contains("my-ci"), "{who:?}");

    let shown = CommandOutput::of(&mut machine.flyte(&["get", "api-key", "my-ci", "-o", "json"])).ok();
    let shown: Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!((&shown["name"], &shown["client_id"]), (&"My CI".into(), &"my-ci".into()));
    let lifetime = shown["expires_at"].as_i64().unwrap() - shown["created_at"].as_i64().unwrap();
    assert_eq!(lifetime, 90 * 86_400);

    let inspected =
        CommandOutput::of(&mut job(&server, &elsewhere, key, &["auth", "inspect-key", "-o", "json"])).ok();
    let inspected: Value = serde_json::from_str(&inspected.out).unwrap();
    assert_eq!(inspected["endpoint"], server.url(""));
    assert_eq!(inspected["client_id"], "my-ci");

    let status = CommandOutput::of(&mut job(&server, &elsewhere, key, &["auth", "status", "--json"])).ok();
    let status: Value = serde_json::from_str(&status.out).unwrap();
    assert_eq!(status["credentials"], "FLYTE_API_KEY in the environment");

    // There is no terminal, so nothing is deleted without --yes.
    let _ = CommandOutput::of(&mut machine.flyte(&["delete", "api-key", "my-ci"])).failed(2);
    let _ = CommandOutput::of(&mut job(&server, &elsewhere, key, &["get", "project"])).ok();
    let _ = CommandOutput::of(&mut machine.flyte(&["delete", "api-key", "my-ci", "--yes"])).ok();
    let refused = CommandOutput::of(&mut job(&server, &elsewhere, key, &["get", "project"])).failed(4);
    assert!(refused.err.contains("next: "), "{refused:?}");
    let gone = CommandOutput::of(&mut machine.flyte(&["get", "api-key", "my-ci"])).failed(1);
    assert!(gone.err.contains("flyte get api-key"), "{gone:?}");
    // The machine stored neither the key nor its tokens.
    for (path, content) in flyte_e2e::files(elsewhere.home()) {
        let content = String::from_utf8_lossy(&content);
        assert!(!content.contains(key) && !content.contains("flyte_key_"), "{}", path.display());
    }
}

#[test]
fn both_secrets_work_during_the_overlap() {
    let (server, elsewhere) = (Server::start(), Machine::bare());
    let machine = administrator(&server);
    let first =
        CommandOutput::of(&mut machine.flyte(&["create", "api-key", "ci"])).ok().out.trim().to_owned();
    let rotated =
        CommandOutput::of(&mut machine.flyte(&["rotate", "api-key", "ci", "--overlap", "24h"])).ok();
    assert!(rotated.err.contains("The old secret works until"), "{rotated:?}");
    let second = rotated.out.trim().to_owned();
    assert_ne!(first, second);
    for key in [&first, &second] {
        let _ = CommandOutput::of(&mut job(&server, &elsewhere, key, &["get", "project"])).ok();
    }
    // Without an overlap, the old secret ends at once.
    let third = CommandOutput::of(&mut machine.flyte(&["rotate", "api-key", "ci", "--overlap", "0"])).ok();
    let _ = CommandOutput::of(&mut job(&server, &elsewhere, third.out.trim(), &["get", "project"])).ok();
    for key in [&first, &second] {
        let _ = CommandOutput::of(&mut job(&server, &elsewhere, key, &["get", "project"])).failed(4);
    }
}

#[test]
fn key_is_written_to_a_file_or_command_or_deleted() {
    let (server, elsewhere) = (Server::start(), Machine::bare());
    let machine = administrator(&server);
    let file = machine.home().join("ci.key");
    let to_file = ["create", "api-key", "filed", "--role", "viewer", "--output", file.to_str().unwrap()];
    let made = CommandOutput::of(&mut machine.flyte(&to_file)).ok();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let key = fs::read_to_string(&file).unwrap();
    assert!(!made.out.contains(key.trim()) && !made.err.contains(key.trim()), "{made:?}");
    let _ = CommandOutput::of(&mut job(&server, &elsewhere, key.trim(), &["get", "project"])).ok();
    // A viewer reads only.
    let _ =
        CommandOutput::of(&mut job(&server, &elsewhere, key.trim(), &["create", "project", "new"])).failed(1);

    let piped = machine.home().join("piped");
    let copy = format!("cat > {}", piped.display());
    let to_command = ["create", "api-key", "piped", "--pipe-to", "sh", "-c", &copy];
    let _ = CommandOutput::of(&mut machine.flyte(&to_command)).ok();
    let key = fs::read_to_string(&piped).unwrap();
    let _ = CommandOutput::of(&mut job(&server, &elsewhere, &key, &["get", "project"])).ok();

    // A key that could not be delivered is deleted again.
    let names = || {
        let listed = CommandOutput::of(&mut machine.flyte(&["get", "api-key", "-o", "json"])).ok().out;
        let listed: Value = serde_json::from_str(&listed).unwrap();
        let keys = listed.as_array().unwrap();
        let mut names: Vec<_> = keys.iter().map(|key| key["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    let to_failure = ["create", "api-key", "lost", "--pipe-to", "sh", "-c", "cat > /dev/null; exit 1"];
    let lost = CommandOutput::of(&mut machine.flyte(&to_failure)).failed(1);
    assert!(lost.err.contains("The key was deleted again"), "{lost:?}");
    let full = CommandOutput::from(
        machine
            .flyte(&["create", "api-key", "full"])
            .stdout(fs::File::options().write(true).open("/dev/full").unwrap())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
            .wait_with_output()
            .unwrap(),
    )
    .failed(1);
    assert!(full.err.contains("The key was deleted again"), "{full:?}");
    assert_eq!(names(), ["filed", "piped"]);
}

/// Moves every sign-in at a server back in time.
fn age_sign_ins(server: &Server, seconds: u32) {
    let script = "import sqlite3, sys\n\
        with sqlite3.connect(sys.argv[1], timeout=30) as database:\n\
        \x20   for table in ['families', 'sessions']:\n\
        \x20       database.execute(f'UPDATE {table} SET authenticated_at = authenticated_at - ?', [sys.argv[2]])";
    let mut command = Command::new("python3");
    command.args(["-c", script]).arg(server.data().join("flyte.db")).arg(seconds.to_string());
    let _ = CommandOutput::of(&mut command).ok();
}

#[test]
fn long_lived_keys_need_a_recent_sign_in() {
    // Renewing tokens is not a sign-in.
    let server = Server::with(&["--access-token-ttl", "2s"]);
    let machine = administrator(&server);
    let create = |arguments: &[&str]| {
        let mut command = machine.flyte(&["create", "api-key"]);
        CommandOutput::of(command.args(arguments))
    };
    let made = create(&["at-once", "--expires", "never"]).ok();
    assert!(made.err.contains("it works until it is deleted"), "{made:?}");
    age_sign_ins(&server, 1000);
    machine.wait_until_expired();
    for arguments in [["lasting", "--expires", "never"], ["boss", "--role", "admin"]] {
        let refused = create(&arguments).failed(4);
        assert!(refused.out.is_empty(), "{refused:?}");
        assert!(refused.err.contains("asks for a sign-in of the last 15 minutes"), "{refused:?}");
        assert!(refused.err.contains("flyte auth login --max-age 15m"), "{refused:?}");
    }
    let made = create(&["usual"]).ok();
    assert!(made.err.contains("(in 90 days)") || made.err.contains("(in 89 days)"), "{made:?}");
    assert!(made.err.contains("The default is 90 days"), "{made:?}");
    // Follow its hint.
    let seen = machine.home().join("authorization-url");
    let login = machine
        .flyte_with(&Person::Looks(seen.clone()), &["auth", "login", "--max-age", "15m"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let url = eventually("the browser is opened", || fs::read_to_string(&seen).ok());
    assert!(url.contains("max_age=900"), "{url}");
    let callback = sign_in_elsewhere(&server, &url);
    let browser = reqwest::blocking::Client::builder().no_proxy().build().unwrap();
    assert!(browser.get(callback).send().unwrap().status().is_success());
    let _ = CommandOutput::from(login.wait_with_output().unwrap()).ok();
    let _ = create(&["lasting", "--expires", "never"]).ok();
    let _ = create(&["boss", "--role", "admin"]).ok();
}

#[test]
fn commands_warn_about_a_key_in_its_last_week() {
    let (server, elsewhere) = (Server::start(), Machine::bare());
    let machine = administrator(&server);
    let key = CommandOutput::of(&mut machine.flyte(&["create", "api-key", "ci", "--expires", "3d"])).ok().out;
    let used = CommandOutput::of(&mut job(&server, &elsewhere, key.trim(), &["get", "project"])).ok();
    assert_eq!(used.err.matches("The API key ci stops working").count(), 1, "{used:?}");
    assert!(used.err.contains("flyte rotate api-key ci --expires 90d"), "{used:?}");
    let listed = CommandOutput::of(&mut machine.flyte(&["get", "api-key"])).ok();
    assert!(listed.err.contains("The API key ci stops working in "), "{listed:?}");
    let rotated =
        CommandOutput::of(&mut machine.flyte(&["rotate", "api-key", "ci", "--expires", "90d"])).ok();
    let used = CommandOutput::of(&mut job(&server, &elsewhere, rotated.out.trim(), &["get", "project"])).ok();
    assert!(!used.err.contains("stops working"), "{used:?}");
    assert!(!CommandOutput::of(&mut machine.flyte(&["get", "api-key"])).ok().err.contains("stops working"));
}

#[test]
fn audit_log_has_the_events_of_keys() {
    let server = Server::start();
    let machine = administrator(&server);
    let _ = CommandOutput::of(&mut machine.flyte(&["create", "api-key", "ci"])).ok();
    let _ = CommandOutput::of(&mut machine.flyte(&["delete", "api-key", "ci", "--yes"])).ok();
    let log = CommandOutput::of(&mut machine.flyte(&["get", "audit", "--since", "1h", "-o", "json"])).ok();
    let log: Value = serde_json::from_str(&log.out).unwrap();
    let events: Vec<_> =
        log.as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap()).collect();
    let position = |name: &str| {
        events.iter().position(|event| *event == name).unwrap_or_else(|| panic!("{name}: {events:?}"))
    };
    // The newest first.
    assert!(position("api_key_deleted") < position("api_key_created"), "{events:?}");
    let only = CommandOutput::of(&mut machine.flyte(&[
        "get",
        "audit",
        "--event",
        "api_key_created",
        "--limit",
        "5",
    ]))
    .ok();
    assert_eq!(only.out.lines().count(), 2, "{only:?}");
}

#[test]
fn delivered_key_is_not_deleted() {
    let (server, elsewhere) = (Server::start(), Machine::bare());
    let machine = administrator(&server);
    let file = machine.home().join("ci.key");
    let arguments =
        ["create", "api-key", "ci", "--output", file.to_str().unwrap(), "--output-format", "json"];
    // The report cannot be written, but the key was delivered.
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let child = machine.flyte(&arguments).stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    let output = CommandOutput::from(child.wait_with_output().unwrap()).ok();
    assert!(output.err.contains("The key was delivered"), "{output:?}");
    let key = fs::read_to_string(file).unwrap();
    let _ = CommandOutput::of(&mut job(&server, &elsewhere, key.trim(), &["get", "project"])).ok();
}

#[test]
fn cancelled_sign_in_leaves_no_key() {
    let (server, machine) = (Server::start(), Machine::bare());
    machine.configure(&server);
    let keys = machine.home().join("keys");
    fs::create_dir(&keys).unwrap();
    let file = keys.join("ci.key");
    let shown = machine.home().join("shown");
    let mut create = machine
        .flyte(&["--headless", "create", "api-key", "ci", "--output", file.to_str().unwrap()])
        .stderr(fs::File::create(&shown).unwrap())
        .spawn()
        .unwrap();
    flyte_e2e::eventually("the code is shown", || {
        fs::read_to_string(&shown).unwrap().contains("Check that the page shows this code").then_some(())
    });
    create.kill().unwrap();
    create.wait().unwrap();
    assert_eq!(flyte_e2e::files(&keys), []);
}

#[test]
fn signing_key_needs_no_secret() {
    let (server, elsewhere) = (Server::start(), Machine::bare());
    let machine = administrator(&server);
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let (private, public) = (elsewhere.home().join("private.pem"), machine.home().join("public.pem"));
    fs::write(&private, pair.serialize_pem()).unwrap();
    fs::write(&public, pair.public_key_pem()).unwrap();
    let create = |name: &str, file: &std::path::Path| {
        CommandOutput::of(&mut machine.flyte(&[
            "create",
            "api-key",
            name,
            "--public-key",
            file.to_str().unwrap(),
        ]))
    };
    let refused = create("batch", &private).failed(2);
    assert!(
        refused.err.contains("it contains a private key") && refused.err.contains("-pubout"),
        "{refused:?}"
    );
    let made = create("batch", &public).ok();
    assert_eq!(made.out, "batch\n");
    assert!(made.err.contains("--client-id batch --client-private-key-file"), "{made:?}");
    // Follow the hint on the machine with the private key.
    let configure = ["create", "config", "--endpoint", &server.url(""), "--client-id", "batch"];
    let ca = server.ca();
    let further =
        ["--client-private-key-file", private.to_str().unwrap(), "--ca-cert-file", ca.to_str().unwrap()];
    let _ = CommandOutput::of(&mut elsewhere.flyte(&[&configure[..], &further].concat())).ok();
    let who = CommandOutput::of(&mut elsewhere.flyte(&["whoami"])).ok();
    assert!(who.out.contains("batch"), "{who:?}");
}
