//! Where tokens are stored: with a real Secret Service, a locked one, and none.

use std::fs;

use flyte_e2e::{CommandOutput, Machine, Person, Server, files, repository};
use serde_json::Value;

/// The JSON of `flyte auth status`.
fn status(machine: &Machine) -> Value {
    let output = CommandOutput::of(&mut machine.flyte(&["-o", "json", "auth", "status"]));
    serde_json::from_str(&output.out).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// The tokens of the shared keyring item.
fn shared(machine: &Machine, server: &Server) -> Value {
    let secret = machine.keyring_secret(&server.endpoint(), "tokens").unwrap();
    serde_json::from_str(&secret).unwrap()
}

/// The command that a hint names, without `flyte`.
fn hinted(output: &CommandOutput) -> Vec<&str> {
    let hint = output.err.split("next: ").nth(1).unwrap_or_else(|| panic!("{output:?}"));
    let command = hint.split('`').nth(1).unwrap_or_else(|| panic!("{output:?}"));
    command.strip_prefix("flyte ").unwrap().split(' ').collect()
}

/// The files of a home directory that contain a text.
fn files_holding(machine: &Machine, text: &str) -> Vec<String> {
    let holds = |content: &[u8]| content.windows(text.len()).any(|window| window == text.as_bytes());
    let found = files(machine.home()).into_iter().filter(|(_, content)| holds(content));
    found.map(|(path, _)| path.display().to_string()).collect()
}

#[test]
fn login_is_one_shared_item_of_the_keyring() {
    let (server, machine) = (Server::start(), Machine::with_keyring());
    machine.sign_in_by_forms(&server);
    assert_eq!(machine.keyring_items(&server.endpoint(), "tokens"), 1);
    let tokens = shared(&machine, &server);
    assert_eq!(tokens.as_object().unwrap().len(), 2, "what the published client reads, and no more");
    // The next command uses it.
    let token = CommandOutput::of(&mut machine.flyte(&["auth", "token", "--no-login"])).ok().out;
    assert_eq!(tokens["access_token"], token.trim());
    let said = status(&machine);
    assert_eq!(said["storage"], "system keyring (Secret Service)");
    assert_eq!(said["signed_in"], true);
    let table = CommandOutput::of(&mut machine.flyte(&["auth", "status"])).ok().out;
    assert!(table.contains("Tokens kept in:  system keyring (Secret Service)"), "{table}");
    // The encrypted file was not created.
    assert!(!machine.home().join(".local/share/flyte").exists());

    // A second login replaces it. A logout deletes it and its metadata.
    machine.sign_in_by_forms(&server);
    assert_eq!(machine.keyring_items(&server.endpoint(), "tokens"), 1);
    assert_ne!(shared(&machine, &server), tokens);
    let _ = CommandOutput::of(&mut machine.flyte(&["auth", "logout"])).ok();
    for user in ["tokens", "flyte-login"] {
        assert_eq!(machine.keyring_items(&server.endpoint(), user), 0, "{user}");
    }
}

#[test]
fn renewed_login_is_still_one_item() {
    let server = Server::with(&["--access-token-ttl", "1s"]);
    let machine = Machine::with_keyring();
    machine.sign_in_by_forms(&server);
    let before = shared(&machine, &server);
    machine.wait_until_expired();
    let _ = CommandOutput::of(&mut machine.flyte(&["get", "project"])).ok();
    assert_eq!(machine.keyring_items(&server.endpoint(), "tokens"), 1);
    let after = shared(&machine, &server);
    for token in ["access_token", "refresh_token"] {
        assert_ne!(before[token], after[token], "{token}");
    }
}

#[test]
fn locked_keyring_is_an_error_and_loses_nothing() {
    let (server, mut machine) = (Server::start(), Machine::with_keyring());
    machine.sign_in_by_forms(&server);
    let token = CommandOutput::of(&mut machine.flyte(&["auth", "token", "--no-login"])).ok().out;
    machine.lock_keyring();
    for command in [&["get", "project"][..], &["auth", "status"], &["auth", "login"], &["auth", "logout"]] {
        let output = CommandOutput::of(&mut machine.flyte(command)).failed(4);
        assert!(output.err.contains("cause: the system keyring is locked"), "{command:?}: {output:?}");
        assert!(output.err.contains("next: Unlock it"), "{command:?}: {output:?}");
    }
    // It did not use another store, which would be a second login.
    assert!(!machine.home().join(".local/share/flyte").exists());
    machine.unlock_keyring();
    assert_eq!(CommandOutput::of(&mut machine.flyte(&["auth", "token", "--no-login"])).ok().out, token);
}

#[test]
fn tokens_are_in_an_encrypted_file_without_a_keyring() {
    let (server, machine) = (Server::start(), Machine::bare());
    machine.sign_in_by_forms(&server);
    let storage = status(&machine)["storage"].as_str().unwrap().to_owned();
    assert!(storage.starts_with("encrypted file ("), "{storage}");
    let token = CommandOutput::of(&mut machine.flyte(&["auth", "token", "--no-login"])).ok().out;
    for _ in 0..3 {
        let _ = CommandOutput::of(&mut machine.flyte(&["get", "project"])).ok();
    }
    assert_eq!(server.logged(&["path=\"/oauth2/token\"", "status=200"]), 1, "one sign-in, no renewal");
    // No file contains the token or its payload: not the store, a log, a cache or the shell's history.
    let payload = token.trim().split('.').nth(1).unwrap();
    assert_eq!(files_holding(&machine, token.trim()), Vec::<String>::new());
    assert_eq!(files_holding(&machine, payload), Vec::<String>::new());
    for word in ["access_token", "refresh_token"] {
        assert_eq!(files_holding(&machine, word), Vec::<String>::new(), "{word}");
    }
}

#[test]
fn login_moves_from_the_file_to_the_keyring() {
    let server = Server::with(&["--access-token-ttl", "1s"]);
    let mut machine = Machine::bare();
    machine.sign_in_by_forms(&server);
    machine.start_keyring();
    machine.wait_until_expired();
    let _ = CommandOutput::of(&mut machine.flyte(&["get", "project"])).ok();
    assert_eq!(status(&machine)["storage"], "system keyring (Secret Service)");
    assert_eq!(machine.keyring_items(&server.endpoint(), "tokens"), 1);
    assert!(files(&machine.home().join(".local/share/flyte")).is_empty());
}

#[test]
fn hint_for_a_locked_or_silent_keyring_works() {
    let server = Server::start();
    for silent in [false, true] {
        let machine = Machine::with_keyring();
        machine.sign_in_by_forms(&server);
        let mut text = fs::read_to_string(machine.config()).unwrap();
        text.insert_str(0, "# Ours: ask Ada.\n");
        fs::write(machine.config(), &text).unwrap();
        let cause = match silent {
            true => "the system keyring did not answer within 3 seconds",
            false => "the system keyring is locked",
        };
        match silent {
            true => machine.signal_keyring("STOP"),
            false => machine.lock_keyring(),
        }
        let output = CommandOutput::of(&mut machine.flyte(&["get", "project"])).failed(4);
        assert!(output.err.contains(cause), "{output:?}");
        let signed_in = machine.sign_in_by(&server, &hinted(&output)).ok();
        assert!(signed_in.err.contains("Set admin.tokenStore to file"), "{signed_in:?}");
        let written = fs::read_to_string(machine.config()).unwrap();
        assert_eq!(written.replace("  tokenStore: file\n", ""), text, "all else stays: {written}");

        // From now on the keyring is not used.
        let project = CommandOutput::of(&mut machine.flyte(&["get", "project"])).ok();
        assert!(project.out.contains("flytesnacks") && project.err.is_empty(), "{project:?}");
        assert!(status(&machine)["storage"].as_str().unwrap().starts_with("encrypted file ("));
        let doctor = CommandOutput::of(&mut machine.flyte(&["auth", "doctor"])).ok().out;
        assert!(doctor.contains("not used, because of the configuration: encrypted file ("), "{doctor}");

        // Signing out ends the login in the file, and mentions the one that may be in the keyring.
        let out = CommandOutput::of(&mut machine.flyte(&["auth", "logout"])).ok();
        assert!(out.out.starts_with("Signed out of"), "{out:?}");
        assert!(
            out.err.contains("may still be in another store") && out.err.contains("the system keyring"),
            "{out:?}"
        );
        assert!(files(&machine.home().join(".local/share/flyte")).is_empty());
        let _ = CommandOutput::of(&mut machine.flyte(&["get", "project"])).failed(4);
        if silent {
            machine.signal_keyring("CONT");
            // When the keyring answers again, that login is deleted too.
            let out = CommandOutput::of(&mut machine.flyte(&["auth", "logout"])).ok();
            assert!(out.out.starts_with("Signed out of") && out.err.is_empty(), "{out:?}");
            assert_eq!(machine.keyring_items(&server.endpoint(), "tokens"), 0);
            let out = CommandOutput::of(&mut machine.flyte(&["auth", "logout"])).ok();
            assert!(out.out.starts_with("You were not signed in"), "{out:?}");
        }
    }
}

#[test]
fn documented_lines_unlock_the_keyring() {
    let (server, mut machine) = (Server::start(), Machine::with_keyring());
    machine.sign_in_by_forms(&server);
    let token = CommandOutput::of(&mut machine.flyte(&["auth", "token", "--no-login"])).ok().out;
    machine.lock_keyring();
    let _ = CommandOutput::of(&mut machine.flyte(&["auth", "token", "--no-login"])).failed(4);
    let page = fs::read_to_string(repository().join("docs/guide/troubleshooting.md")).unwrap();
    let section = page.split("### Unlocking the keyring").nth(1).unwrap();
    machine.unlock_keyring_by(section.split("```sh\n").nth(1).unwrap().split("```").next().unwrap());
    assert_eq!(CommandOutput::of(&mut machine.flyte(&["auth", "token", "--no-login"])).ok().out, token);
}

#[test]
fn chosen_store_is_used() {
    let (server, machine) = (Server::start(), Machine::with_keyring());
    machine.configure(&server);
    let shared = || machine.keyring_items(&server.endpoint(), "tokens");
    let in_file = || files(&machine.home().join(".local/share/flyte")).len();
    let stored = |kind: &str, arguments: &[&str]| {
        CommandOutput::of(machine.flyte(arguments).env("FLYTE_TOKEN_STORE", kind))
    };
    // In memory: each command for itself.
    let output = machine.sign_in_by(&server, &["auth", "login", "--token-store", "memory"]).ok();
    assert!(!output.err.contains("ends with this command"), "it was asked for: {output:?}");
    assert_eq!((shared(), in_file()), (0, 0));
    assert_eq!(
        stored("MEMORY", &["auth", "status"]).failed(4).out.matches("the configuration says so").count(),
        1
    );
    // The variable takes precedence over the file, which says memory.
    let _ = machine.sign_in_by(&server, &["auth", "login", "--token-store", "keyring"]).ok();
    assert_eq!((shared(), in_file()), (1, 0));
    let _ = stored("file", &["auth", "status"]).failed(4);
    let _ = stored("file", &["auth", "logout"]).ok();
    assert_eq!(shared(), 0, "signed out, wherever the login is");

    // An unknown store is an error with its place.
    let output = stored("plaintext", &["get", "project"]);
    assert!(output.code != Some(0) && output.err.contains("FLYTE_TOKEN_STORE"), "{output:?}");
    assert!(output.err.contains("use keyring, file or memory"), "{output:?}");
    let text = fs::read_to_string(machine.config()).unwrap();
    let line = text.lines().position(|line| line.contains("tokenStore")).unwrap() + 1;
    fs::write(machine.config(), text.replace("tokenStore: keyring", "tokenStore: vault")).unwrap();
    let output = CommandOutput::of(&mut machine.flyte(&["get", "project"]));
    let place = format!("{}:{line}:", machine.config().display());
    assert!(output.code != Some(0) && output.err.contains(&place), "{place}: {output:?}");
    // If the chosen store does not exist, that is an error, and no other store is used.
    let bare = Machine::bare();
    bare.configure(&server);
    let output = CommandOutput::of(
        bare.flyte_with(&Person::Looks(bare.home().join("seen")), &["auth", "login"])
            .env("FLYTE_TOKEN_STORE", "keyring"),
    )
    .failed(4);
    assert!(output.err.contains("this machine has no keyring"), "{output:?}");
    assert_eq!(hinted(&output), ["auth", "login", "--token-store", "file"]);
}
