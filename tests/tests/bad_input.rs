//! What is wrong with the configuration, the endpoint, the machine: each is told with what to do next, and loses nothing.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use flyte_e2e::{Certificate, Flaw, Machine, Server, Told, WebServer, binary, files};

const TOKEN: [&str; 3] = ["auth", "token", "--no-login"];

/// The three parts of a failure as the person reads them.
fn parts(told: &Told) -> (&str, &str, &str) {
    let line = |label: &str| {
        let found = told.err.lines().find_map(|line| line.trim_start().strip_prefix(label));
        found.unwrap_or_else(|| panic!("no {label} in {told:?}"))
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

/// How many token requests the server has answered well.
fn issued(server: &Server) -> usize {
    server.logged(&["path=\"/oauth2/token\"", "status=200"])
}

#[test]
fn a_mistake_in_the_configuration_is_told_by_file_line_and_key() {
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
            let told = Told::by(&mut machine.flyte(command)).failed(1);
            let (what, why, next) = parts(&told);
            assert_eq!(what, "cannot use the configuration");
            assert!(why.starts_with(&format!("{}{place}", path.display())), "{told:?}");
            assert!(why.contains(reason), "{told:?}");
            assert_eq!(next, format!("Correct that line of {}.", path.display()));
        }
        // What cannot be understood is not overwritten either.
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn a_web_console_is_told_from_a_control_plane() {
    let certificate = Certificate::new(Flaw::None);
    let console = WebServer::start(&certificate, 200);
    let machine = Machine::bare();
    let told = Told::by(
        machine
            .flyte(&["--endpoint", &console.endpoint(), "auth", "login"])
            .env("FLYTE_ADMIN_CACERTFILEPATH", certificate.ca()),
    )
    .failed(1);
    let (what, why, next) = parts(&told);
    assert_eq!(what, format!("cannot sign in to https://{}", console.endpoint()));
    assert!(why.contains("is not a Flyte control plane: it answered with a web page"), "{told:?}");
    assert!(next.contains("not the web console's") && next.contains("flyte create config"), "{told:?}");
}

#[test]
fn a_bad_certificate_is_told_and_ends_no_session() {
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
        let told = Told::by(machine.flyte(&TOKEN).env("FLYTE_ADMIN_CACERTFILEPATH", certificate.ca()));
        let told = told.failed(1);
        let (what, why, next) = parts(&told);
        assert_eq!(what, "cannot get a token");
        assert!(why.contains(&server.endpoint()) && why.contains(reason), "{flaw:?}: {told:?}");
        assert!(next.contains(advice), "{flaw:?}: {told:?}");
        // Nothing was said to it: neither a token nor anything else.
        assert!(!impostor.log().contains("HTTP/1.1"), "{flaw:?}: {}", impostor.log());
    }
    server.start_again();
    let _ = Told::by(&mut machine.flyte(&TOKEN)).ok();
}

#[test]
fn a_ca_file_that_is_none_is_told() {
    let (server, machine, before) = about_to_renew();
    let rubbish = machine.home().join("rubbish.pem");
    fs::write(&rubbish, "no certificate").unwrap();
    for file in [&rubbish, Path::new("/nowhere/ca.pem")] {
        let told = Told::by(machine.flyte(&TOKEN).env("FLYTE_ADMIN_CACERTFILEPATH", file)).failed(1);
        let (_, why, next) = parts(&told);
        assert!(why.contains(&format!("cannot use the CA file {}", file.display())), "{told:?}");
        assert!(next.contains("--ca-cert-file FILE"), "{told:?}");
    }
    let _ = Told::by(&mut machine.flyte(&TOKEN)).ok();
    assert_eq!(issued(&server), before + 1);
}

/// `flyte` on a machine whose clock is wrong by this much, such as `+2h`.
fn at_another_time(machine: &Machine, offset: &str, arguments: &[&str]) -> Command {
    let mut command = machine.command("faketime");
    command.args(["--exclude-monotonic", "-f", offset]).arg(binary("flyte")).args(arguments);
    command
}

#[test]
fn a_wrong_clock_costs_no_login() {
    let (server, machine) = (Server::start(), Machine::bare());
    machine.sign_in_by_forms(&server);
    // A clock that is fast: the token looks expired and is renewed, once.
    for _ in 0..3 {
        let _ = Told::by(&mut at_another_time(&machine, "+2h", &["get", "project"])).ok();
    }
    assert_eq!(issued(&server), 2);
    // Slow by years: the server's certificate lies in the future, and that says why.
    let told = Told::by(&mut at_another_time(&machine, "-3650d", &["get", "project"])).failed(1);
    let (_, why, next) = parts(&told);
    assert!(why.contains("is not valid yet; one of the two clocks is wrong"), "{told:?}");
    assert!(next.contains("Check this machine's clock"), "{told:?}");
    // Set right again, the login is there.
    let _ = Told::by(&mut machine.flyte(&["get", "project"])).ok();
}

#[test]
fn a_full_disk_spends_no_refresh_token() {
    let (server, machine, before) = about_to_renew();
    let kept = files(&machine.home().join(".local/share"));
    // Every write fails as on a full disk.
    let mut command = machine.command("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\""]).arg(binary("flyte")).args(TOKEN);
    let told = Told::by(&mut command).failed(4);
    let (what, why, next) = parts(&told);
    assert_eq!(what, "cannot get a token");
    assert!(why.contains("there is no room left to keep the tokens"), "{told:?}");
    assert!(next.contains("Make room on that disk") && next.contains("Your login was kept."), "{told:?}");
    assert_eq!(issued(&server), before, "nothing was asked for that could not be kept");
    assert_eq!(files(&machine.home().join(".local/share")), kept);
    let _ = Told::by(&mut machine.flyte(&TOKEN)).ok();
}

/// The encrypted file of a machine that has signed in once.
fn token_file(machine: &Machine) -> PathBuf {
    let mut found = files(&machine.home().join(".local/share/flyte")).into_iter();
    found.find(|(path, _)| path.extension().is_some_and(|end| end == "tokens")).unwrap().0
}

#[test]
fn a_damaged_token_file_is_set_aside_and_said() {
    let (server, machine) = (Server::start(), Machine::bare());
    machine.sign_in_by_forms(&server);
    let path = token_file(&machine);
    let good = fs::read(&path).unwrap();
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    fs::write(&path, &bad).unwrap();
    let told = Told::by(&mut machine.flyte(&["get", "project"])).failed(4);
    assert!(
        told.err.contains("the stored login is damaged or its key is gone; it was set aside"),
        "{told:?}"
    );
    assert!(parts(&told).2.contains("flyte auth login"), "{told:?}");
    // It is not lost: what was damaged may be mended.
    let aside: Vec<_> = files(path.parent().unwrap());
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert!(aside[0].0.to_string_lossy().contains(".corrupt-") && aside[0].1 == bad);
    fs::write(&path, &good).unwrap();
    let _ = Told::by(&mut machine.flyte(&["get", "project"])).ok();
    // Or one signs in again.
    fs::write(&path, b"").unwrap();
    machine.sign_in_by_forms(&server);
    let _ = Told::by(&mut machine.flyte(&["get", "project"])).ok();
}

#[test]
fn what_is_wrong_with_the_server_settings_is_told_by_file_and_line() {
    let machine = Machine::bare();
    let file = machine.home().join("server.toml");
    fs::write(&file, "[tokens]\naccess-token-ttl = \"soon\"\nacces-token-ttl = \"1h\"\n").unwrap();
    let mut command = machine.command(binary("flyte-server"));
    let told = Told::by(command.arg("--config").arg(&file)).failed(2);
    assert!(
        told.err.contains(&format!("{}:2: \"tokens.access-token-ttl\" is \"soon\"", file.display())),
        "{told:?}"
    );
    assert!(
        told.err.contains(&format!("{}:3: there is no setting \"tokens.acces-token-ttl\"", file.display())),
        "{told:?}"
    );
    // It had begun nothing.
    assert_eq!(files(&machine.home().join(".local")), Vec::new());
}
