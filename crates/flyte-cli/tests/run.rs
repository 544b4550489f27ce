//! Tests `flyte run` and `flyte deploy` with a simulated bridge (`docs/reference/bridge.md`), without a server.
#![forbid(unsafe_code)]
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "clippy.toml knows only functions marked as tests")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// The start of each simulated bridge: it ignores the sources of the command's own bridge, and says which SDK it is.
const START: &str = r#"#!/usr/bin/env python3
import json, sys

sys.stdin.readline()
assert json.loads(sys.stdin.readline()) == {"do": "sdk"}
print(json.dumps({"sdk": "simulated", "version": "1.0", "capabilities": ["apps", "local"]}), flush=True)
"#;

/// A bridge for one task.
const BRIDGE: &str = r#"
import json, sys

def send(message):
    print(json.dumps(message), flush=True)

TASK = {"name": "hello.main", "function": "main", "short_name": "main", "docs": "Greets.\n\nAs often as you want.", "inputs": [
    {"name": "who", "python_type": "str", "required": True, "help": "The person to greet."},
    {"name": "times", "python_type": "int", "required": False, "default": "1", "help": ""},
]}

for line in sys.stdin:
    request = json.loads(line)
    if request["do"] == "describe":
        text = open(request["files"][0]).read()
        print("grün" if "accents" in text else "imported", file=sys.stderr)
        if "broken" in text:
            send({"error": {"message": "NameError: name 'broken' is not defined", "traceback": "  File \"app.py\", line 3"}})
        elif "gone" in text:
            sys.exit(3)
        elif "empty" in text:
            send({"environments": []})
        else:
            send({"environments": [
                {"name": "hello", "variables": ["env", "board"] if "ambiguous" in text else ["env"], "own": True, "tasks": [TASK]},
                {"name": "board", "variables": ["web"], "own": True, "app": {"name": "board"}},
            ]})
    elif request["do"] == "include":
        send({"files": ["data.csv"]})
    elif request["do"] == "run_local":
        values = request["values"]
        if values.get("times") == "many":
            send({"error": {"message": "'many' is not a whole number", "field": "times"}})
        elif values["who"] == "missing":
            send({"error": {"message": "ValueError: no such person", "traceback": "  File \"app.py\", line 9, in main"}})
        else:
            send({"log": {"stream": "stdout", "text": "greeting"}})
            send({"log": {"stream": "stderr", "text": "careful"}})
            send({"outputs": {"o0": "hello " + values["who"], "o1": [1, None]}})
"#;

/// A bridge whose file writes much before its answer, and whose task writes at the end of Python.
const CHATTY: &str = r#"
import atexit, json, sys

def send(message):
    print(json.dumps(message), flush=True)

for line in sys.stdin:
    request = json.loads(line)
    if request["do"] == "describe":
        for number in range(4000):
            print("importing, line", number, file=sys.stderr)
        send({"environments": [{"name": "hello", "own": True, "tasks": [{"name": "hello.main", "function": "main"}]}]})
    else:
        for number in range(1000):
            print("running, line", number, file=sys.stderr)
            send({"log": {"stream": "stderr", "text": f"logged, line {number}"}})
        atexit.register(lambda: print("saved", file=sys.stderr))
        send({"outputs": {"o0": 1}})
"#;

/// A bridge that starts a process which holds its pipes open, and then ends.
const LEAVES: &str = r#"
import json, os, sys, time

request = json.loads(sys.stdin.readline())
if "dies" in open(request["files"][0]).read():
    if os.fork() == 0:
        open("left", "w").write(str(os.getpid()))
        time.sleep(600)
    while not (os.path.exists("left") and open("left").read()):
        time.sleep(0.01)
    print("last words", file=sys.stderr, flush=True)
    os._exit(3)
if os.fork() == 0:
    open("left", "w").write(str(os.getpid()))
    time.sleep(600)
while not (os.path.exists("left") and open("left").read()):
    time.sleep(0.01)
print("imported", file=sys.stderr)
print(json.dumps({"environments": [{"name": "hello", "own": True, "tasks": [{"name": "hello.main", "function": "main"}]}]}), flush=True)
sys.stdin.readline()
"#;

struct CommandOutput {
    out: String,
    err: String,
    code: Option<i32>,
}

/// A directory with an `app.py`, and a Python that is a simulated bridge, or one with a package `flyte` that is no SDK.
fn project(bridge: Option<&str>, app: &str) -> TempDir {
    let home = TempDir::new().unwrap();
    let package = home.path().join("site/flyte");
    fs::create_dir_all(&package).unwrap();
    fs::write(package.join("__init__.py"), "__version__ = '9.9.9'\n").unwrap();
    if let Some(bridge) = bridge {
        let python = home.path().join("python");
        fs::write(&python, [START, bridge].concat()).unwrap();
        fs::set_permissions(&python, fs::Permissions::from_mode(0o700)).unwrap();
    }
    fs::create_dir(home.path().join("work")).unwrap();
    fs::write(home.path().join("work/app.py"), app).unwrap();
    home
}

fn run(home: &Path, line: &[&str]) -> CommandOutput {
    run_with(home, line, &[])
}

fn run_with(home: &Path, line: &[&str], variables: &[(&str, &str)]) -> CommandOutput {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flyte"));
    command.args(line).env_clear().env("HOME", home).env("PATH", "/usr/local/bin:/usr/bin:/bin");
    command.envs(variables.iter().copied());
    if home.join("python").exists() {
        command.env("FLYTE_PYTHON", home.join("python"));
    }
    command.env("PYTHONPATH", home.join("site")).current_dir(home.join("work")).stdin(Stdio::null());
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(home.to_str().unwrap(), "~");
    CommandOutput { out: text(stdout), err: text(stderr), code: status.code() }
}

#[test]
fn run_lists_tasks_and_inputs() {
    let home = project(Some(BRIDGE), "");
    for line in [&["run", "app.py"][..], &["run", "app.py", "--help"]] {
        let output = run(home.path(), line);
        if line.len() == 2 {
            assert_eq!(
                output.out,
                "TASK        INPUTS                DESCRIPTION\nhello.main  who: str, times: int  Greets.\n"
            );
            assert!(output.err.ends_with("Run one: flyte run app.py hello.main\n"), "{}", output.err);
        }
        assert_eq!(output.code, Some(0), "{}", output.err);
    }
    let output = run(home.path(), &["run", "app.py", "main", "--help"]);
    assert_eq!(output.code, Some(0), "{}", output.err);
    for part in [
        "As often as you want.",
        "Usage: flyte run app.py main --who <str> [OPTIONS]",
        "The person to greet.",
        "[default: 1]",
    ] {
        assert!(output.out.contains(part), "{part}: {}", output.out);
    }
}

#[test]
fn local_run_has_typed_inputs() {
    let home = project(Some(BRIDGE), "");
    let output = run(home.path(), &["run", "--local", "app.py", "main", "--who", "Ada"]);
    assert_eq!(
        (output.code, output.out.as_str()),
        (Some(0), "greeting\nOutputs:\n  o0:  hello Ada\n  o1:  [1,null]\n"),
        "{}",
        output.err
    );
    assert!(output.err.contains("imported\n") && output.err.contains("careful\n"), "{}", output.err);
    let output = run(home.path(), &["run", "--local", "-o", "json", "app.py", "hello.main", "--who", "Ada"]);
    assert_eq!(
        (output.code, output.out.as_str()),
        (Some(0), "{\n  \"o0\": \"hello Ada\",\n  \"o1\": [\n    1,\n    null\n  ]\n}\n")
    );
    let output = run(home.path(), &["run", "--local", "app.py", "main", "--who", "missing"]);
    assert_eq!((output.code, output.out.as_str()), (Some(3), ""));
    assert!(output.err.contains("line 9, in main"), "{}", output.err);
    assert!(
        output.err.contains("error: task hello.main failed\n  cause: ValueError: no such person"),
        "{}",
        output.err
    );
}

#[test]
fn wrong_inputs_name_the_option_and_exit_with_2() {
    let home = project(Some(BRIDGE), "");
    for (inputs, told_so) in [
        (
            &["--who", "A", "--times", "many"][..],
            "invalid value for '--times <int>': 'many' is not a whole number",
        ),
        (&[], "--who <str>"),
        (&["--who", "A", "--nonsense", "1"], "unexpected argument '--nonsense'"),
    ] {
        let line = [&["run", "--local", "app.py", "main"][..], inputs].concat();
        let output = run(home.path(), &line);
        assert_eq!((output.code, output.out.as_str()), (Some(2), ""), "{inputs:?}");
        assert!(output.err.contains(told_so), "{}", output.err);
    }
    let output = run(home.path(), &["run", "--local", "app.py", "mian"]);
    assert_eq!(output.code, Some(2));
    assert!(output.err.contains("it has no task mian; its tasks are hello.main"), "{}", output.err);
    let output = run(home.path(), &["run", "--local", "app.py", "board"]);
    assert!(
        output.err.contains("board is an app") && output.err.contains("flyte deploy app.py board"),
        "{}",
        output.err
    );
}

#[test]
fn failed_import_shows_the_users_traceback() {
    let home = project(Some(BRIDGE), "broken\n");
    let output = run(home.path(), &["run", "--local", "app.py", "main"]);
    assert_eq!((output.code, output.out.as_str()), (Some(1), ""));
    assert!(output.err.contains("File \"app.py\", line 3"), "{}", output.err);
    assert!(
        output.err.contains(
            "error: cannot import ~/work/app.py\n  cause: NameError: name 'broken' is not defined\n  next: "
        ),
        "{}",
        output.err
    );
    fs::write(home.path().join("work/app.py"), "empty").unwrap();
    let output = run(home.path(), &["run", "app.py"]);
    assert_eq!(output.code, Some(2));
    assert!(output.err.contains("there is nothing to run in app.py"), "{}", output.err);
    let output = run(home.path(), &["run", "none.py", "main", "--local"]);
    assert_eq!(output.code, Some(2), "{}", output.err);
}

#[test]
fn other_pythons_are_diagnosed() {
    let home = project(None, "");
    let output = run(home.path(), &["run", "--local", "app.py", "main"]);
    assert_eq!(output.code, Some(1));
    assert!(
        output.err.contains("its package flyte (9.9.9) is not one that this command knows"),
        "{}",
        output.err
    );
    // A package that cannot be imported is shown with its own reason.
    fs::write(home.path().join("site/flyte/__init__.py"), "import nothing_of_the_kind\n").unwrap();
    let output = run(home.path(), &["run", "--local", "app.py", "main"]);
    assert!(output.err.contains("No module named 'nothing_of_the_kind'"), "{}", output.err);
    fs::remove_dir_all(home.path().join("site")).unwrap();
    let output = run(home.path(), &["run", "--local", "app.py", "main"]);
    assert!(
        output.err.contains("the package flyte is not installed there\n  next: Install it: "),
        "{}",
        output.err
    );
    let output = run(home.path(), &["run", "--local", "--python", "/nowhere/python", "app.py", "main"]);
    assert!(
        output.err.contains("/nowhere/python cannot run this file\n  cause: it cannot be started"),
        "{}",
        output.err
    );
}

#[test]
fn pythons_output_comes_before_the_commands_output() {
    let home = project(Some(CHATTY), "");
    let imported: String = (0..4000).map(|number| format!("importing, line {number}\n")).collect();
    for _ in 0..5 {
        let output = run(home.path(), &["run", "app.py"]);
        assert_eq!(output.err.strip_prefix(&imported).unwrap(), "\nRun one: flyte run app.py hello.main\n");
    }
    let output = run(home.path(), &["run", "--local", "app.py", "main"]);
    assert_eq!(output.out, "Outputs:\n  o0:  1\n");
    let ran = output.err.strip_prefix(&imported).unwrap().strip_suffix("saved\n").unwrap();
    let (mut running, mut logged) = (0, 0);
    for line in ran.lines() {
        if line == format!("running, line {running}") {
            running += 1;
        } else {
            // Python continues meanwhile, but its earlier output was shown first.
            assert_eq!(line, format!("logged, line {logged}"));
            logged += 1;
            assert!(running >= logged, "{line} was shown before earlier output");
        }
    }
    assert_eq!((running, logged), (1000, 1000));
}

#[test]
fn output_of_python_is_utf_8() {
    let home = project(Some(BRIDGE), "# accents");
    // A locale with another encoding, as on Windows.
    let ascii = [("LC_ALL", "C"), ("PYTHONUTF8", "0"), ("PYTHONCOERCECLOCALE", "0")];
    let output = run_with(home.path(), &["run", "app.py"], &ascii);
    assert!(output.err.starts_with("grün\n"), "{}", output.err);
}

#[test]
fn command_does_not_wait_for_processes_of_python() {
    let home = project(Some(LEAVES), "");
    for (app, code, told_so) in [
        ("lives", 0, "imported\n\nRun one: flyte run app.py hello.main\n"),
        ("dies", 1, "last words\nerror: Python ended before it answered"),
    ] {
        let left = home.path().join("work/left");
        let _ = fs::remove_file(&left);
        fs::write(home.path().join("work/app.py"), app).unwrap();
        let output = run(home.path(), &["run", "app.py"]);
        // The process still runs, so the command did not wait for it.
        let kill = Command::new("kill").arg(fs::read_to_string(&left).unwrap()).status().unwrap();
        assert!(kill.success(), "{}", output.err);
        assert_eq!(output.code, Some(code), "{}", output.err);
        assert!(output.err.starts_with(told_so), "{}", output.err);
    }
}

#[test]
fn dry_run_needs_no_server() {
    let home = project(Some(BRIDGE), "");
    fs::write(home.path().join("work/.gitignore"), "*.csv\n").unwrap();
    fs::write(home.path().join("work/other.csv"), "1").unwrap();
    // An environment includes this file.
    fs::write(home.path().join("work/data.csv"), "1").unwrap();
    let output = run(home.path(), &["deploy", "--dry-run", "--version", "v1", "app.py"]);
    assert_eq!(output.code, Some(0), "{}", output.err);
    assert!(
        output
            .err
            .contains("The bundle would contain 3 files from ~/work:\n  .gitignore\n  app.py\n  data.csv\n"),
        "{}",
        output.err
    );
    let rows: Vec<_> =
        output.out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(rows[1..], ["task hello.main v1 would be deployed", "app board v1 would be deployed"]);
    let output = run(home.path(), &["deploy", "--dry-run", "app.py", "other"]);
    assert!(
        output.err.contains("has no environment other")
            && output.err.contains("it has hello (variable env), board (variable web)"),
        "{}",
        output.err
    );
    for name in ["hello", "env"] {
        let output = run(home.path(), &["deploy", "--dry-run", "app.py", name]);
        assert!(output.out.contains("hello.main") && !output.out.contains("board"), "{}", output.out);
    }
    fs::write(home.path().join("work/app.py"), "ambiguous").unwrap();
    let output = run(home.path(), &["deploy", "--dry-run", "app.py", "board"]);
    assert_eq!(output.code, Some(2));
    assert!(
        output.err.contains("it matches hello (variable env, board) and board (variable web)"),
        "{}",
        output.err
    );
    fs::write(home.path().join("work/.gitignore"), "*.py\n").unwrap();
    let output = run(home.path(), &["deploy", "--dry-run", "app.py"]);
    assert!(output.err.contains("app.py is not in the bundle"), "{}", output.err);
    let output = run(home.path(), &["run", "--copy-style", "none", "app.py", "main"]);
    assert_eq!(output.code, Some(2));
    assert!(output.err.contains("--version VERSION"), "{}", output.err);
}
