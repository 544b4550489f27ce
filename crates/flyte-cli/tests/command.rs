//! The `flyte` binary as it is run: what it prints where, and how it ends, without any server.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "clippy.toml knows only functions marked as tests")]

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A home with nothing in it.
struct Home(TempDir);

struct Told {
    out: String,
    err: String,
    code: Option<i32>,
}

impl Home {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flyte"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.path())
            .current_dir(self.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, line: &str) -> Told {
        self.told(&mut self.command(&line.split_whitespace().collect::<Vec<_>>()), "")
    }

    fn told(&self, command: &mut Command, input: &str) -> Told {
        if !input.is_empty() {
            command.stdin(Stdio::piped());
        }
        let mut process = command.spawn().unwrap();
        if let Some(mut stdin) = process.stdin.take() {
            stdin.write_all(input.as_bytes()).unwrap();
        }
        let output = process.wait_with_output().unwrap();
        // The directory is another one each time.
        let text =
            |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(self.path().to_str().unwrap(), "~");
        Told { out: text(output.stdout), err: text(output.stderr), code: output.status.code() }
    }
}

#[test]
fn help_is_what_it_was() {
    let home = Home::new();
    for (name, line) in [
        ("flyte", "--help"),
        ("auth", "auth --help"),
        ("auth_doctor", "auth doctor --help"),
        ("auth_login", "auth login --help"),
        ("auth_status", "auth status --help"),
        ("auth_inspect_key", "auth inspect-key --help"),
        ("create", "create --help"),
        ("create_config", "create config --help"),
        ("create_api_key", "create api-key --help"),
        ("create_trust", "create trust --help"),
        ("abort_run", "abort run --help"),
        ("get_action", "get action --help"),
        ("get_api_key", "get api-key --help"),
        ("get_app", "get app --help"),
        ("get_audit", "get audit --help"),
        ("deploy", "deploy --help"),
        ("get_io", "get io --help"),
        ("get_logs", "get logs --help"),
        ("get_run", "get run --help"),
        ("get_task", "get task --help"),
        ("run", "run --help"),
        ("delete_app", "delete app --help"),
        ("delete_api_key", "delete api-key --help"),
        ("rotate_api_key", "rotate api-key --help"),
    ] {
        let told = home.run(line);
        assert_eq!((told.code, told.err.as_str()), (Some(0), ""), "{line}");
        // The global options are the same everywhere.
        let own = match told.out.split_once("Global options:\n") {
            Some((before, after)) if name != "flyte" => {
                format!("{before}{}", after.split_once("for even more\n").unwrap().1)
            }
            _ => told.out,
        };
        insta::assert_snapshot!(format!("help_{name}"), own);
    }
}

#[test]
fn mistakes_in_the_command_line_end_with_2_and_print_no_result() {
    let home = Home::new();
    for line in [
        "",
        "get",
        "get nonsense",
        "--no-such-option",
        "get project --limit many",
        "--auth-type nonsense whoami",
        "--endpoint ftp://host whoami",
        "create config",
        "create api-key",
        "create api-key ci --expires soon",
        "create trust ci",
        "rotate api-key ci --overlap 3",
    ] {
        let told = home.run(line);
        assert_eq!((told.code, told.out.as_str()), (Some(2), ""), "{line}: {}", told.err);
        assert!(told.err.contains("Usage: flyte") || told.err.contains("error:"), "{line}: {}", told.err);
    }
    assert!(home.path().read_dir().unwrap().next().is_none(), "a mistake writes nothing");
}

#[test]
fn without_a_configuration_every_command_says_what_to_do() {
    let home = Home::new();
    for line in [
        "whoami",
        "get project",
        "get api-key -o json",
        "get trust",
        "get audit",
        "create api-key ci",
        "create trust ci --github acme/app",
        "rotate api-key ci",
        "delete api-key ci --yes",
        "auth login",
        "auth status",
        "auth token",
    ] {
        let told = home.run(line);
        assert_eq!((told.code, told.out.as_str()), (Some(1), ""), "{line}: {}", told.err);
        assert_eq!(
            told.err,
            "error: no control plane is configured\n  cause: there is no configuration file\n  \
             next: Run `flyte create config --endpoint HOST`, or give --endpoint HOST.\n",
            "{line}"
        );
    }
}

#[test]
fn who_is_nobody_ends_with_4() {
    let home = Home::new();
    let told = home.run("auth status --endpoint flyte.example.com --json");
    assert_eq!(told.code, Some(4), "{}", told.err);
    let status: serde_json::Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!((&status["signed_in"], &status["auth_type"]), (&false.into(), &"Pkce".into()));
    assert_eq!(told.err, "Sign in with: flyte auth login\n");
    // Plain HTTP takes no credentials.
    let told = home.run("auth login --endpoint flyte.example.com --insecure");
    assert_eq!(told.code, Some(4));
    assert!(told.err.contains("credentials are never sent over it"), "{}", told.err);
}

#[test]
fn nobody_answering_is_a_failure_that_names_the_address() {
    let home = Home::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let told = home.run(&format!("get project --endpoint 127.0.0.1:{port} --insecure"));
    assert_eq!((told.code, told.out.as_str()), (Some(1), ""));
    assert!(told.err.starts_with("error: cannot list projects\n"), "{}", told.err);
    assert!(told.err.contains(&format!("127.0.0.1:{port}")) && told.err.contains("refused"), "{}", told.err);
}

#[test]
fn a_configuration_is_written_once_and_changed_only_when_asked() {
    let home = Home::new();
    let file = home.path().join(".flyte/config.yaml");
    let line = "create config --endpoint https://acme.hosted.example.com -p flytesnacks";
    let told = home.run(line);
    assert_eq!(told.code, Some(0), "{}", told.err);
    let written = fs::read_to_string(&file).unwrap();
    insta::assert_snapshot!(written, @r"
    admin:
      endpoint: dns:///acme.hosted.example.com
    image:
      builder: local
    task:
      org: acme
      project: flytesnacks
    ");

    let told = home.run(&format!("{line} --auth-type headless"));
    assert_eq!(told.code, Some(1));
    assert!(
        told.err.contains("exists already") && told.err.contains("--auth-type headless --force"),
        "{}",
        told.err
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), written);

    assert_eq!(home.run(&format!("{line} --auth-type headless --force")).code, Some(0));
    let changed = fs::read_to_string(&file).unwrap();
    assert_eq!(changed.replace("  authType: DeviceFlow\n", ""), written);
    assert_ne!(changed, written);
}

#[test]
fn a_broken_configuration_is_told_by_its_line() {
    let home = Home::new();
    fs::write(home.path().join("bad.yaml"), "admin:\n  endpoint: [a, b]\n").unwrap();
    let told = home.run("-c bad.yaml whoami");
    assert_eq!(told.code, Some(1));
    assert!(told.err.contains("bad.yaml:2"), "{}", told.err);
    let told = home.run("-c missing.yaml whoami");
    assert_eq!(told.code, Some(1));
    assert!(told.err.contains("missing.yaml"), "{}", told.err);
}

#[test]
fn deleting_without_a_terminal_needs_yes() {
    let home = Home::new();
    for (kind, line) in [
        ("api-key", "delete api-key ci --endpoint flyte.example.com"),
        ("trust", "delete trust ci --endpoint flyte.example.com"),
    ] {
        let told = home.run(line);
        assert_eq!((told.code, told.out.as_str()), (Some(2), ""), "{line}");
        assert_eq!(
            told.err,
            format!(
                "error: ci was not deleted\n  cause: deleting has to be confirmed, and nobody can be asked here\n  \
                 next: If you are sure: flyte delete {kind} ci --yes\n"
            )
        );
    }
}

#[test]
fn a_key_is_not_made_where_it_could_not_be_written() {
    let home = Home::new();
    fs::write(home.path().join("there"), "another's").unwrap();
    for (options, told_why) in [
        ("--output there", "it exists already, and no key was made"),
        ("--output no/such/directory/key", "no key was made"),
        ("--pipe-to no-such-program", "no key was made"),
    ] {
        let told = home.run(&format!("create api-key ci --endpoint flyte.example.com {options}"));
        assert_eq!((told.code, told.out.as_str()), (Some(1), ""), "{options}");
        assert!(told.err.contains(told_why), "{options}: {}", told.err);
    }
    assert_eq!(fs::read_to_string(home.path().join("there")).unwrap(), "another's");
    let names: Vec<_> = home.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["there"]);
}

/// `flyte.example.com:ci:hunter2:None`.
const KEY: &str = "Zmx5dGUuZXhhbXBsZS5jb206Y2k6aHVudGVyMjpOb25l";

#[test]
fn a_key_is_inspected_wherever_it_comes_from_and_its_secret_never_shown() {
    let home = Home::new();
    let arguments = ["auth", "inspect-key", "-o", "json"];
    let from_variable = home.told(home.command(&arguments).env("FLYTE_API_KEY", KEY), "");
    let from_input = home.told(&mut home.command(&arguments), &format!("{KEY}\n"));
    let dash = home.told(&mut home.command(&["auth", "inspect-key", "-", "-o", "json"]), KEY);
    let argument = home.run(&format!("auth inspect-key {KEY} -o json"));
    for (told, source) in [
        (&from_variable, "FLYTE_API_KEY"),
        (&from_input, "standard input"),
        (&dash, "standard input"),
        (&argument, "the command line"),
    ] {
        assert_eq!(told.code, Some(0), "{}", told.err);
        let report: serde_json::Value = serde_json::from_str(&told.out).unwrap();
        assert_eq!(report["endpoint"], "https://flyte.example.com");
        assert_eq!((&report["client_id"], &report["org"]), (&"ci".into(), &serde_json::Value::Null));
        assert_eq!(report["source"], source);
        assert!(!told.out.contains("hunter2") && !told.err.contains("hunter2") && !told.err.contains(KEY));
    }
    assert_eq!(from_variable.err, "");
    assert!(argument.err.contains("shell's history"), "{}", argument.err);
}

#[test]
fn a_broken_key_is_told_exactly_and_not_repeated() {
    let home = Home::new();
    for (key, told_why) in [
        (&KEY[..20], "cut off or none: it has 1 of the four parts"),
        (&KEY[..43], "cut off: it is 43 characters long"),
        ("Zmx5 dGU=", "white space after 4 characters"),
        ("\"Zmx5dGU=\"", "a quotation mark after 0 characters"),
    ] {
        let told = home.told(home.command(&["auth", "inspect-key"]).env("FLYTE_API_KEY", key), "");
        assert_eq!((told.code, told.out.as_str()), (Some(1), ""), "{}", told.err);
        assert!(told.err.contains(told_why) && told.err.contains("next: "), "{key}: {}", told.err);
        assert!(!told.err.contains(key), "{}", told.err);
    }
}

#[test]
fn completions_and_the_version_need_nothing() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish"] {
        let told = home.run(&format!("completion {shell}"));
        assert_eq!(told.code, Some(0));
        assert!(told.out.contains("inspect-key") && told.err.is_empty(), "{shell}");
    }
    assert_eq!(home.run("--version").out, format!("flyte {}\n", env!("CARGO_PKG_VERSION")));
}
