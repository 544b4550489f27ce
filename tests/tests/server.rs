//! Logins survive restarts, crashes and key rotation of the server.

use std::{
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use flyte_e2e::{CommandOutput, Machine, Server, binary, eventually};

const TOKEN: [&str; 3] = ["auth", "token", "--no-login"];

fn token(machine: &Machine) -> String {
    CommandOutput::of(&mut machine.flyte(&TOKEN)).ok().out
}

fn projects(machine: &Machine) -> CommandOutput {
    CommandOutput::of(&mut machine.flyte(&["get", "project"]))
}

/// The identifiers of the keys that the server publishes.
fn published_keys(server: &Server) -> Vec<String> {
    let jwks = server.http().get(server.url("/oauth2/jwks")).send().unwrap().text().unwrap();
    let jwks: serde_json::Value = serde_json::from_str(&jwks).unwrap();
    // Only those of access tokens, because keys for RS256 rotate separately.
    let ids = jwks["keys"].as_array().unwrap().iter().filter(|key| key["alg"] == "ES256");
    ids.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn restart_keeps_logins_keys_and_certificate() {
    let (mut server, machine) = (Server::start(), Machine::bare());
    machine.sign_in_by_forms(&server);
    let (before, keys) = (token(&machine), published_keys(&server));
    let authority = std::fs::read(server.ca()).unwrap();
    server.restart_with(&[]);
    assert_eq!(server.logged(&["event=\"first_admin_created\""]), 1, "only the first start makes one");
    assert_eq!(std::fs::read(server.ca()).unwrap(), authority);
    assert_eq!(published_keys(&server), keys);
    let _ = projects(&machine).ok();
    assert_eq!(token(&machine), before, "the access token is as good as before");
}

#[test]
fn crash_during_traffic_keeps_logins() {
    let mut server = Server::with(&["--access-token-ttl", "1s"]);
    let machines = [Machine::bare(), Machine::bare()];
    for machine in &machines {
        machine.sign_in_by_forms(&server);
    }
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        // No failure of a command ends the session (exit code 4).
        let traffic = |machine: &Machine| {
            let mut done = 0;
            while !over.load(Ordering::Relaxed) {
                let output = projects(machine);
                assert_ne!(output.code, Some(4), "{output:?}");
                done += usize::from(output.code == Some(0));
            }
            done
        };
        let busy: Vec<_> = machines.iter().map(|machine| scope.spawn(move || traffic(machine))).collect();
        for _ in 0..5 {
            // Kill the server during renewals, after at least three more of them.
            let issued = || server.logged(&["path=\"/oauth2/token\"", "status=200"]);
            let before = issued();
            eventually("tokens are being renewed", || (issued() >= before + 3).then_some(()));
            server.crash();
        }
        over.store(true, Ordering::Relaxed);
        for machine in busy {
            assert!(machine.join().unwrap() > 0, "no command got through");
        }
    });
    for machine in &machines {
        let _ = projects(machine).ok();
    }
}

/// The signing key named in a token's header.
fn key_of(token: &str) -> String {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    let header: serde_json::Value = serde_json::from_slice(&header).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

#[test]
fn keys_rotate_in_a_running_server_and_old_tokens_stay_valid() {
    let (early, late) = (Machine::bare(), Machine::bare());
    let file = early.home().join("server.toml");
    // The maintenance task publishes the next key within two seconds of the start, and signs with it soon after.
    std::fs::write(&file, "[tokens]\nkey-rotation-interval = \"2s\"\n").unwrap();
    let server = Server::with(&["--config", file.to_str().unwrap()]);
    early.sign_in_by_forms(&server);
    let before = token(&early);
    let first = key_of(&before);
    eventually("another key signs", || {
        assert!(published_keys(&server).contains(&first), "tokens of the first key would be worth nothing");
        let active = |key: &String| server.logged(&[&format!("kid=\"{key}\""), "state=Active"]) > 0;
        published_keys(&server).into_iter().find(|key| *key != first && active(key))
    });
    late.sign_in_by_forms(&server);
    assert_ne!(key_of(&token(&late)), first);
    for machine in [&early, &late] {
        let _ = projects(machine).ok();
    }
    assert_eq!(token(&early), before, "no renewal was needed");
    assert_eq!(server.logged(&["flyte_server::serve: serving"]), 1, "it was not restarted");
}

#[test]
fn second_server_on_the_same_data_is_refused() {
    let (server, machine) = (Server::start(), Machine::bare());
    let second = CommandOutput::of(
        Command::new(binary("flyte-server"))
            .env("HOME", machine.home())
            .args(["--listen", "127.0.0.1:0", "--data-dir"])
            .arg(server.data())
            .stdin(Stdio::null()),
    )
    .failed(1);
    assert!(second.err.contains(&format!("another flyte-server (process {})", server.pid())), "{second:?}");
    assert!(second.err.contains("--data-dir DIRECTORY"), "{second:?}");
    // The first server is not affected.
    machine.sign_in_by_forms(&server);
    let _ = projects(&machine).ok();
}
