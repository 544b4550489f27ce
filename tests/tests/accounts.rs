//! Which account is signed in: what `flyte auth status` says, choosing another one, and how sign-ins end.

use std::{
    fs,
    io::Read as _,
    process::{Child, Stdio},
};

use flyte_e2e::{
    Answer, Browser, CommandOutput, ENTER, Machine, PASSWORD, Person, Server, ShownDevice, TAB, eventually,
    sign_in_elsewhere,
};
use serde_json::Value;

/// Starts a command that signs in. Returns the command and the URL for the browser.
fn signs_in(machine: &Machine, arguments: &[&str]) -> (Child, String) {
    let seen = machine.home().join("seen");
    let mut command = machine.flyte_with(&Person::Looks(seen.clone()), arguments);
    let process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let url = eventually("the browser is opened", || fs::read_to_string(&seen).ok());
    fs::remove_file(seen).unwrap();
    (process, url)
}

/// The same, signed in as the administrator. Returns the command's output.
fn signed_in(server: &Server, machine: &Machine, arguments: &[&str]) -> CommandOutput {
    let (process, url) = signs_in(machine, arguments);
    let http = reqwest::blocking::Client::builder().no_proxy().build().unwrap();
    assert!(http.get(sign_in_elsewhere(server, &url)).send().unwrap().status().is_success());
    CommandOutput::from(process.wait_with_output().unwrap()).ok()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Parses JSON lines.
fn lines(text: &str) -> Vec<Value> {
    text.lines().map(json).collect()
}

#[test]
fn status_asks_the_server() {
    let (mut server, machine) = (Server::start(), Machine::bare());
    machine.sign_in_by_forms(&server);
    let status = |arguments: &[&str]| {
        CommandOutput::of(&mut machine.flyte(&[&["auth", "status"], arguments].concat()))
    };
    let said = status(&[]).ok().out;
    assert!(
        said.contains("Signed in:       yes\n") && said.contains("E-mail:          admin@localhost\n"),
        "{said}"
    );

    let key = CommandOutput::of(&mut machine.flyte(&["create", "api-key", "ci"])).ok().out;
    let job = |arguments: &[&str]| {
        let mut command = machine.flyte(&[&["auth", "status"], arguments].concat());
        command.env("FLYTE_API_KEY", key.trim()).env("FLYTE_ADMIN_CACERTFILEPATH", server.ca());
        CommandOutput::of(&mut command)
    };
    let said = json(&job(&["--json"]).ok().out);
    assert_eq!(
        (&said["signed_in"], &said["checked"], &said["rejected"]),
        (&true.into(), &true.into(), &Value::Null)
    );
    let _ = CommandOutput::of(&mut machine.flyte(&["delete", "api-key", "ci", "--yes"])).ok();
    let output = job(&["--json"]).failed(4);
    let said = json(&output.out);
    assert_eq!((&said["signed_in"], &said["checked"]), (&false.into(), &true.into()));
    assert!(
        said["rejected"].as_str().unwrap().contains("ci") && !output.err.contains("auth login"),
        "{output:?}"
    );
    assert_eq!(json(&job(&["--json", "--offline"]).ok().out)["checked"], false);

    // If the server is away, the answer is neither yes nor no.
    server.signal("KILL");
    let _ = server.wait();
    let output = status(&[]).failed(1);
    assert!(output.out.contains("(the server was not asked)"), "{output:?}");
    assert!(output.err.contains("cannot ask the server") && output.err.contains("--offline"), "{output:?}");
    assert_eq!(status(&["--offline"]).ok().err, "");
    server.start_again();

    let _ = CommandOutput::of(&mut server.command(&["user", "disable", "admin@localhost"])).ok();
    let output = eventually("the account is refused", || {
        let output = status(&[]);
        (output.code != Some(0)).then_some(output)
    });
    let output = output.failed(4);
    assert!(
        output.out.contains("Signed in:       no\nWhy not:") && output.err.contains("flyte auth login"),
        "{output:?}"
    );
}

#[test]
fn choosing_another_account_keeps_the_first_login() {
    let (server, machine) = (Server::start(), Machine::bare());
    machine.configure(&server);
    let mut add = server.command(&["user", "add", "grace@example.com", "--name", "Grace", "--password-file"]);
    let _ = CommandOutput::of(add.arg(server.password_file())).ok();
    let browser = Browser::without_javascript();
    let sign_in = |email: &str| {
        browser.fill("input[name=email]", email);
        browser.fill("input[name=password]", PASSWORD);
        browser.click("button[type=submit]");
        let _ = browser.arrives("/callback?");
    };
    let end = |process: Child| CommandOutput::from(process.wait_with_output().unwrap()).ok().out;
    let choose = ["auth", "login", "--select-account"];

    // No user is signed in, so there is no account to choose.
    let (process, url) = signs_in(&machine, &choose);
    assert!(url.contains("prompt=select_account"), "{url}");
    browser.go(&url);
    sign_in("admin@localhost");
    assert!(end(process).contains("as admin@localhost."));

    // The browser's account is offered, and another one is taken.
    let other = Machine::bare();
    other.configure(&server);
    let (process, url) = signs_in(&other, &choose);
    browser.go(&url);
    browser.shows("Choose an account");
    let page = browser.text("main");
    assert!(page.contains("admin@localhost") && page.contains("stay signed in"), "{page}");
    browser.click("button[value=another-account]");
    browser.shows("Sign in");
    sign_in("grace@example.com");
    assert!(end(process).contains("as grace@example.com."));
    let who = |machine: &Machine| CommandOutput::of(&mut machine.flyte(&["whoami"])).ok().out;
    assert!(who(&machine).contains("admin@localhost"), "the first terminal stays signed in");
    assert!(who(&other).contains("grace@example.com"));

    // By keyboard, with the account that is there.
    let (process, url) = signs_in(&machine, &choose);
    browser.go(&url);
    browser.shows("Choose an account");
    browser.press(TAB);
    assert_eq!(browser.focus(), "Continue with this account");
    browser.press(ENTER);
    let _ = browser.arrives("/callback?");
    assert!(end(process).contains("as grace@example.com."));
    assert!(who(&machine).contains("grace@example.com"));
}

#[test]
fn sign_in_events_are_json_lines() {
    let (server, machine) = (Server::start(), Machine::bare());
    machine.configure(&server);
    let output = signed_in(&server, &machine, &["auth", "login", "-o", "json"]);
    assert_eq!(output.err, "");
    let events = lines(&output.out);
    assert_eq!(events.len(), 2, "{output:?}");
    assert_eq!((&events[0]["event"], &events[0]["opened"]), (&"link".into(), &true.into()));
    assert!(events[0]["url"].as_str().unwrap().starts_with(&server.url("/oauth2/authorize?")));
    assert_eq!((&events[1]["event"], &events[1]["name"]), (&"done".into(), &"admin@localhost".into()));
    let token = CommandOutput::of(&mut machine.flyte(&["auth", "token"])).ok().out;
    assert!(!output.out.contains(token.trim()) && !output.out.contains("verifier="), "{output:?}");

    // With a code, and denied.
    let mut command = machine.flyte(&["auth", "login", "-o", "json", "--headless"]);
    let mut login = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = std::io::BufReader::new(login.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    let code = json(&line);
    assert_eq!(code["event"], "code", "{line}");
    let text = |name: &str| code[name].as_str().unwrap().to_owned();
    let shown = ShownDevice { url: text("url"), code: text("user_code") };
    assert_eq!(shown.answer(&server, Answer::Deny), "The device was denied");
    line.clear();
    out.read_to_string(&mut line).unwrap();
    let events = lines(&line);
    assert_eq!((events.len(), &events[0]["event"]), (1, &"failed".into()), "{line}");
    assert!(events[0]["error"].as_str().unwrap().contains("denied"), "{line}");
    assert_eq!(login.wait().unwrap().code(), Some(4));

    // A failure before the start is reported in the same way.
    let output =
        CommandOutput::of(&mut machine.flyte(&["auth", "login", "-o", "json", "--insecure"])).failed(4);
    assert_eq!(lines(&output.out)[0]["event"], "failed", "{output:?}");
}

#[test]
fn implicit_sign_in_names_the_account() {
    let (server, machine) = (Server::start(), Machine::bare());
    machine.configure(&server);
    let arguments = ["get", "project", "-o", "json", "--headless"];
    let mut command = machine.flyte(&arguments[..2]);
    command.arg(arguments[4]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let (shown, said) = ShownDevice::in_output(process.stderr.take().unwrap());
    assert_eq!(shown.answer(&server, Answer::Approve), "Flyte CLI is connected");
    let output = CommandOutput::from(process.wait_with_output().unwrap()).ok();
    let said = said.join().unwrap();
    assert_eq!(said.matches("Signed in to").count(), 1, "{said}");
    let line = format!("Signed in to {} as admin@localhost.\n", server.url(""));
    assert!(said.contains(&line) && !output.out.contains("Signed in"), "{said}{output:?}");
    assert_eq!(CommandOutput::of(&mut machine.flyte(&["get", "project"])).ok().err, "");

    // For programs it is an event, beside the result.
    let other = Machine::bare();
    other.configure(&server);
    let mut command = other.flyte(&arguments);
    let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut err = std::io::BufReader::new(process.stderr.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut err, &mut line).unwrap();
    let code = json(&line);
    let text = |name: &str| code[name].as_str().unwrap().to_owned();
    let shown = ShownDevice { url: text("url"), code: text("user_code") };
    assert_eq!(shown.answer(&server, Answer::Approve), "Flyte CLI is connected");
    line.clear();
    err.read_to_string(&mut line).unwrap();
    assert_eq!(lines(&line).last().unwrap()["event"], "done", "{line}");
    assert!(json(&CommandOutput::from(process.wait_with_output().unwrap()).ok().out).is_array());
}

/// The link in the output of a command, at the server. The command does not know the port of the test.
fn link(server: &Server, output: &str) -> String {
    let link = output.lines().find_map(|line| line.strip_prefix("https://")).unwrap();
    server.url(&link[link.find('/').unwrap()..])
}

#[test]
fn an_invited_user_sets_a_password_signs_in_and_resets_it() {
    let server = Server::start();
    let told = |arguments: &[&str]| CommandOutput::of(&mut server.command(arguments)).ok().out;
    let invited = told(&["user", "invite", "grace@example.com", "--name", "Grace", "--role", "viewer"]);
    let browser = Browser::open();
    browser.go(&link(&server, &invited));
    browser.shows("You are invited");
    // A weak password is refused, and the link stays.
    browser.fill("#password", "graceful kettle over the river");
    browser.click("button[type=submit]");
    let refused = browser.text("[role=alert]");
    assert!(refused.contains("a part of the user's name or e-mail address"), "{refused}");
    browser.fill("#password", "a kettle over the quiet river");
    browser.click(".reveal");
    assert_eq!(browser.run("return document.querySelector('#password').type"), "text");
    browser.click("button[type=submit]");
    browser.shows("Your password is set");
    browser.go(&link(&server, &invited));
    browser.shows("This invitation does not work");

    let sign_in = |password: &str| {
        browser.go(&server.url("/login"));
        browser.fill("input[name=email]", "grace@example.com");
        browser.fill("input[name=password]", password);
        browser.click("button[type=submit]");
        browser.shows("You are signed in");
    };
    sign_in("a kettle over the quiet river");
    browser.go(&server.url("/account/password"));
    browser.shows("Password");
    browser.fill("#current", "a kettle over the quiet river");
    browser.fill("#password", "a kettle below the quiet river");
    browser.click("form[action='/account/password'] button[type=submit]");
    eventually("it is changed", || browser.text("main").contains("Your password was changed").then_some(()));

    // A link of an administrator works without the old password, also in a browser without JavaScript.
    let reset = told(&["user", "reset-password", "--link", "grace@example.com"]);
    let other = Browser::without_javascript();
    other.go(&link(&server, &reset));
    other.shows("Set a new password");
    for field in ["#password", "#again"] {
        other.fill(field, "another kettle by the quiet river");
    }
    other.click("button[type=submit]");
    other.shows("Your password is set");
    browser.go(&server.url("/account"));
    browser.shows("Sign in");
    sign_in("another kettle by the quiet river");
}
