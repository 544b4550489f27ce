//! `flyte create config` without settings, with a person at a real pseudo-terminal.
#![forbid(unsafe_code)]
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "clippy.toml knows only functions marked as tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// Runs a command at a terminal of its own and answers its questions: pairs of what it shows and what is typed then. What it
/// showed goes to standard output.
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

struct Told {
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

    fn told(&self, command: &mut Command) -> Told {
        command.env_clear().env("HOME", self.0.path()).env("PATH", "/usr/local/bin:/usr/bin:/bin");
        let output = command.current_dir(self.0.path()).stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        Told { out: text.replace(self.0.path().to_str().unwrap(), "~"), code: output.status.code() }
    }

    /// A command at a terminal.
    fn terminal(&self, line: &str, answers: &[(&str, &str)]) -> Command {
        let mut command = Command::new("python3");
        let answers = serde_json::to_string(answers).unwrap();
        command.args(["-c", TERMINAL, &answers, env!("CARGO_BIN_EXE_flyte")]).args(line.split(' '));
        command
    }

    fn asked(&self, line: &str, answers: &[(&str, &str)]) -> Told {
        self.told(&mut self.terminal(line, answers))
    }
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

/// Port 9 (discard) answers nothing here.
const NEW: &str = "admin:\n  endpoint: dns:///localhost:9\nimage:\n  builder: local\n";

#[test]
fn the_endpoint_is_asked_for_until_it_is_one() {
    let home = Home::new();
    let told = home.asked(
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
    assert_eq!(told.code, Some(0), "{}", told.out);
    assert!(
        told.out.contains("note: cannot reach https://localhost:9 now: the connection was refused"),
        "{}",
        told.out
    );
    assert!(told.out.contains("\nConfig file written to ~/.flyte/config.yaml\n"), "{}", told.out);
    assert_eq!(text(&home.config()), NEW);
}

#[test]
fn an_empty_answer_takes_what_was_found() {
    let home = Home::new();
    fs::create_dir(home.config().parent().unwrap()).unwrap();
    let old = "# ours\nadmin:\n  endpoint: dns:///localhost:9\n  insecureSkipVerify: true\n";
    fs::write(home.config(), old).unwrap();
    let told = home.asked("create config", &[("Change it in place? [y/N] ", "n\n")]);
    assert!(told.out.contains("config.yaml was not changed") && told.code == Some(0), "{}", told.out);
    assert_eq!(text(&home.config()), old);
    let told = home.asked(
        "create config --registry ghcr.io/acme",
        &[
            ("Change it in place? [y/N] ", "y\n"),
            ("/.flyte/config.yaml: https://localhost:9", ""),
            ("Endpoint [localhost:9]: ", "\n"),
        ],
    );
    assert_eq!(told.code, Some(0), "{}", told.out);
    assert_eq!(text(&home.config()), format!("{old}image:\n  registry: ghcr.io/acme\n"));
    let mut command = home.terminal(
        "create config -o new.yaml",
        &[
            ("FLYTE_ADMIN_ENDPOINT, which comes before any file: https://localhost:10", ""),
            (".flyte/config.yaml: https://localhost:9", ""),
            ("Endpoint [localhost:10]: ", "localhost:9\n"),
        ],
    );
    // Set after the environment was cleared.
    command.arg("--force");
    let command = with(&home, command, "FLYTE_ADMIN_ENDPOINT", "localhost:10");
    assert_eq!(command.code, Some(0), "{}", command.out);
    assert_eq!(text(&home.0.path().join("new.yaml")), NEW);
}

/// A command with a variable.
fn with(home: &Home, command: Command, name: &str, value: &str) -> Told {
    let mut env = Command::new("env");
    env.arg(format!("{name}={value}")).arg(command.get_program()).args(command.get_args());
    home.told(&mut env)
}

#[test]
fn who_breaks_off_writes_nothing() {
    let home = Home::new();
    for (typed, code, told_so) in [("\u{3}", 130, ""), ("\u{4}", 2, "the question was not answered: nothing")]
    {
        let told = home.asked("create config", &[("Endpoint: ", typed)]);
        assert_eq!(told.code, Some(code), "{}", told.out);
        assert!(told.out.replace("\n  cause", "").contains(told_so), "{}", told.out);
        assert!(!home.config().exists(), "{typed:?}");
    }
}

#[test]
fn without_anybody_to_ask_the_flag_is_named() {
    let home = Home::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_flyte"));
    let told = home.told(command.args(["create", "config"]));
    assert_eq!(told.code, Some(2));
    assert!(told.out.contains("--endpoint HOST"), "{}", told.out);
    // A job of a CI system may have a terminal that nobody sits at.
    let told = with(&home, home.terminal("create config", &[]), "CI", "true");
    assert_eq!(told.code, Some(2), "{}", told.out);
    assert!(told.out.contains("--endpoint HOST") && !told.out.contains("Endpoint:"), "{}", told.out);
    assert!(!home.config().exists());
}
