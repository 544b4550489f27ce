//! Signing in at a device without a browser (RFC 8628): the published client, our command, and a server that is killed
//! meanwhile.

use std::{fs, process::Stdio};

use flyte_e2e::{Answer, CommandOutput, Machine, Person, Server, ShownDevice};
use serde_json::Value;
use tempfile::TempDir;

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A machine configured for the device flow, as `authType: DeviceFlow` in the configuration has it.
fn headless(machine: Machine, server: &Server) -> Machine {
    machine.configure(server);
    let config = fs::read_to_string(machine.config()).unwrap();
    fs::write(machine.config(), config.replacen("admin:\n", "admin:\n  authType: DeviceFlow\n", 1)).unwrap();
    machine
}

/// Runs the published client's `flyte get project`, and returns the device that it shows.
fn published(machine: &Machine, server: &Server) -> (ShownDevice, impl FnOnce() -> CommandOutput) {
    let mut process = machine
        .published_flyte(server, &Person::Absent, &["get", "project"])
        .env("PYTHONUNBUFFERED", "1")
        .env("COLUMNS", "200")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (shown, out) = ShownDevice::in_output(process.stdout.take().unwrap());
    let end = move || {
        let mut output = CommandOutput::from(process.wait_with_output().unwrap());
        output.out = out.join().unwrap();
        output
    };
    (shown, end)
}

#[test]
fn published_client_signs_in() {
    let server = Server::start();
    let machine = headless(Machine::with_keyring(), &server);
    let (shown, end) = published(&machine, &server);
    assert_eq!(shown.url, server.url(&format!("/device?user_code={}", shown.code)));
    assert_eq!(shown.answer(&server, Answer::Approve), "Flyte CLI is connected");
    let output = end().ok();
    assert!(
        output.out.contains("To Authenticate, navigate in a browser to the following URL:"),
        "{output:?}"
    );
    assert!(output.out.contains("flytesnacks"), "{output:?}");
    assert_eq!(server.logged(&["device_approved", "admin@localhost", "127.0.0.1"]), 1);
    // The login is stored, and our command can use it.
    let again =
        CommandOutput::of(&mut machine.published_flyte(&server, &Person::Absent, &["get", "project"])).ok();
    assert!(again.out.contains("flytesnacks") && !again.out.contains("user_code"), "{again:?}");
    let ours = CommandOutput::of(&mut machine.flyte(&["whoami"])).ok();
    assert!(ours.out.contains("admin@localhost"), "{ours:?}");
}

#[test]
fn our_command_signs_in() {
    let server = Server::start();
    let machine = headless(Machine::bare(), &server);
    let mut login = machine.flyte(&["auth", "login"]).stderr(Stdio::piped()).spawn().unwrap();
    let (shown, output) = ShownDevice::in_output(login.stderr.take().unwrap());
    assert_eq!(shown.url, server.url(&format!("/device?user_code={}", shown.code)));
    assert_eq!(shown.answer(&server, Answer::Approve), "Flyte CLI is connected");
    assert!(login.wait().unwrap().success(), "{}", output.join().unwrap());
    let projects = CommandOutput::of(&mut machine.flyte(&["get", "project"])).ok();
    assert!(projects.out.contains("flytesnacks"), "{projects:?}");
    // The device signs out, which ends the session at the server, too.
    let token = CommandOutput::of(&mut machine.flyte(&["auth", "token"])).ok().out;
    let userinfo = || {
        let answer = server.http().get(server.url("/oauth2/userinfo")).bearer_auth(token.trim()).send();
        answer.unwrap().status().as_u16()
    };
    assert_eq!(userinfo(), 200);
    let _ = CommandOutput::of(&mut machine.flyte(&["auth", "logout"])).ok();
    assert_eq!(userinfo(), 401);
}

#[test]
fn published_client_is_denied() {
    let server = Server::start();
    let machine = headless(Machine::bare(), &server);
    let (shown, end) = published(&machine, &server);
    // The user types the code.
    assert_eq!(shown.typed().answer(&server, Answer::Deny), "The device was denied");
    let output = end();
    assert_ne!(output.code, Some(0), "{output:?}");
    let all = format!("{}{}", output.out, output.err).replace('\n', " ");
    assert!(all.contains("The request was denied on the other device"), "{output:?}");
    assert!(!output.out.contains("flytesnacks"));
}

/// A server with these settings of tokens, and the directory that holds them.
fn server_with(tokens: &str) -> (Server, TempDir) {
    let directory = TempDir::new().unwrap();
    let settings = directory.path().join("server.toml");
    fs::write(&settings, format!("[tokens]\n{tokens}")).unwrap();
    (Server::with(&["--config", settings.to_str().unwrap()]), directory)
}

#[test]
fn published_client_times_out() {
    let (server, _settings) = server_with("device-code-ttl = \"3s\"\ndevice-poll-interval = \"1s\"\n");
    let machine = headless(Machine::bare(), &server);
    let (shown, end) = published(&machine, &server);
    let output = end();
    assert_ne!(output.code, Some(0), "{output:?}");
    // It stops at its own deadline, a fraction of a second from the server's.
    let all = format!("{}{}", output.out, output.err).replace('\n', " ");
    let expired = all.contains("The device code expired before the request was approved");
    assert!(expired || all.contains("Timed out waiting for the request to be approved"), "{output:?}");
    // A late user gets the page for unknown codes.
    assert_eq!(shown.answer(&server, Answer::Approve), "Connect a device");
}

fn post(server: &Server, path: &str, form: &[(&str, &str)]) -> Value {
    server.http().post(server.url(path)).form(form).send().unwrap().json().unwrap()
}

#[test]
fn device_survives_crashes_of_the_server() {
    // Long enough for the slowest machine to start a server in.
    let (mut server, _settings) =
        server_with("device-poll-interval = \"60s\"\nrefresh-token-grace = \"10m\"\n");
    let ask = [("client_id", "flyte"), ("scope", "openid offline_access all")];
    let device = post(&server, "/oauth2/device_authorization", &ask);
    let text = |name: &str| device[name].as_str().unwrap().to_owned();
    let shown = ShownDevice { url: text("verification_uri"), code: text("user_code") };
    let code = text("device_code");
    let poll = |server: &Server| {
        let form = [("client_id", "flyte"), ("grant_type", GRANT), ("device_code", &code)];
        post(server, "/oauth2/token", &form)
    };
    assert_eq!(poll(&server)["error"], "authorization_pending");
    // The server also remembers this device's polls.
    server.crash();
    assert_eq!(poll(&server)["error"], "slow_down");
    server.crash();
    assert_eq!(shown.answer(&server, Answer::Approve), "Flyte CLI is connected");
    server.crash();
    let lost = poll(&server);
    assert!(lost["access_token"].is_string(), "{lost}");
    // The answer did not arrive, and the server died once more.
    server.crash();
    let tokens = poll(&server);
    let userinfo = |tokens: &Value| {
        let token = tokens["access_token"].as_str().unwrap();
        let answer = server.http().get(server.url("/oauth2/userinfo")).bearer_auth(token).send();
        answer.unwrap().status().as_u16()
    };
    assert_eq!(userinfo(&tokens), 200);
    // After the refresh token was used, the device code counts as stolen.
    let refresh = tokens["refresh_token"].as_str().unwrap();
    let form = [("client_id", "flyte"), ("grant_type", "refresh_token"), ("refresh_token", refresh)];
    assert!(post(&server, "/oauth2/token", &form)["refresh_token"].is_string());
    assert_eq!(poll(&server)["error"], "invalid_grant");
    assert_eq!(userinfo(&tokens), 401);
    assert_eq!(server.logged(&["device_code_replayed"]), 1);
}

#[test]
fn end_of_input_declines_a_new_code() {
    let (server, _settings) = server_with("device-code-ttl = \"3s\"\ndevice-poll-interval = \"1s\"\n");
    let machine = Machine::bare();
    machine.configure(&server);
    let shown = machine.home().join("shown");
    let mut command = machine.command("script");
    let line = format!("{} --headless get project", flyte_e2e::binary("flyte").display());
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    let output = std::fs::File::create(&shown).unwrap();
    let mut waiting = command.stdin(Stdio::piped()).stdout(output).spawn().unwrap();
    flyte_e2e::eventually("another code is offered", || {
        let text = std::fs::read_to_string(&shown).unwrap();
        text.contains("Press Enter for a new one").then_some(())
    });
    let mut keyboard = waiting.stdin.take().unwrap();
    std::io::Write::write_all(&mut keyboard, b"\x04").unwrap();
    let exit = flyte_e2e::eventually("it ends", || waiting.try_wait().unwrap());
    assert_eq!(exit.code(), Some(4), "{}", std::fs::read_to_string(&shown).unwrap());
}
