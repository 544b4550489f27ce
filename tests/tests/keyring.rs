//! Where tokens are kept: a real Secret Service, a locked one, and none.

use std::fs;

use flyte_e2e::{Machine, Person, Server, Told, files, repository};
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

/// The command that a hint names, without `flyte`.
fn hinted(told: &Told) -> Vec<&str> {
    let hint = told.err.split("next: ").nth(1).unwrap_or_else(|| panic!("{told:?}"));
    let command = hint.split('`').nth(1).unwrap_or_else(|| panic!("{told:?}"));
    command.strip_prefix("flyte ").unwrap().split(' ').collect()
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

#[test]
fn what_the_hint_says_works_where_the_keyring_is_locked_or_silent() {
    let server = Server::start();
    for silent in [false, true] {
        let machine = Machine::with_keyring();
        machine.sign_in_by_forms(&server);
        let mut text = fs::read_to_string(machine.config()).unwrap();
        text.insert_str(0, "# Ours: ask Ada.\n");
        fs::write(machine.config(), &text).unwrap();
        let cause = match silent {
            true => "the system keyring does not answer (it was asked and waited for 3 seconds)",
            false => "the system keyring is locked",
        };
        match silent {
            true => machine.signal_keyring("STOP"),
            false => machine.lock_keyring(),
        }
        let told = Told::by(&mut machine.flyte(&["get", "project"])).failed(4);
        assert!(told.err.contains(cause), "{told:?}");
        let signed_in = machine.sign_in_by(&server, &hinted(&told)).ok();
        assert!(signed_in.err.contains("admin.tokenStore is file from now on"), "{signed_in:?}");
        let written = fs::read_to_string(machine.config()).unwrap();
        assert_eq!(written.replace("  tokenStore: file\n", ""), text, "all else stays: {written}");

        // From now on nobody asks the keyring.
        let project = Told::by(&mut machine.flyte(&["get", "project"])).ok();
        assert!(project.out.contains("flytesnacks") && project.err.is_empty(), "{project:?}");
        assert!(status(&machine)["storage"].as_str().unwrap().starts_with("encrypted file ("));
        let doctor = Told::by(&mut machine.flyte(&["auth", "doctor"])).ok().out;
        assert!(doctor.contains("not used, as the configuration says: encrypted file ("), "{doctor}");

        // Signing out ends the login in the file, and tells of the one that may be in the keyring.
        let out = Told::by(&mut machine.flyte(&["auth", "logout"])).ok();
        assert!(out.out.starts_with("Signed out of"), "{out:?}");
        assert!(
            out.err.contains("kept elsewhere before") && out.err.contains("the system keyring"),
            "{out:?}"
        );
        assert!(files(&machine.home().join(".local/share/flyte")).is_empty());
        let _ = Told::by(&mut machine.flyte(&["get", "project"])).failed(4);
        if silent {
            machine.signal_keyring("CONT");
            // Where it answers again, that login goes too.
            let out = Told::by(&mut machine.flyte(&["auth", "logout"])).ok();
            assert!(out.out.starts_with("Signed out of") && out.err.is_empty(), "{out:?}");
            assert_eq!(machine.keyring_items(&server.endpoint(), "tokens"), 0);
            let out = Told::by(&mut machine.flyte(&["auth", "logout"])).ok();
            assert!(out.out.starts_with("You were not signed in"), "{out:?}");
        }
    }
}

#[test]
fn the_documented_lines_unlock_the_keyring() {
    let (server, mut machine) = (Server::start(), Machine::with_keyring());
    machine.sign_in_by_forms(&server);
    let token = Told::by(&mut machine.flyte(&["auth", "token", "--no-login"])).ok().out;
    machine.lock_keyring();
    let _ = Told::by(&mut machine.flyte(&["auth", "token", "--no-login"])).failed(4);
    let page = fs::read_to_string(repository().join("docs/guide/troubleshooting.md")).unwrap();
    let section = page.split("### Unlocking the keyring").nth(1).unwrap();
    machine.unlock_keyring_by(section.split("```sh\n").nth(1).unwrap().split("```").next().unwrap());
    assert_eq!(Told::by(&mut machine.flyte(&["auth", "token", "--no-login"])).ok().out, token);
}

#[test]
fn the_store_that_is_chosen_is_the_one_that_is_used() {
    let (server, machine) = (Server::start(), Machine::with_keyring());
    machine.configure(&server);
    let shared = || machine.keyring_items(&server.endpoint(), "tokens");
    let in_file = || files(&machine.home().join(".local/share/flyte")).len();
    let stored =
        |kind: &str, arguments: &[&str]| Told::by(machine.flyte(arguments).env("FLYTE_TOKEN_STORE", kind));
    // In memory: each command for itself.
    let told = machine.sign_in_by(&server, &["auth", "login", "--token-store", "memory"]).ok();
    assert!(!told.err.contains("ends with this command"), "it was asked for: {told:?}");
    assert_eq!((shared(), in_file()), (0, 0));
    assert_eq!(
        stored("MEMORY", &["auth", "status"]).failed(4).out.matches("the configuration says so").count(),
        1
    );
    // The variable comes before the file, which says memory.
    let _ = machine.sign_in_by(&server, &["auth", "login", "--token-store", "keyring"]).ok();
    assert_eq!((shared(), in_file()), (1, 0));
    let _ = stored("file", &["auth", "status"]).failed(4);
    let _ = stored("file", &["auth", "logout"]).ok();
    assert_eq!(shared(), 0, "signed out, wherever the login is");

    // What is no store is told, with its place.
    let told = stored("plaintext", &["get", "project"]);
    assert!(told.code != Some(0) && told.err.contains("FLYTE_TOKEN_STORE"), "{told:?}");
    assert!(told.err.contains("use keyring, file or memory"), "{told:?}");
    let text = fs::read_to_string(machine.config()).unwrap();
    let line = text.lines().position(|line| line.contains("tokenStore")).unwrap() + 1;
    fs::write(machine.config(), text.replace("tokenStore: keyring", "tokenStore: vault")).unwrap();
    let told = Told::by(&mut machine.flyte(&["get", "project"]));
    let place = format!("{}:{line}:", machine.config().display());
    assert!(told.code != Some(0) && told.err.contains(&place), "{place}: {told:?}");
    // Where it cannot be had, that is an error and not another place.
    let bare = Machine::bare();
    bare.configure(&server);
    let told = Told::by(
        bare.flyte_with(&Person::Looks(bare.home().join("seen")), &["auth", "login"])
            .env("FLYTE_TOKEN_STORE", "keyring"),
    )
    .failed(4);
    assert!(told.err.contains("this machine has no keyring"), "{told:?}");
    assert_eq!(hinted(&told), ["auth", "login", "--token-store", "file"]);
}
