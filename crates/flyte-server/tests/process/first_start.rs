//! The first start makes everything, once, also when it is killed on the way.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, thread, time::Instant};

use crate::server::{Server, errors, output, spawn};

const ADMIN: &str = "admin@localhost";

/// Every path below the directory that others than its owner can get at.
fn exposed(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        let expected = if metadata.is_dir() { 0o700 } else { 0o600 };
        // The authority's certificate is for everybody; others reach it as a copy.
        if metadata.permissions().mode() & 0o777 != expected && entry.file_name() != "ca.pem" {
            found.push(format!("{} {:o}", entry.path().display(), metadata.permissions().mode()));
        }
        if metadata.is_dir() {
            found.extend(exposed(&entry.path()));
        }
    }
    found
}

#[test]
fn the_first_start_creates_everything_and_the_next_keeps_it() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let first = Server::start(&data, &[]);
    let password = first.password().expect("a password");
    assert!(password.len() >= 20, "{password}");
    let file = data.join("first-admin-password");
    let named = first.greeting.lines().find(|line| line.contains("first-admin-password")).expect("a line");
    assert!(serde_json::from_str::<serde_json::Value>(named).unwrap()["email"] == ADMIN, "{named}");
    assert!(!first.greeting.contains(&password), "no log contains it");
    assert!(first.greeting.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!first.signs_in(ADMIN, "another password"));
    assert!(file.exists(), "the administrator has not signed in yet");
    assert!(first.signs_in(ADMIN, &password));
    assert!(!file.exists(), "the first sign-in removes it");
    assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(exposed(&data), [""; 0]);
    let (_, jwks) = first.request("GET /oauth2/jwks", &[], "");
    assert_eq!(first.request("GET /readyz", &[], "").1, "ok\n");
    first.stop();

    let second = Server::start(&data, &[]);
    assert_eq!(second.password(), None);
    assert!(!second.greeting.contains(&password));
    assert_eq!(second.request("GET /oauth2/jwks", &[], "").1, jwks, "tokens stay valid");
    assert!(second.signs_in(ADMIN, &password));
}

#[test]
fn with_tls_the_authority_and_the_certificate_are_kept() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let read =
        || ["ca.pem", "tls/authority.pem", "tls/server.pem"].map(|name| fs::read(data.join(name)).unwrap());
    let start = || Server::start(&data, &["--tls", "on"]);
    start().stop();
    let made = read();
    assert_eq!(exposed(&data), [""; 0]);
    start().stop();
    assert_eq!(read(), made);
}

#[test]
fn a_killed_first_start_is_completed_by_the_next() {
    let home = tempfile::tempdir().unwrap();
    // The duration of a first start on this machine now.
    let begun = Instant::now();
    Server::start(&home.path().join("measured"), &[]).stop();
    let whole = begun.elapsed();

    let data = home.path().join("data");
    for kill in 0..20 {
        let (mut process, _lines) = spawn(&data, &["--listen", "127.0.0.1:0", "--tls", "off"]);
        // The time of the kill differs in each round; the test does not wait for anything here.
        thread::sleep(whole * kill / 16);
        process.kill().unwrap();
        process.wait().unwrap();
    }
    let server = Server::start(&data, &[]);
    let password = server.password().expect("a password in its file");
    assert!(server.signs_in(ADMIN, &password));
    assert_eq!(exposed(&data), [""; 0]);
    server.stop();
    let again = Server::start(&data, &[]);
    assert_eq!(again.password(), None);
    assert!(again.signs_in(ADMIN, &password));
}

#[test]
fn the_password_is_named_until_it_has_been_used() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    Server::start(&data, &[]).stop();
    let first = Server::start(&data, &[]);
    let password = first.password().expect("the same password");
    first.stop();
    // The state after an earlier version was killed before it showed the password.
    fs::remove_file(data.join("first-admin-password")).unwrap();
    fs::write(data.join("first-admin"), ADMIN).unwrap();
    let second = Server::start(&data, &[]);
    let new = second.password().expect("a new password");
    assert_ne!(new, password);
    assert!(second.signs_in(ADMIN, &new));
    second.stop();
    assert_eq!(Server::start(&data, &[]).password(), None);
}

#[test]
fn the_password_can_come_from_a_file() {
    let home = tempfile::tempdir().unwrap();
    let (data, file) = (home.path().join("data"), home.path().join("password"));
    fs::write(&file, "correct horse battery\nsecond line\n").unwrap();
    let arguments = ["--admin-email", "ada@example.com", "--admin-password-file", file.to_str().unwrap()];
    let server = Server::start(&data, &arguments);
    assert_eq!(server.password(), None);
    assert!(!server.greeting.contains("correct horse"));
    assert!(server.signs_in("ada@example.com", "correct horse battery"));
    assert!(!server.signs_in("ada@example.com", "second line"));
    server.stop();

    // The mark of an earlier killed start without the file has no effect later.
    fs::write(&file, "another password\n").unwrap();
    let server = Server::start(&data, &arguments);
    assert!(server.signs_in("ada@example.com", "correct horse battery"), "ignored once an account exists");
    server.stop();

    // The password from the file is never shown.
    fs::write(data.join("first-admin"), "ada@example.com").unwrap();
    let server = Server::start(&data, &arguments);
    assert_eq!(server.password(), None);
    assert!(!server.greeting.contains("another password") && !data.join("first-admin").exists());
    assert!(server.signs_in("ada@example.com", "another password"));
}

#[test]
fn a_password_file_that_cannot_be_used_is_named() {
    let home = tempfile::tempdir().unwrap();
    let (data, file) = (home.path().join("data"), home.path().join("password"));
    let start = || {
        let file = file.to_str().unwrap();
        output(&data, &["--listen", "127.0.0.1:0", "--tls", "off", "--admin-password-file", file])
    };
    let refused = start();
    assert_eq!(refused.status.code(), Some(1));
    assert!(errors(&refused).contains("No such file"), "{}", errors(&refused));
    fs::write(&file, "\n").unwrap();
    let refused = start();
    assert_eq!(refused.status.code(), Some(1));
    assert!(errors(&refused).contains("password"), "{}", errors(&refused));
    // A failed attempt creates no account.
    assert!(Server::start(&data, &[]).password().is_some());
}
