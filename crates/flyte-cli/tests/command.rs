//! Tests the output and exit codes of the `flyte` binary, without a server.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "clippy.toml knows only functions marked as tests")]

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// An empty home directory.
struct Home(TempDir);

struct CommandOutput {
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

    fn run(&self, line: &str) -> CommandOutput {
        self.run_with_input(&mut self.command(&line.split_whitespace().collect::<Vec<_>>()), "")
    }

    fn run_with_input(&self, command: &mut Command, input: &str) -> CommandOutput {
        if !input.is_empty() {
            command.stdin(Stdio::piped());
        }
        let mut process = command.spawn().unwrap();
        if let Some(mut stdin) = process.stdin.take() {
            stdin.write_all(input.as_bytes()).unwrap();
        }
        let output = process.wait_with_output().unwrap();
        // The directory differs in each run.
        let text =
            |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(self.path().to_str().unwrap(), "~");
        CommandOutput { out: text(output.stdout), err: text(output.stderr), code: output.status.code() }
    }
}

#[test]
fn help_matches_snapshots() {
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
        ("create_assignment", "create assignment --help"),
        ("create_policy", "create policy --help"),
        ("create_role", "create role --help"),
        ("create_user", "create user --help"),
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
        ("get_user", "get user --help"),
        ("update_role", "update role --help"),
        ("run", "run --help"),
        ("delete_app", "delete app --help"),
        ("delete_api_key", "delete api-key --help"),
        ("rotate_api_key", "rotate api-key --help"),
    ] {
        let output = home.run(line);
        assert_eq!((output.code, output.err.as_str()), (Some(0), ""), "{line}");
        // All commands have the same global options.
        let own = match output.out.split_once("Global options:\n") {
            Some((before, after)) if name != "flyte" => {
                format!("{before}{}", after.split_once("repeat it for even more\n").unwrap().1)
            }
            _ => output.out,
        };
        insta::assert_snapshot!(format!("help_{name}"), own);
    }
}

#[test]
fn wrong_command_lines_exit_with_2_without_result() {
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
        "create user",
        "create user ada@example.com --project alpha",
        "create role ops",
        "create policy team --binding viewer@",
        "create assignment --policy team",
        "create assignment --email ada@example.com",
        "create assignment --email ada@example.com --group ml --policy team",
        "create assignment --group ml --policy team --role viewer",
        "delete assignment --policy team --yes",
        "update group ml",
        "update user ada@example.com --enable --disable",
        "get member --limit 3",
    ] {
        let output = home.run(line);
        assert_eq!((output.code, output.out.as_str()), (Some(2), ""), "{line}: {}", output.err);
        assert!(
            output.err.contains("Usage: flyte") || output.err.contains("error:"),
            "{line}: {}",
            output.err
        );
    }
    assert!(home.path().read_dir().unwrap().next().is_none(), "a mistake must not write files");
}

#[test]
fn missing_configuration_has_a_hint() {
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
        "get user",
        "create user ada@example.com",
        "create assignment --email ada@example.com --policy team",
        "update role ops --add run",
        "delete user ada@example.com --yes",
        "auth login",
        "auth status",
        "auth token",
    ] {
        let output = home.run(line);
        assert_eq!((output.code, output.out.as_str()), (Some(1), ""), "{line}: {}", output.err);
        assert_eq!(
            output.err,
            "error: no control plane is configured\n  cause: there is no configuration file\n  \
             next: Run `flyte create config --endpoint HOST`, or give --endpoint HOST.\n",
            "{line}"
        );
    }
}

#[test]
fn missing_sign_in_exits_with_4() {
    let home = Home::new();
    let output = home.run("auth status --endpoint flyte.example.com --json");
    assert_eq!(output.code, Some(4), "{}", output.err);
    let status: serde_json::Value = serde_json::from_str(&output.out).unwrap();
    assert_eq!((&status["signed_in"], &status["auth_type"]), (&false.into(), &"Pkce".into()));
    assert_eq!(output.err, "Sign in with: flyte auth login\n");
    // No credentials are sent over plain HTTP.
    let output = home.run("auth login --endpoint flyte.example.com --insecure");
    assert_eq!(output.code, Some(4));
    assert!(output.err.contains("credentials are never sent over it"), "{}", output.err);
}

#[test]
fn unreachable_server_names_the_address() {
    let home = Home::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let output = home.run(&format!("get project --endpoint 127.0.0.1:{port} --insecure"));
    assert_eq!((output.code, output.out.as_str()), (Some(1), ""));
    assert!(output.err.starts_with("error: cannot list projects\n"), "{}", output.err);
    assert!(
        output.err.contains(&format!("127.0.0.1:{port}")) && output.err.contains("refused"),
        "{}",
        output.err
    );
}

#[test]
fn configuration_is_changed_only_with_force() {
    let home = Home::new();
    let file = home.path().join(".flyte/config.yaml");
    let line = "create config --endpoint https://acme.hosted.example.com -p flytesnacks";
    let output = home.run(line);
    assert_eq!(output.code, Some(0), "{}", output.err);
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

    let output = home.run(&format!("{line} --auth-type headless"));
    assert_eq!(output.code, Some(1));
    assert!(
        output.err.contains("already exists") && output.err.contains("--auth-type headless --force"),
        "{}",
        output.err
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), written);

    assert_eq!(home.run(&format!("{line} --auth-type headless --force")).code, Some(0));
    let changed = fs::read_to_string(&file).unwrap();
    assert_eq!(changed.replace("  authType: DeviceFlow\n", ""), written);
    assert_ne!(changed, written);
}

#[test]
fn broken_configuration_names_the_line() {
    let home = Home::new();
    fs::write(home.path().join("bad.yaml"), "admin:\n  endpoint: [a, b]\n").unwrap();
    let output = home.run("-c bad.yaml whoami");
    assert_eq!(output.code, Some(1));
    assert!(output.err.contains("bad.yaml:2"), "{}", output.err);
    let output = home.run("-c missing.yaml whoami");
    assert_eq!(output.code, Some(1));
    assert!(output.err.contains("missing.yaml"), "{}", output.err);
}

#[test]
fn deleting_without_a_terminal_needs_yes() {
    let home = Home::new();
    for (kind, line) in [
        ("api-key", "delete api-key ci --endpoint flyte.example.com"),
        ("trust", "delete trust ci --endpoint flyte.example.com"),
        ("user", "delete user ci --endpoint flyte.example.com"),
        ("group", "delete group ci --endpoint flyte.example.com"),
        ("role", "delete role ci --endpoint flyte.example.com"),
        ("policy", "delete policy ci --endpoint flyte.example.com"),
    ] {
        let output = home.run(line);
        assert_eq!((output.code, output.out.as_str()), (Some(2), ""), "{line}");
        assert_eq!(
            output.err,
            format!(
                "error: ci was not deleted\n  cause: deleting needs a confirmation, and there is no terminal to ask for it\n  \
                 next: To delete it without a question: flyte delete {kind} ci --yes\n"
            )
        );
    }
}

#[test]
fn an_editor_needs_a_name_or_a_terminal_and_its_text_is_not_lost() {
    let home = Home::new();
    let line = "create policy team --edit --endpoint flyte.example.com";
    let output = home.run(line);
    assert_eq!((output.code, output.out.as_str()), (Some(2), ""));
    assert_eq!(
        output.err,
        "error: cannot open an editor\n  cause: there is no terminal, and EDITOR is not set\n  \
         next: Without an editor: flyte create policy team --file FILE\n"
    );
    let edit = |editor: &str| {
        let mut command = home.command(&line.split(' ').collect::<Vec<_>>());
        home.run_with_input(
            command.env("EDITOR", editor).env("PATH", "/usr/bin:/bin").env("TMPDIR", home.path()),
            "",
        )
    };
    let unchanged = edit("true");
    assert_eq!(
        (unchanged.code, unchanged.err.as_str()),
        (Some(1), "Nothing was edited; policy team was not created.\n")
    );
    for wrong in ["false", "no-such-editor", "sed 's/a"] {
        assert!(edit(wrong).err.starts_with(&format!("error: cannot edit with {wrong}\n")), "{wrong}");
    }
    assert!(home.path().read_dir().unwrap().next().is_none(), "no text is left");
    let broken = edit("sed -i 's/bindings: \\[\\]/binding: [x]/'");
    assert!(
        broken.err.contains("next: Correct your text, then run: flyte create policy team --file ~/flyte-"),
        "{}",
        broken.err
    );
    let kept = home.path().read_dir().unwrap().next().unwrap().unwrap().path();
    assert!(fs::read_to_string(kept).unwrap().contains("binding: [x]"));
}

#[test]
fn key_is_not_created_if_it_cannot_be_written() {
    let home = Home::new();
    fs::write(home.path().join("there"), "another's").unwrap();
    for (options, told_why) in [
        ("--output there", "it already exists; no key was created"),
        ("--output no/such/directory/key", "no key was created"),
        ("--pipe-to no-such-program", "no key was created"),
    ] {
        let output = home.run(&format!("create api-key ci --endpoint flyte.example.com {options}"));
        assert_eq!((output.code, output.out.as_str()), (Some(1), ""), "{options}");
        assert!(output.err.contains(told_why), "{options}: {}", output.err);
    }
    assert_eq!(fs::read_to_string(home.path().join("there")).unwrap(), "another's");
    let names: Vec<_> = home.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["there"]);
}

/// `flyte.example.com:ci:hunter2:None`.
const KEY: &str = "Zmx5dGUuZXhhbXBsZS5jb206Y2k6aHVudGVyMjpOb25l";

#[test]
fn inspect_key_reads_all_sources_and_hides_the_secret() {
    let home = Home::new();
    let arguments = ["auth", "inspect-key", "-o", "json"];
    let from_variable = home.run_with_input(home.command(&arguments).env("FLYTE_API_KEY", KEY), "");
    let from_input = home.run_with_input(&mut home.command(&arguments), &format!("{KEY}\n"));
    let dash = home.run_with_input(&mut home.command(&["auth", "inspect-key", "-", "-o", "json"]), KEY);
    let argument = home.run(&format!("auth inspect-key {KEY} -o json"));
    for (output, source) in [
        (&from_variable, "FLYTE_API_KEY"),
        (&from_input, "standard input"),
        (&dash, "standard input"),
        (&argument, "the command line"),
    ] {
        assert_eq!(output.code, Some(0), "{}", output.err);
        let report: serde_json::Value = serde_json::from_str(&output.out).unwrap();
        assert_eq!(report["endpoint"], "https://flyte.example.com");
        assert_eq!((&report["client_id"], &report["org"]), (&"ci".into(), &serde_json::Value::Null));
        assert_eq!(report["source"], source);
        assert!(
            !output.out.contains("hunter2") && !output.err.contains("hunter2") && !output.err.contains(KEY)
        );
    }
    assert_eq!(from_variable.err, "");
    assert!(argument.err.contains("shell's history"), "{}", argument.err);
}

#[test]
fn broken_key_has_exact_error_without_the_key() {
    let home = Home::new();
    for (key, told_why) in [
        (&KEY[..20], "incomplete: it has 1 of the four parts"),
        (&KEY[..43], "the end is missing (it has 43 characters"),
        ("Zmx5 dGU=", "white space after 4 characters"),
        ("\"Zmx5dGU=\"", "a quotation mark after 0 characters"),
    ] {
        let output =
            home.run_with_input(home.command(&["auth", "inspect-key"]).env("FLYTE_API_KEY", key), "");
        assert_eq!((output.code, output.out.as_str()), (Some(1), ""), "{}", output.err);
        assert!(output.err.contains(told_why) && output.err.contains("next: "), "{key}: {}", output.err);
        assert!(!output.err.contains(key), "{}", output.err);
    }
}

#[test]
fn completions_and_version_need_no_files() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish"] {
        let output = home.run(&format!("completion {shell}"));
        assert_eq!(output.code, Some(0));
        assert!(output.out.contains("inspect-key") && output.err.is_empty(), "{shell}");
    }
    let version = home.run("--version").out;
    assert_eq!(version, home.run("-V").out);
    // What the parentheses contain: crates/flyte-version/tests/build_script.rs.
    assert!(version.starts_with(concat!("flyte ", env!("CARGO_PKG_VERSION"), " (")), "{version}");
    assert!(version.ends_with(")\n"), "{version}");
}
