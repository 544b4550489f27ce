//! Sign-ins with a real browser, from an empty machine to an authenticated command.

use std::fs;

use flyte_e2e::{CommandOutput, Machine, Person, Server, eventually, repository};

#[test]
fn sign_in_on_an_empty_machine() {
    let (server, machine) = (Server::start(), Machine::bare());
    machine.configure(&server);
    let written = fs::read_to_string(machine.config()).unwrap();
    let expected = format!(
        "admin:\n  caCertFilePath: {}\n  endpoint: dns:///{}\nimage:\n  builder: local\ntask:\n  domain: development\n  \
         project: flytesnacks\n",
        server.ca().display(),
        server.endpoint()
    );
    assert_eq!(written, expected);

    // In a terminal, any command signs in by itself.
    let person = Person::SignsIn(server.password_file());
    let first = CommandOutput::of(&mut in_a_terminal(&machine, &person, "get project")).ok();
    assert!(first.out.contains("flytesnacks"), "{first:?}");
    // From now on, no browser and no terminal is needed.
    let second = CommandOutput::of(&mut machine.flyte(&["-o", "json", "get", "project"])).ok();
    let projects: serde_json::Value = serde_json::from_str(&second.out).unwrap();
    assert_eq!(projects[0]["id"], "flytesnacks");
    assert_eq!(second.err, "");
    let who = CommandOutput::of(&mut machine.flyte(&["whoami"])).ok();
    assert!(who.out.contains("admin@localhost"), "{who:?}");

    // Signing out ends it, here and at the server.
    let token = CommandOutput::of(&mut machine.flyte(&["auth", "token"])).ok().out;
    let userinfo = || {
        let answer = server.http().get(server.url("/oauth2/userinfo")).bearer_auth(token.trim()).send();
        answer.unwrap().status().as_u16()
    };
    assert_eq!(userinfo(), 200);
    let out = CommandOutput::of(&mut machine.flyte(&["auth", "logout"])).ok();
    assert!(out.out.starts_with("Signed out of"), "{out:?}");
    assert_eq!(userinfo(), 401);
    let _ = CommandOutput::of(&mut machine.flyte(&["get", "project"])).failed(4);
}

/// `flyte` with a terminal, by `script` of util-linux: its output is one stream then.
fn in_a_terminal(machine: &Machine, person: &Person, arguments: &str) -> std::process::Command {
    let flyte = machine.flyte_with(person, &[]);
    let mut command = machine.command("script");
    let line = format!("{} {arguments}", flyte_e2e::binary("flyte").display());
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    for (name, value) in flyte.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command
}

#[test]
fn wrong_password_can_be_corrected() {
    let (server, machine) = (Server::start(), Machine::bare());
    machine.configure(&server);
    let person = Person::MistypesFirst(server.password_file());
    let output = CommandOutput::of(&mut machine.flyte_with(&person, &["auth", "login"])).ok();
    assert!(output.out.contains("as admin@localhost"), "{output:?}");
    assert_eq!(server.logged(&["event=\"sign_in_failed\""]), 1, "{}", server.log());
}

#[test]
fn printed_link_works_without_a_browser() {
    let (server, machine) = (Server::start(), Machine::bare());
    machine.configure(&server);
    let output = fs::File::create(machine.home().join("err")).unwrap();
    // Chosen explicitly; without a choice, this machine signs in on another device (below).
    let arguments = ["auth", "login", "--auth-type", "pkce"];
    let mut login = machine.flyte_with(&Person::Absent, &arguments).stderr(output).spawn().unwrap();
    let link = eventually("the link is printed", || {
        let text = fs::read_to_string(machine.home().join("err")).unwrap();
        let link = text.lines().find(|line| line.starts_with("https://"))?.to_owned();
        text.contains("Open this link").then_some(link)
    });
    // The user opens the link in another browser.
    let by_hand = CommandOutput::of(
        machine.command(repository().join("tests/peers/sign-in.py")).arg(server.password_file()).arg(&link),
    )
    .ok();
    assert!(by_hand.err.contains("You are signed in"), "{by_hand:?}");
    assert!(login.wait().unwrap().success());
    let _ = CommandOutput::of(&mut machine.flyte(&["get", "project"])).ok();
}

#[test]
fn another_device_is_the_default_without_a_browser() {
    let (server, machine) = (Server::start(), Machine::bare());
    machine.configure(&server);
    let output = fs::File::create(machine.home().join("err")).unwrap();
    let mut login = machine.flyte_with(&Person::Absent, &["auth", "login"]).stderr(output).spawn().unwrap();
    let link = eventually("the link is printed", || {
        let text = fs::read_to_string(machine.home().join("err")).unwrap();
        let line = text.lines().find(|line| line.contains("/device?user_code="))?.to_owned();
        assert!(text.contains("No browser found here"), "{text}");
        Some(line)
    });
    let elsewhere = repository().join("tests/peers/sign-in.py");
    let output = CommandOutput::of(machine.command(elsewhere).arg(server.password_file()).arg(&link)).ok();
    assert!(output.err.contains("Device connected"), "{output:?}");
    assert!(login.wait().unwrap().success());
    let _ = CommandOutput::of(&mut machine.flyte(&["get", "project"])).ok();
}

#[test]
fn callback_ignores_strangers_and_reports_a_denial() {
    let (server, machine) = (Server::start(), Machine::bare());
    machine.configure(&server);
    let seen = machine.home().join("url");
    let login = machine
        .flyte_with(&Person::Looks(seen.clone()), &["auth", "login"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let url = eventually("the browser is opened", || fs::read_to_string(&seen).ok());
    let url = reqwest::Url::parse(&url).unwrap();
    let query = |name: &str| url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
    let (callback, state) = (query("redirect_uri"), query("state"));
    let http = reqwest::blocking::Client::builder().no_proxy().build().unwrap();
    let status = |url: String| http.get(url).send().unwrap().status().as_u16();
    assert_eq!(status(callback.replace("/callback", "/favicon.ico")), 404);
    assert_eq!(status(format!("{callback}?code=x&state=guess")), 400);
    assert_eq!(status(format!("{callback}?error=access_denied&state=guess")), 400);
    let issuer = server.url("");
    let denial =
        format!("{callback}?error=access_denied&error_description=No%2C+thanks&state={state}&iss={issuer}");
    let page = http.get(denial).send().unwrap().text().unwrap();
    assert!(page.contains("Sign-in was denied") && page.contains("No, thanks"), "{page}");
    let output = CommandOutput::from(login.wait_with_output().unwrap()).failed(4);
    assert!(
        output.err.contains("denied: No, thanks") && output.err.contains("flyte auth login"),
        "{output:?}"
    );
}

#[test]
fn another_port_is_used_if_the_usual_one_is_in_use() {
    let (server, machine) = (Server::start(), Machine::bare());
    // The port that the server names.
    let _taken = std::net::TcpListener::bind(("127.0.0.1", server.callback_port())).unwrap();
    machine.sign_in(&server);
    let _ = CommandOutput::of(&mut machine.flyte(&["get", "project"])).ok();
}

#[test]
fn callback_can_be_pasted() {
    let (server, machine) = (Server::start(), Machine::bare());
    machine.configure(&server);
    let seen = machine.home().join("url");
    let flyte = machine.flyte_with(&Person::Looks(seen.clone()), &[]);
    let line = format!("{} auth login", flyte_e2e::binary("flyte").display());
    let mut command = machine.command("script");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    for (name, value) in flyte.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    let mut login =
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let url = eventually("the browser is opened", || fs::read_to_string(&seen).ok());
    // On the other machine the callback's address does not work, but the user can copy it.
    let callback = flyte_e2e::sign_in_elsewhere(&server, &url);
    let mut keyboard = login.stdin.take().unwrap();
    std::io::Write::write_all(&mut keyboard, format!("{callback}\n").as_bytes()).unwrap();
    let output = CommandOutput::from(login.wait_with_output().unwrap()).ok();
    assert!(output.out.contains("Signed in to"), "{output:?}");
    drop(keyboard);
}

#[test]
fn question_is_asked_after_the_sign_in() {
    let (server, machine, other) = (Server::start(), Machine::bare(), Machine::bare());
    other.sign_in_by_forms(&server);
    for key in ["kept", "gone"] {
        let _ = CommandOutput::of(&mut other.flyte(&["create", "api-key", key])).ok();
    }
    machine.configure(&server);
    let seen = machine.home().join("url");
    for (key, answer) in [("gone", "y\n"), ("kept", "\u{4}")] {
        let mut command =
            in_a_terminal(&machine, &Person::Looks(seen.clone()), &format!("delete api-key {key}"));
        let shown = machine.home().join(key);
        let output = fs::File::create(&shown).unwrap();
        let mut delete = command.stdin(std::process::Stdio::piped()).stdout(output).spawn().unwrap();
        if key == "gone" {
            let url = eventually("the browser is opened", || fs::read_to_string(&seen).ok());
            let callback = flyte_e2e::sign_in_elsewhere(&server, &url);
            let http = reqwest::blocking::Client::builder().no_proxy().build().unwrap();
            assert!(http.get(callback).send().unwrap().status().is_success());
        }
        eventually("it is asked", || fs::read_to_string(&shown).unwrap().contains("[y/N]").then_some(()));
        let mut keyboard = delete.stdin.take().unwrap();
        std::io::Write::write_all(&mut keyboard, answer.as_bytes()).unwrap();
        let exit = eventually("it ends", || delete.try_wait().unwrap());
        assert_eq!(exit.code(), Some(i32::from(key == "kept")), "{}", fs::read_to_string(&shown).unwrap());
    }
    let left = CommandOutput::of(&mut other.flyte(&["get", "api-key"])).ok().out;
    assert!(left.contains("kept") && !left.contains("gone"), "{left}");
}
