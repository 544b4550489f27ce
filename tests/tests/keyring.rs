//! Where tokens are kept: a real Secret Service, a locked one, and none.

use flyte_e2e::{Machine, Server, Told, files};
use serde_json::Value;

/// What `flyte auth status` says, as programs read it.
fn status(machine: &Machine) -> Value {
    let told = Told::by(&mut machine.flyte(&["-o", "json", "auth", "status"]));
    serde_json::from_str(&told.out).unwrap_or_else(|error| panic!("{error}: {told:?}"))
}

/// The tokens of the shared keyring item.
fn shared(machine: &Machine, server: &Server) -> Value {
    let secret = machine.keyring_secret(&server.endpoint(), "tokens").unwrap();
    serde_json::from_str(&secret).unwrap()
}

/// The files of a home that hold a text, in whatever way it stands there.
fn files_holding(machine: &Machine, text: &str) -> Vec<String> {
    let holds = |content: &[u8]| content.windows(text.len()).any(|window| window == text.as_bytes());
    let found = files(machine.home()).into_iter().filter(|(_, content)| holds(content));
    found.map(|(path, _)| path.display().to_string()).collect()
}

#[test]
fn a_login_lands_in_the_keyring_in_one_shared_item() {
    let (server, machine) = (Server::start(), Machine::with_keyring());
    machine.sign_in_by_forms(&server);
    assert_eq!(machine.keyring_items(&server.endpoint(), "tokens"), 1);
    let tokens = shared(&machine, &server);
    assert_eq!(tokens.as_object().unwrap().len(), 2, "what the published client reads, and no more");
    // The next command takes it from there.
    let token = Told::by(&mut machine.flyte(&["auth", "token", "--no-login"])).ok().out;
    assert_eq!(tokens["access_token"], token.trim());
    let said = status(&machine);
    assert_eq!(said["storage"], "system keyring (Secret Service)");
    assert_eq!(said["signed_in"], true);
    let table = Told::by(&mut machine.flyte(&["auth", "status"])).ok().out;
    assert!(table.contains("Tokens kept in:  system keyring (Secret Service)"), "{table}");
    // The encrypted file of containers was not made.
    assert!(!machine.home().join(".local/share/flyte").exists());

    // A second login replaces it, a logout removes it and what stands beside it.
    machine.sign_in_by_forms(&server);
    assert_eq!(machine.keyring_items(&server.endpoint(), "tokens"), 1);
    assert_ne!(shared(&machine, &server), tokens);
    let _ = Told::by(&mut machine.flyte(&["auth", "logout"])).ok();
    for user in ["tokens", "flyte-login"] {
        assert_eq!(machine.keyring_items(&server.endpoint(), user), 0, "{user}");
    }
}

#[test]
fn a_renewed_login_is_still_one_item() {
    let server = Server::with(&["--access-token-ttl", "1s"]);
    let machine = Machine::with_keyring();
    machine.sign_in_by_forms(&server);
    let before = shared(&machine, &server);
    machine.wait_until_expired();
    let _ = Told::by(&mut machine.flyte(&["get", "project"])).ok();
    assert_eq!(machine.keyring_items(&server.endpoint(), "tokens"), 1);
    let after = shared(&machine, &server);
    for token in ["access_token", "refresh_token"] {
        assert_ne!(before[token], after[token], "{token}");
    }
}

#[test]
fn a_locked_keyring_is_said_and_loses_nothing() {
    let (server, mut machine) = (Server::start(), Machine::with_keyring());
    machine.sign_in_by_forms(&server);
    let token = Told::by(&mut machine.flyte(&["auth", "token", "--no-login"])).ok().out;
    machine.lock_keyring();
    for command in [&["get", "project"][..], &["auth", "status"], &["auth", "login"], &["auth", "logout"]] {
        let told = Told::by(&mut machine.flyte(command)).failed(4);
        assert!(told.err.contains("cause: the system keyring is locked"), "{command:?}: {told:?}");
        assert!(told.err.contains("next: Unlock it"), "{command:?}: {told:?}");
    }
    // It did not fall back to a second place, which would be a second login.
    assert!(!machine.home().join(".local/share/flyte").exists());
    machine.unlock_keyring();
    assert_eq!(Told::by(&mut machine.flyte(&["auth", "token", "--no-login"])).ok().out, token);
}

#[test]
fn without_a_keyring_tokens_are_kept_encrypted_and_nobody_signs_in_twice() {
    let (server, machine) = (Server::start(), Machine::bare());
    machine.sign_in_by_forms(&server);
    let storage = status(&machine)["storage"].as_str().unwrap().to_owned();
    assert!(storage.starts_with("encrypted file ("), "{storage}");
    let token = Told::by(&mut machine.flyte(&["auth", "token", "--no-login"])).ok().out;
    for _ in 0..3 {
        let _ = Told::by(&mut machine.flyte(&["get", "project"])).ok();
    }
    assert_eq!(server.logged(&["path=\"/oauth2/token\"", "status=200"]), 1, "one sign-in, no renewal");
    // Neither the whole token nor its payload stands in any file: not in the store, nor in a log, a cache or the shell's.
    let payload = token.trim().split('.').nth(1).unwrap();
    assert_eq!(files_holding(&machine, token.trim()), Vec::<String>::new());
    assert_eq!(files_holding(&machine, payload), Vec::<String>::new());
    for word in ["access_token", "refresh_token"] {
        assert_eq!(files_holding(&machine, word), Vec::<String>::new(), "{word}");
    }
}

#[test]
fn a_login_made_without_a_keyring_moves_into_one() {
    let server = Server::with(&["--access-token-ttl", "1s"]);
    let mut machine = Machine::bare();
    machine.sign_in_by_forms(&server);
    machine.start_keyring();
    machine.wait_until_expired();
    let _ = Told::by(&mut machine.flyte(&["get", "project"])).ok();
    assert_eq!(status(&machine)["storage"], "system keyring (Secret Service)");
    assert_eq!(machine.keyring_items(&server.endpoint(), "tokens"), 1);
    assert!(files(&machine.home().join(".local/share/flyte")).is_empty());
}
