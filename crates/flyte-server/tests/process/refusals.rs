//! Refusals, and the advice for the administrator.

use std::{fs, os::unix::fs::PermissionsExt as _};

use crate::server::{Server, command, errors, output};

const FREE: [&str; 4] = ["--listen", "127.0.0.1:0", "--tls", "off"];

#[test]
fn one_server_uses_a_data_directory() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let server = Server::start(&data, &[]);
    let second = output(&data, &FREE);
    assert_eq!(second.status.code(), Some(1));
    let told = errors(&second);
    assert!(told.contains(&format!("another flyte-server (process {})", server.process.id())), "{told}");
    assert!(told.contains("--data-dir"), "{told}");
    assert_eq!(server.request("GET /readyz", &[], "").1, "ok\n");
}

#[test]
fn one_server_uses_a_port_and_a_second_one_creates_nothing() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&home.path().join("data"), &[]);
    let data = home.path().join("second");
    let second = output(&data, &["--listen", &server.address.to_string(), "--tls", "off"]);
    assert_eq!(second.status.code(), Some(1));
    let told = errors(&second);
    assert!(told.contains(&format!("cannot listen on {}", server.address)), "{told}");
    assert!(told.contains("--listen"), "{told}");
    assert!(!data.exists());
}

#[test]
fn a_data_directory_that_cannot_be_used_is_named() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("file"), "").unwrap();
    for data in [home.path().join("file"), home.path().join("file/data"), "/proc/flyte".into()] {
        let refused = output(&data, &FREE);
        assert_eq!(refused.status.code(), Some(1));
        let told = errors(&refused);
        assert!(told.contains(&data.display().to_string()) && told.contains("--data-dir"), "{told}");
    }
    let open = home.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
    let told = errors(&output(&open, &FREE));
    assert!(told.contains(&format!("chmod 700 {}", open.display())), "{told}");
    assert_eq!(fs::read_dir(&open).unwrap().count(), 0);
}

#[test]
fn a_key_file_of_another_server_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    Server::start(&data, &[]).stop();
    let good = fs::read(data.join("sealing.key")).unwrap();
    fs::write(data.join("sealing.key"), [7; 32]).unwrap();
    let refused = output(&data, &FREE);
    assert_eq!(refused.status.code(), Some(1));
    assert!(errors(&refused).contains("restore the key file"), "{}", errors(&refused));
    fs::write(data.join("sealing.key"), good).unwrap();
    Server::start(&data, &[]).stop();
}

#[test]
fn check_config_shows_where_each_setting_comes_from() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("s.toml");
    fs::write(&file, "org = \"acme\"\n\n[tokens]\naccess-token-ttl = \"5m\"\n").unwrap();
    let mut good =
        command(&home.path().join("data"), &["--listen", "127.0.0.1:0", "check-config", "--config"]);
    let good = good.arg(&file).env("FLYTE_SERVER_SESSION_TTL", "1h").output().unwrap();
    let shown = String::from_utf8(good.stdout).unwrap();
    assert!(good.status.success(), "{shown}");
    let line = |key: &str| shown.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
    assert!(line("org = \"acme\"").contains("s.toml:1"), "{shown}");
    assert!(line("access-token-ttl = \"5m\"").contains("s.toml:4"), "{shown}");
    assert!(line("ttl = \"1h\"").contains("FLYTE_SERVER_SESSION_TTL"), "{shown}");
    assert!(line("listen").contains("--listen"), "{shown}");
    assert!(!home.path().join("data").exists(), "the check creates nothing");
}

#[test]
fn check_config_names_file_line_and_key() {
    let home = tempfile::tempdir().unwrap();
    let (data, file) = (home.path().join("data"), home.path().join("s.toml"));
    for (content, line, key) in [
        ("org = \"a\"\nlisen = \"127.0.0.1:1\"\n", 2, "\"lisen\""),
        ("[tokens]\n\naccess-token-ttl = \"soon\"\n", 3, "\"tokens.access-token-ttl\""),
        ("[tokens]\naccess-token-ttl = [1]\n", 2, "\"tokens.access-token-ttl\""),
        ("org = \"a\"\norg = \n", 2, ""),
    ] {
        fs::write(&file, content).unwrap();
        for verb in ["check-config", "serve"] {
            let refused = output(&data, &[verb, "--config", file.to_str().unwrap()]);
            assert_eq!(refused.status.code(), Some(2), "{content}");
            let told = errors(&refused);
            assert!(told.contains(&format!("{}:{line}: ", file.display())) && told.contains(key), "{told}");
        }
    }
    assert!(!data.exists());
    // Problems that depend on the machine.
    let server = Server::start(&data, &[]);
    let taken =
        output(&home.path().join("other"), &["--listen", &server.address.to_string(), "check-config"]);
    assert_eq!(taken.status.code(), Some(1));
    let shown = String::from_utf8(taken.stdout).unwrap();
    assert!(shown.contains(&format!("Problem: cannot listen on {}", server.address)), "{shown}");
    // A port that the server of these settings uses is not a problem.
    let own = output(&data, &["--listen", &server.address.to_string(), "check-config"]);
    let shown = String::from_utf8(own.stdout).unwrap();
    assert!(own.status.success() && !shown.contains("Problem"), "{shown}");
    let note = format!("Note: {} is in use", server.address);
    let process = format!("(process {})", server.process.id());
    assert!(shown.contains(&note) && shown.contains(&process), "{shown}");
}

#[test]
fn check_config_reads_the_password_file() {
    let home = tempfile::tempdir().unwrap();
    let (data, file) = (home.path().join("data"), home.path().join("password"));
    let check = || {
        let file = ["--admin-password-file", file.to_str().unwrap(), "check-config"];
        let checked = output(&data, &[&FREE[..], &file].concat());
        (checked.status.code(), String::from_utf8(checked.stdout).unwrap())
    };
    for (content, problem) in [("short\n", "at least 15 characters"), ("", "at least 15 characters")] {
        fs::write(&file, content).unwrap();
        let (code, shown) = check();
        assert_eq!(code, Some(1), "{shown}");
        let line = format!("Problem: the password in {}: ", file.display());
        assert!(shown.contains(&line) && shown.contains(problem), "{shown}");
    }
    fs::write(&file, "a kettle over the quiet river\nsecond line\n").unwrap();
    let (code, shown) = check();
    assert_eq!(code, Some(0), "{shown}");
    assert!(!shown.contains("kettle"), "{shown}");
}

#[test]
fn the_reference_is_current() {
    let home = tempfile::tempdir().unwrap();
    let reference = output(home.path(), &["config-reference"]);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/server-config.md");
    let current = String::from_utf8(reference.stdout).unwrap() == fs::read_to_string(path).unwrap();
    assert!(current, "run: flyte-server config-reference > docs/reference/server-config.md");
}

#[test]
fn a_password_is_reset_beside_the_running_server() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let none = output(&data, &["reset-password", "admin@localhost"]);
    assert_eq!(none.status.code(), Some(1));
    assert!(errors(&none).contains("there is no data directory"), "{}", errors(&none));

    let server = Server::start(&data, &[]);
    let old = server.password().unwrap();
    assert!(server.signs_in("admin@localhost", &old));
    let reset = output(&data, &["reset-password", "Admin@LOCALHOST"]);
    let shown = String::from_utf8(reset.stdout.clone()).unwrap();
    assert!(reset.status.success(), "{}", errors(&reset));
    let new = shown.lines().last().unwrap();
    assert!(!errors(&reset).contains(new));
    assert!(!server.signs_in("admin@localhost", &old));
    assert!(server.signs_in("admin@localhost", new));

    let file = home.path().join("password");
    fs::write(&file, "correct horse battery\n").unwrap();
    let arguments = ["reset-password", "admin@localhost", "--password-file", file.to_str().unwrap()];
    let reset = output(&data, &arguments);
    assert!(reset.status.success() && !String::from_utf8_lossy(&reset.stdout).contains("horse"));
    assert!(server.signs_in("admin@localhost", "correct horse battery"));

    // The same for an administrator whose first password was never shown.
    server.stop();
    fs::write(data.join("first-admin"), "admin@localhost").unwrap();
    assert!(output(&data, &arguments).status.success());
    let server = Server::start(&data, &[]);
    assert_eq!(server.password(), None);
    assert!(server.signs_in("admin@localhost", "correct horse battery"));

    let unknown = output(&data, &["reset-password", "unknown@localhost"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(errors(&unknown).contains("\"unknown@localhost\""), "{}", errors(&unknown));
}
