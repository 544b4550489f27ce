//! Tests `flyte create config` without options, with answers at a real pseudo-terminal.
#![forbid(unsafe_code)]
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "clippy.toml knows only functions marked as tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// Runs a command at its own terminal and answers its questions: pairs of the shown text and the typed answer. The shown
/// text goes to standard output.
const TERMINAL: &str = r#"
import json, os, pty, signal, sys

signal.alarm(60)
child, terminal = pty.fork()
if child == 0:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.execv(sys.argv[2], sys.argv[2:])
shown, rest = b"", b""

def read():
    global shown, rest
    try:
        some = os.read(terminal, 4096)
    except OSError:
        some = b""
    shown, rest = shown + some, rest + some
    return some

for question, answer in json.loads(sys.argv[1]):
    question = question.encode()
    while question not in rest:
        if not read():
            sys.exit(f"it ended before it asked {question}: {shown}")
    rest = rest.split(question, 1)[1]
    os.write(terminal, answer.encode())
while read():
    pass
sys.stdout.buffer.write(shown.replace(b"\r\n", b"\n"))
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
sys.exit(128 - code if code < 0 else code)
"#;

struct CommandOutput {
    out: String,
    code: Option<i32>,
}

struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn config(&self) -> PathBuf {
        self.0.path().join(".flyte/config.yaml")
    }

    fn run(&self, command: &mut Command) -> CommandOutput {
        command.env_clear().env("HOME", self.0.path()).env("PATH", "/usr/local/bin:/usr/bin:/bin");
        let output = command.current_dir(self.0.path()).stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        CommandOutput { out: text.replace(self.0.path().to_str().unwrap(), "~"), code: output.status.code() }
    }

    /// A command that runs at a terminal.
    fn terminal(&self, line: &str, answers: &[(&str, &str)]) -> Command {
        let mut command = Command::new("python3");
        let answers = serde_json::to_string(answers).unwrap();
        command.args(["-c", TERMINAL, &answers, env!("CARGO_BIN_EXE_flyte")]).args(line.split(' '));
        command
    }

    fn answer(&self, line: &str, answers: &[(&str, &str)]) -> CommandOutput {
        self.run(&mut self.terminal(line, answers))
    }
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

/// Nothing listens on port 9 (discard) here.
const NEW: &str = "admin:\n  endpoint: dns:///localhost:9\nimage:\n  builder: local\n";

#[test]
fn endpoint_is_asked_for_until_it_is_valid() {
    let home = Home::new();
    let output = home.answer(
        "create config",
        &[
            ("Endpoint: ", "\n"),
            ("the endpoint is empty", ""),
            ("Endpoint: ", "ftp://host\n"),
            ("has the scheme ftp://", ""),
            ("Endpoint: ", "localhost:99999\n"),
            ("no valid port", ""),
            ("Endpoint: ", " https://localhost:9/ \n"),
        ],
    );
    assert_eq!(output.code, Some(0), "{}", output.out);
    assert!(
        output.out.contains("note: cannot reach https://localhost:9: the connection was refused"),
        "{}",
        output.out
    );
    assert!(output.out.contains("\nConfig file written to ~/.flyte/config.yaml\n"), "{}", output.out);
    assert_eq!(text(&home.config()), NEW);
}

#[test]
fn empty_answer_means_the_suggestion() {
    let home = Home::new();
    fs::create_dir(home.config().parent().unwrap()).unwrap();
    let old = "# ours\nadmin:\n  endpoint: dns:///localhost:9\n  insecureSkipVerify: true\n";
    fs::write(home.config(), old).unwrap();
    let output = home.answer("create config", &[("Change it in place? [y/N] ", "n\n")]);
    assert!(output.out.contains("config.yaml was not changed") && output.code == Some(0), "{}", output.out);
    assert_eq!(text(&home.config()), old);
    let output = home.answer(
        "create config --registry ghcr.io/acme",
        &[
            ("Change it in place? [y/N] ", "y\n"),
            ("/.flyte/config.yaml: https://localhost:9", ""),
            ("Endpoint [localhost:9]: ", "\n"),
        ],
    );
    assert_eq!(output.code, Some(0), "{}", output.out);
    assert_eq!(text(&home.config()), format!("{old}image:\n  registry: ghcr.io/acme\n"));
    let mut command = home.terminal(
        "create config -o new.yaml",
        &[
            ("FLYTE_ADMIN_ENDPOINT, which takes precedence over files: https://localhost:10", ""),
            (".flyte/config.yaml: https://localhost:9", ""),
            ("Endpoint [localhost:10]: ", "localhost:9\n"),
        ],
    );
    // Set after clearing the environment.
    command.arg("--force");
    let command = with(&home, command, "FLYTE_ADMIN_ENDPOINT", "localhost:10");
    assert_eq!(command.code, Some(0), "{}", command.out);
    assert_eq!(text(&home.0.path().join("new.yaml")), NEW);
}

/// Runs a command with an environment variable.
fn with(home: &Home, command: Command, name: &str, value: &str) -> CommandOutput {
    let mut env = Command::new("env");
    env.arg(format!("{name}={value}")).arg(command.get_program()).args(command.get_args());
    home.run(&mut env)
}

#[test]
fn cancelling_writes_no_file() {
    let home = Home::new();
    for (typed, code, expected) in
        [("\u{3}", 130, ""), ("\u{4}", 2, "the question was not answered: no file")]
    {
        let output = home.answer("create config", &[("Endpoint: ", typed)]);
        assert_eq!(output.code, Some(code), "{}", output.out);
        assert!(output.out.replace("\n  cause", "").contains(expected), "{}", output.out);
        assert!(!home.config().exists(), "{typed:?}");
    }
}

#[test]
fn missing_terminal_names_the_flag() {
    let home = Home::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_flyte"));
    let output = home.run(command.args(["create", "config"]));
    assert_eq!(output.code, Some(2));
    assert!(output.out.contains("--endpoint HOST"), "{}", output.out);
    // A CI job can have a terminal without a user.
    let output = with(&home, home.terminal("create config", &[]), "CI", "true");
    assert_eq!(output.code, Some(2), "{}", output.out);
    assert!(output.out.contains("--endpoint HOST") && !output.out.contains("Endpoint:"), "{}", output.out);
    assert!(!home.config().exists());
}
