//! Signing in, from nothing to an authenticated command, with a real browser.

use std::fs;

use flyte_e2e::{Machine, Person, Server, Told, eventually, repository};

#[test]
fn from_nothing_to_an_authenticated_command() {
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
    let first = Told::by(&mut in_a_terminal(&machine, &person, "get project")).ok();
    assert!(first.out.contains("flytesnacks"), "{first:?}");
    // From now on there is no need of a browser, nor of a terminal.
    let second = Told::by(&mut machine.flyte(&["-o", "json", "get", "project"])).ok();
    let projects: serde_json::Value = serde_json::from_str(&second.out).unwrap();
    assert_eq!(projects[0]["id"], "flytesnacks");
    assert_eq!(second.err, "");
    let who = Told::by(&mut machine.flyte(&["whoami"])).ok();
    assert!(who.out.contains("admin@localhost"), "{who:?}");

    // Signing out ends it, here and at the server.
    let token = Told::by(&mut machine.flyte(&["auth", "token"])).ok().out;
    let userinfo = || {
        let answer = server.http().get(server.url("/oauth2/userinfo")).bearer_auth(token.trim()).send();
        answer.unwrap().status().as_u16()
    };
    assert_eq!(userinfo(), 200);
    let out = Told::by(&mut machine.flyte(&["auth", "logout"])).ok();
    assert!(out.out.starts_with("Signed out of"), "{out:?}");
    assert_eq!(userinfo(), 401);
    let _ = Told::by(&mut machine.flyte(&["get", "project"])).failed(4);
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
fn a_wrong_password_can_be_corrected() {
    let (server, machine) = (Server::start(), Machine::bare());
    machine.configure(&server);
    let person = Person::MistypesFirst(server.password_file());
    let told = Told::by(&mut machine.flyte_with(&person, &["auth", "login"])).ok();
    assert!(told.out.contains("as admin@localhost"), "{told:?}");
    assert_eq!(server.logged(&["event=\"sign_in_failed\""]), 1, "{}", server.log());
}

#[test]
fn without_a_browser_the_printed_link_works() {
    let (server, machine) = (Server::start(), Machine::bare());
    machine.configure(&server);
    let output = fs::File::create(machine.home().join("err")).unwrap();
    // Asked for by hand; where the choice is left open, such a machine signs in on another device (below).
    let arguments = ["auth", "login", "--auth-type", "pkce"];
    let mut login = machine.flyte_with(&Person::Absent, &arguments).stderr(output).spawn().unwrap();
    let link = eventually("the link is printed", || {
        let text = fs::read_to_string(machine.home().join("err")).unwrap();
        let link = text.lines().find(|line| line.starts_with("https://"))?.to_owned();
        text.contains("open the following link").then_some(link)
    });
    // Opened by hand, in a browser of the person's choice.
    let by_hand = Told::by(
        machine.command(repository().join("tests/peers/sign-in.py")).arg(server.password_file()).arg(&link),
    )
    .ok();
    assert!(by_hand.err.contains("You are signed in"), "{by_hand:?}");
    assert!(login.wait().unwrap().success());
    let _ = Told::by(&mut machine.flyte(&["get", "project"])).ok();
}

#[test]
fn without_a_browser_and_a_choice_another_device_signs_in() {
    let (server, machine) = (Server::start(), Machine::bare());
    machine.configure(&server);
    let output = fs::File::create(machine.home().join("err")).unwrap();
    let mut login = machine.flyte_with(&Person::Absent, &["auth", "login"]).stderr(output).spawn().unwrap();
    let link = eventually("the link is printed", || {
        let text = fs::read_to_string(machine.home().join("err")).unwrap();
        let line = text.lines().find(|line| line.contains("/device?user_code="))?.to_owned();
        assert!(text.contains("There is no browser on this machine"), "{text}");
        Some(line)
    });
    let elsewhere = repository().join("tests/peers/sign-in.py");
    let told = Told::by(machine.command(elsewhere).arg(server.password_file()).arg(&link)).ok();
    assert!(told.err.contains("Device connected"), "{told:?}");
    assert!(login.wait().unwrap().success());
    let _ = Told::by(&mut machine.flyte(&["get", "project"])).ok();
}

#[test]
fn strangers_at_the_callback_change_nothing_and_a_denial_is_told() {
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
    let told = Told::from(login.wait_with_output().unwrap()).failed(4);
    assert!(told.err.contains("denied: No, thanks") && told.err.contains("flyte auth login"), "{told:?}");
}

#[test]
fn another_free_port_serves_where_the_usual_one_is_taken() {
    let (server, machine) = (Server::start(), Machine::bare());
    // The port that the server names.
    let _taken = std::net::TcpListener::bind(("127.0.0.1", server.callback_port())).unwrap();
    machine.sign_in(&server);
    let _ = Told::by(&mut machine.flyte(&["get", "project"])).ok();
}

#[test]
fn the_callback_can_be_pasted() {
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
    // On the other machine the callback's address leads nowhere, but it can be read off the address bar.
    let callback = flyte_e2e::sign_in_elsewhere(&server, &url);
    let mut keyboard = login.stdin.take().unwrap();
    std::io::Write::write_all(&mut keyboard, format!("{callback}\n").as_bytes()).unwrap();
    let told = Told::from(login.wait_with_output().unwrap()).ok();
    assert!(told.out.contains("Signed in to"), "{told:?}");
    drop(keyboard);
}

#[test]
fn a_question_is_answered_after_the_sign_in_that_came_first() {
    let (server, machine, other) = (Server::start(), Machine::bare(), Machine::bare());
    other.sign_in_by_forms(&server);
    for key in ["kept", "gone"] {
        let _ = Told::by(&mut other.flyte(&["create", "api-key", key])).ok();
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
    let left = Told::by(&mut other.flyte(&["get", "api-key"])).ok().out;
    assert!(left.contains("kept") && !left.contains("gone"), "{left}");
}
