//! `flyte run` and `flyte deploy` with a Python that answers as ours does, without any server: `docs/reference/bridge.md`.
#![forbid(unsafe_code)]
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "clippy.toml knows only functions marked as tests")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A package `flyte` that speaks the bridge's words about one task.
const BRIDGE: &str = r#"
import json, sys

def send(message):
    print(json.dumps(message), flush=True)

TASK = {"name": "hello.main", "function": "main", "short_name": "main", "docs": "Greets.\n\nAs often as wanted.", "inputs": [
    {"name": "who", "python_type": "str", "required": True, "help": "Whom to greet."},
    {"name": "times", "python_type": "int", "required": False, "default": "1", "help": ""},
]}

for line in sys.stdin:
    request = json.loads(line)
    if request["do"] == "describe":
        text = open(request["file"]).read()
        print("imported", file=sys.stderr)
        if "broken" in text:
            send({"error": {"message": "NameError: name 'broken' is not defined", "traceback": "  File \"app.py\", line 3"}})
        elif "gone" in text:
            sys.exit(3)
        elif "empty" in text:
            send({"environments": []})
        else:
            send({"environments": [{"name": "hello", "own": True, "tasks": [TASK]}, {"name": "board", "own": True, "app": {"name": "board"}}]})
    elif request["do"] == "include":
        send({"files": ["data.csv"]})
    elif request["do"] == "run_local":
        values = request["values"]
        if values.get("times") == "many":
            send({"error": {"message": "'many' is no whole number", "field": "times"}})
        elif values["who"] == "nobody":
            send({"error": {"message": "ValueError: nobody is there", "traceback": "  File \"app.py\", line 9, in main"}})
        else:
            send({"log": {"stream": "stdout", "text": "greeting"}})
            send({"log": {"stream": "stderr", "text": "careful"}})
            send({"outputs": {"o0": "hello " + values["who"], "o1": [1, None]}})
"#;

/// A bridge whose file writes much before its answer, and whose task leaves something to the end of Python.
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

/// A bridge that leaves a process behind, which holds all of its pipes open, and dies.
const LEAVES: &str = r#"
import json, os, sys, time

request = json.loads(sys.stdin.readline())
if "dies" in open(request["file"]).read():
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

struct Told {
    out: String,
    err: String,
    code: Option<i32>,
}

/// A directory with a package `flyte` and an `app.py`.
fn project(bridge: Option<&str>, app: &str) -> TempDir {
    let home = TempDir::new().unwrap();
    let package = home.path().join("site/flyte");
    fs::create_dir_all(&package).unwrap();
    fs::write(package.join("__init__.py"), "__version__ = '2.12.1'\n").unwrap();
    if let Some(bridge) = bridge {
        fs::write(package.join("_bridge.py"), bridge).unwrap();
    }
    fs::create_dir(home.path().join("work")).unwrap();
    fs::write(home.path().join("work/app.py"), app).unwrap();
    home
}

fn run(home: &Path, line: &[&str]) -> Told {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flyte"));
    command.args(line).env_clear().env("HOME", home).env("PATH", "/usr/local/bin:/usr/bin:/bin");
    command.env("PYTHONPATH", home.join("site")).current_dir(home.join("work")).stdin(Stdio::null());
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(home.to_str().unwrap(), "~");
    Told { out: text(stdout), err: text(stderr), code: status.code() }
}

#[test]
fn a_file_tells_its_tasks_and_a_task_its_inputs() {
    let home = project(Some(BRIDGE), "");
    for line in [&["run", "app.py"][..], &["run", "app.py", "--help"]] {
        let told = run(home.path(), line);
        if line.len() == 2 {
            assert_eq!(
                told.out,
                "TASK        INPUTS                DESCRIPTION\nhello.main  who: str, times: int  Greets.\n"
            );
            assert!(told.err.ends_with("Run one: flyte run app.py hello.main\n"), "{}", told.err);
        }
        assert_eq!(told.code, Some(0), "{}", told.err);
    }
    let told = run(home.path(), &["run", "app.py", "main", "--help"]);
    assert_eq!(told.code, Some(0), "{}", told.err);
    for part in [
        "As often as wanted.",
        "Usage: flyte run app.py main --who <str> [OPTIONS]",
        "Whom to greet.",
        "[default: 1]",
    ] {
        assert!(told.out.contains(part), "{part}: {}", told.out);
    }
}

#[test]
fn a_task_runs_here_with_typed_inputs() {
    let home = project(Some(BRIDGE), "");
    let told = run(home.path(), &["run", "--local", "app.py", "main", "--who", "Ada"]);
    assert_eq!(
        (told.code, told.out.as_str()),
        (Some(0), "greeting\nOutputs:\n  o0:  hello Ada\n  o1:  [1,null]\n"),
        "{}",
        told.err
    );
    assert!(told.err.contains("imported\n") && told.err.contains("careful\n"), "{}", told.err);
    let told = run(home.path(), &["run", "--local", "-o", "json", "app.py", "hello.main", "--who", "Ada"]);
    assert_eq!(
        (told.code, told.out.as_str()),
        (Some(0), "{\n  \"o0\": \"hello Ada\",\n  \"o1\": [\n    1,\n    null\n  ]\n}\n")
    );
    let told = run(home.path(), &["run", "--local", "app.py", "main", "--who", "nobody"]);
    assert_eq!((told.code, told.out.as_str()), (Some(3), ""));
    assert!(told.err.contains("line 9, in main"), "{}", told.err);
    assert!(
        told.err.contains("error: the task hello.main has failed\n  cause: ValueError: nobody is there"),
        "{}",
        told.err
    );
}

#[test]
fn mistakes_in_inputs_name_the_option_and_end_with_2() {
    let home = project(Some(BRIDGE), "");
    for (inputs, told_so) in [
        (
            &["--who", "A", "--times", "many"][..],
            "invalid value for '--times <int>': 'many' is no whole number",
        ),
        (&[], "--who <str>"),
        (&["--who", "A", "--nonsense", "1"], "unexpected argument '--nonsense'"),
    ] {
        let line = [&["run", "--local", "app.py", "main"][..], inputs].concat();
        let told = run(home.path(), &line);
        assert_eq!((told.code, told.out.as_str()), (Some(2), ""), "{inputs:?}");
        assert!(told.err.contains(told_so), "{}", told.err);
    }
    let told = run(home.path(), &["run", "--local", "app.py", "mian"]);
    assert_eq!(told.code, Some(2));
    assert!(told.err.contains("there is no mian; there are hello.main"), "{}", told.err);
    let told = run(home.path(), &["run", "--local", "app.py", "board"]);
    assert!(
        told.err.contains("board is an app") && told.err.contains("flyte deploy app.py board"),
        "{}",
        told.err
    );
}

#[test]
fn a_file_that_cannot_be_imported_shows_the_persons_own_traceback() {
    let home = project(Some(BRIDGE), "broken\n");
    let told = run(home.path(), &["run", "--local", "app.py", "main"]);
    assert_eq!((told.code, told.out.as_str()), (Some(1), ""));
    assert!(told.err.contains("File \"app.py\", line 3"), "{}", told.err);
    assert!(
        told.err.contains(
            "error: cannot import ~/work/app.py\n  cause: NameError: name 'broken' is not defined\n  next: "
        ),
        "{}",
        told.err
    );
    fs::write(home.path().join("work/app.py"), "empty").unwrap();
    let told = run(home.path(), &["run", "app.py"]);
    assert_eq!(told.code, Some(2));
    assert!(told.err.contains("there is nothing to run in app.py"), "{}", told.err);
    let told = run(home.path(), &["run", "none.py", "main", "--local"]);
    assert_eq!(told.code, Some(2), "{}", told.err);
}

#[test]
fn another_python_than_ours_is_told_apart() {
    let home = project(None, "");
    let told = run(home.path(), &["run", "--local", "app.py", "main"]);
    assert_eq!(told.code, Some(1));
    assert!(told.err.contains("its package flyte (2.12.1) is not the one"), "{}", told.err);
    assert!(!told.err.contains("No module named"), "{}", told.err);
    fs::remove_dir_all(home.path().join("site")).unwrap();
    let told = run(home.path(), &["run", "--local", "app.py", "main"]);
    assert!(
        told.err.contains("the package flyte is not installed there\n  next: Install it: "),
        "{}",
        told.err
    );
    let told = run(home.path(), &["run", "--local", "--python", "/nowhere/python", "app.py", "main"]);
    assert!(
        told.err.contains("/nowhere/python cannot run this file\n  cause: it cannot be started"),
        "{}",
        told.err
    );
}

#[test]
fn what_python_writes_is_shown_before_the_commands_own_lines() {
    let home = project(Some(CHATTY), "");
    let imported: String = (0..4000).map(|number| format!("importing, line {number}\n")).collect();
    for _ in 0..5 {
        let told = run(home.path(), &["run", "app.py"]);
        assert_eq!(told.err.strip_prefix(&imported).unwrap(), "\nRun one: flyte run app.py hello.main\n");
    }
    let told = run(home.path(), &["run", "--local", "app.py", "main"]);
    assert_eq!(told.out, "Outputs:\n  o0:  1\n");
    let ran = told.err.strip_prefix(&imported).unwrap().strip_suffix("saved\n").unwrap();
    let (mut running, mut logged) = (0, 0);
    for line in ran.lines() {
        if line == format!("running, line {running}") {
            running += 1;
        } else {
            // Python goes on meanwhile, but what it wrote before is there.
            assert_eq!(line, format!("logged, line {logged}"));
            logged += 1;
            assert!(running >= logged, "{line} came before what was written before it");
        }
    }
    assert_eq!((running, logged), (1000, 1000));
}

#[test]
fn a_process_that_python_leaves_behind_holds_no_command_up() {
    let home = project(Some(LEAVES), "");
    for (app, code, told_so) in [
        ("lives", 0, "imported\n\nRun one: flyte run app.py hello.main\n"),
        ("dies", 1, "last words\nerror: /usr"),
    ] {
        let left = home.path().join("work/left");
        let _ = fs::remove_file(&left);
        fs::write(home.path().join("work/app.py"), app).unwrap();
        let told = run(home.path(), &["run", "app.py"]);
        // It is still there: nothing has waited for its end.
        let kill = Command::new("kill").arg(fs::read_to_string(&left).unwrap()).status().unwrap();
        assert!(kill.success(), "{}", told.err);
        assert_eq!(told.code, Some(code), "{}", told.err);
        assert!(told.err.starts_with(told_so), "{}", told.err);
    }
}

#[test]
fn what_would_be_deployed_is_told_without_a_server() {
    let home = project(Some(BRIDGE), "");
    fs::write(home.path().join("work/.gitignore"), "*.csv\n").unwrap();
    fs::write(home.path().join("work/other.csv"), "1").unwrap();
    // An environment includes it.
    fs::write(home.path().join("work/data.csv"), "1").unwrap();
    let told = run(home.path(), &["deploy", "--dry-run", "--version", "v1", "app.py"]);
    assert_eq!(told.code, Some(0), "{}", told.err);
    assert!(
        told.err.contains("3 files would be taken along from ~/work:\n  .gitignore\n  app.py\n  data.csv\n"),
        "{}",
        told.err
    );
    let rows: Vec<_> =
        told.out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(rows[1..], ["task hello.main v1 would be deployed", "app board v1 would be deployed"]);
    let told = run(home.path(), &["deploy", "--dry-run", "app.py", "other"]);
    assert!(
        told.err.contains("has no environment other") && told.err.contains("there are hello, board"),
        "{}",
        told.err
    );
    fs::write(home.path().join("work/.gitignore"), "*.py\n").unwrap();
    let told = run(home.path(), &["deploy", "--dry-run", "app.py"]);
    assert!(told.err.contains("app.py is not in the bundle"), "{}", told.err);
    let told = run(home.path(), &["run", "--copy-style", "none", "app.py", "main"]);
    assert_eq!(told.code, Some(2));
    assert!(told.err.contains("--version VERSION"), "{}", told.err);
}
