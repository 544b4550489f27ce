//! Problems of the configuration, the endpoint and the machine: each error says what to do next, and nothing is lost.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use flyte_e2e::{Certificate, CommandOutput, Flaw, Machine, Server, WebServer, binary, files};

const TOKEN: [&str; 3] = ["auth", "token", "--no-login"];

/// The three parts of a failure as the user reads them.
fn parts(output: &CommandOutput) -> (&str, &str, &str) {
    let line = |label: &str| {
        let found = output.err.lines().find_map(|line| line.trim_start().strip_prefix(label));
        found.unwrap_or_else(|| panic!("no {label} in {output:?}"))
    };
    (line("error: "), line("cause: "), line("next: "))
}

/// A server, a machine that is signed in there and whose access token has expired, so that the next command has to renew it,
/// and how many token requests that took: the sign-in itself renews a token whose second ends before it is used.
fn about_to_renew() -> (Server, Machine, usize) {
    let (server, machine) = (Server::with(&["--access-token-ttl", "1s"]), Machine::bare());
    machine.sign_in_by_forms(&server);
    machine.wait_until_expired();
    let before = issued(&server);
    (server, machine, before)
}

/// The number of successful token requests at the server.
fn issued(server: &Server) -> usize {
    server.logged(&["path=\"/oauth2/token\"", "status=200"])
}

#[test]
fn wrong_configuration_names_file_line_and_key() {
    let machine = Machine::bare();
    fs::create_dir(machine.home().join(".flyte")).unwrap();
    let path = machine.config();
    for (text, place, reason) in [
        ("admin:\n  endpoint: [a\n", ":2:13: ", "this is not valid YAML"),
        ("admin: 3\n", ":1:8: ", "admin has to be a mapping of keys to values"),
        (
            "# mine\nadmin:\n  endpoint: localhost\n  insecure: perhaps\n",
            ":4:13: ",
            "admin.insecure has to be true or false, not \"perhaps\"",
        ),
        ("admin:\n  endpoint: localhost\n  scopes: 3\n", ":3:11: ", "admin.scopes has to be a list"),
        ("admin:\n  endpoint: localhost\n  authType: Magic\n", ":3:13: ", "admin.authType cannot be used"),
        ("admin:\n  endpoint: localhost:http\n", ":2:13: ", "admin.endpoint cannot be used"),
    ] {
        fs::write(&path, text).unwrap();
        for command in [&["get", "project"][..], &["auth", "login"], &["whoami"]] {
            let output = CommandOutput::of(&mut machine.flyte(command)).failed(1);
            let (what, why, next) = parts(&output);
            assert_eq!(what, "cannot use the configuration");
            assert!(why.starts_with(&format!("{}{place}", path.display())), "{output:?}");
            assert!(why.contains(reason), "{output:?}");
            assert_eq!(next, format!("Correct that line of {}.", path.display()));
        }
        // An unreadable file is not overwritten either.
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn web_console_is_recognized() {
    let certificate = Certificate::new(Flaw::None);
    let console = WebServer::start(&certificate, 200);
    let machine = Machine::bare();
    let output = CommandOutput::of(
        machine
            .flyte(&["--endpoint", &console.endpoint(), "auth", "login"])
            .env("FLYTE_ADMIN_CACERTFILEPATH", certificate.ca()),
    )
    .failed(1);
    let (what, why, next) = parts(&output);
    assert_eq!(what, format!("cannot sign in to https://{}", console.endpoint()));
    assert!(why.contains("is not a Flyte control plane: it answered with a web page"), "{output:?}");
    assert!(next.contains("not the web console's") && next.contains("flyte create config"), "{output:?}");
}

#[test]
fn invalid_certificate_is_explained_and_keeps_the_session() {
    let (mut server, machine, _) = about_to_renew();
    server.signal("KILL");
    server.wait();
    let trust = format!("`flyte create config --endpoint {} --ca-cert-file FILE`", server.url(""));
    for (flaw, reason, advice) in [
        (Flaw::Expired, "has expired", "Check this machine's clock (`date`)"),
        (Flaw::NotYetValid, "is not valid yet", "Check this machine's clock (`date`)"),
        (Flaw::SelfSigned, "is self-signed", trust.as_str()),
        (Flaw::Authority, "is marked as an authority (CA:TRUE)", "a certificate of a server (CA:FALSE)"),
        (Flaw::AnotherName, "is for another host name", "Use the name that the certificate is for"),
    ] {
        let certificate = Certificate::new(flaw);
        let impostor = WebServer::at(server.port(), &certificate.pem(), 200);
        let output =
            CommandOutput::of(machine.flyte(&TOKEN).env("FLYTE_ADMIN_CACERTFILEPATH", certificate.ca()));
        let output = output.failed(1);
        let (what, why, next) = parts(&output);
        assert_eq!(what, "cannot get a token");
        assert!(why.contains(&server.endpoint()) && why.contains(reason), "{flaw:?}: {output:?}");
        assert!(next.contains(advice), "{flaw:?}: {output:?}");
        // Nothing was sent to it, not even a token.
        assert!(!impostor.log().contains("HTTP/1.1"), "{flaw:?}: {}", impostor.log());
    }
    server.start_again();
    let _ = CommandOutput::of(&mut machine.flyte(&TOKEN)).ok();
}

#[test]
fn invalid_ca_file_is_an_error() {
    let (server, machine, before) = about_to_renew();
    let rubbish = machine.home().join("rubbish.pem");
    fs::write(&rubbish, "no certificate").unwrap();
    for file in [&rubbish, Path::new("/nowhere/ca.pem")] {
        let output =
            CommandOutput::of(machine.flyte(&TOKEN).env("FLYTE_ADMIN_CACERTFILEPATH", file)).failed(1);
        let (_, why, next) = parts(&output);
        assert!(why.contains(&format!("cannot use the CA file {}", file.display())), "{output:?}");
        assert!(next.contains("--ca-cert-file FILE"), "{output:?}");
    }
    let _ = CommandOutput::of(&mut machine.flyte(&TOKEN)).ok();
    assert_eq!(issued(&server), before + 1);
}

/// `flyte` on a machine whose clock is wrong by this amount, for example `+2h`.
fn at_another_time(machine: &Machine, offset: &str, arguments: &[&str]) -> Command {
    let mut command = machine.command("faketime");
    command.args(["--exclude-monotonic", "-f", offset]).arg(binary("flyte")).args(arguments);
    command
}

#[test]
fn wrong_clock_keeps_the_login() {
    let (server, machine) = (Server::start(), Machine::bare());
    machine.sign_in_by_forms(&server);
    // A clock that is fast: the token looks expired and is renewed, once.
    for _ in 0..3 {
        let _ = CommandOutput::of(&mut at_another_time(&machine, "+2h", &["get", "project"])).ok();
    }
    assert_eq!(issued(&server), 2);
    // Slow by years: the server's certificate lies in the future, and that says why.
    let output = CommandOutput::of(&mut at_another_time(&machine, "-3650d", &["get", "project"])).failed(1);
    let (_, why, next) = parts(&output);
    assert!(why.contains("is not valid yet; one of the two clocks is wrong"), "{output:?}");
    assert!(next.contains("Check this machine's clock"), "{output:?}");
    // With the right time, the login still exists.
    let _ = CommandOutput::of(&mut machine.flyte(&["get", "project"])).ok();
}

#[test]
fn full_disk_keeps_the_refresh_token() {
    let (server, machine, before) = about_to_renew();
    let kept = files(&machine.home().join(".local/share"));
    // Every write fails as on a full disk.
    let mut command = machine.command("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\""]).arg(binary("flyte")).args(TOKEN);
    let output = CommandOutput::of(&mut command).failed(4);
    let (what, why, next) = parts(&output);
    assert_eq!(what, "cannot get a token");
    assert!(why.contains("there is no room left to keep the tokens"), "{output:?}");
    assert!(next.contains("Make room on that disk") && next.contains("Your login was kept."), "{output:?}");
    assert_eq!(issued(&server), before, "nothing was asked for that could not be kept");
    assert_eq!(files(&machine.home().join(".local/share")), kept);
    let _ = CommandOutput::of(&mut machine.flyte(&TOKEN)).ok();
}

/// The encrypted file of a machine that has signed in once.
fn token_file(machine: &Machine) -> PathBuf {
    let mut found = files(&machine.home().join(".local/share/flyte")).into_iter();
    found.find(|(path, _)| path.extension().is_some_and(|end| end == "tokens")).unwrap().0
}

#[test]
fn damaged_token_file_is_renamed_with_a_warning() {
    let (server, machine) = (Server::start(), Machine::bare());
    machine.sign_in_by_forms(&server);
    let path = token_file(&machine);
    let good = fs::read(&path).unwrap();
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    fs::write(&path, &bad).unwrap();
    let output = CommandOutput::of(&mut machine.flyte(&["get", "project"])).failed(4);
    assert!(
        output.err.contains("the stored login is damaged or its key is gone; it was set aside"),
        "{output:?}"
    );
    assert!(parts(&output).2.contains("flyte auth login"), "{output:?}");
    // The file is not lost, so it can be repaired.
    let aside: Vec<_> = files(path.parent().unwrap());
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert!(aside[0].0.to_string_lossy().contains(".corrupt-") && aside[0].1 == bad);
    fs::write(&path, &good).unwrap();
    let _ = CommandOutput::of(&mut machine.flyte(&["get", "project"])).ok();
    // Or the user signs in again.
    fs::write(&path, b"").unwrap();
    machine.sign_in_by_forms(&server);
    let _ = CommandOutput::of(&mut machine.flyte(&["get", "project"])).ok();
}

#[test]
fn wrong_server_settings_name_file_and_line() {
    let machine = Machine::bare();
    let file = machine.home().join("server.toml");
    fs::write(&file, "[tokens]\naccess-token-ttl = \"soon\"\nacces-token-ttl = \"1h\"\n").unwrap();
    let mut command = machine.command(binary("flyte-server"));
    let output = CommandOutput::of(command.arg("--config").arg(&file)).failed(2);
    assert!(
        output.err.contains(&format!("{}:2: \"tokens.access-token-ttl\" is \"soon\"", file.display())),
        "{output:?}"
    );
    assert!(
        output.err.contains(&format!("{}:3: there is no setting \"tokens.acces-token-ttl\"", file.display())),
        "{output:?}"
    );
    // The server had not started anything.
    assert_eq!(files(&machine.home().join(".local")), Vec::new());
}
