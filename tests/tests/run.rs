//! `flyte run`, `deploy` and related commands, with our Python package and our server. The tasks really run.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use flyte_e2e::{CommandOutput, Machine, Server, eventually, target};
use serde_json::Value;

const APP: &str = r#"
import time

import flyte

env = flyte.TaskEnvironment(name="hello")


@env.task
def main(name: str, times: int = 1, loud: bool = False) -> str:
    """Greets a person.

    Args:
        name: The person to greet.
    """
    print("greeting", name)
    if name == "missing":
        raise ValueError("no such person")
    greeting = "hello " * times + name
    return greeting.upper() if loud else greeting


@env.task
def count(to: int) -> None:
    for number in range(to):
        print("line", number, flush=True)
        time.sleep(0.05)


@env.task
def sleep(seconds: int) -> None:
    print("asleep", flush=True)
    time.sleep(seconds)


@env.task
def write() -> None:
    while True:
        print("without a pause", flush=True)
"#;

/// The environment of our Python package; `python/dev` makes it.
fn ours() -> PathBuf {
    let environment = target().join("peers/ours");
    assert!(environment.join("bin/python").exists(), "{} is missing: run python/dev", environment.display());
    environment
}

struct World {
    server: Server,
    machine: Machine,
    work: PathBuf,
}

impl World {
    /// A signed-in user with a project in a directory.
    fn new() -> Self {
        let server = Server::with(&["--python", ours().to_str().unwrap()]);
        let machine = Machine::bare();
        machine.sign_in_by_forms(&server);
        let work = machine.home().join("work");
        fs::create_dir_all(work.join("lib")).unwrap();
        for (path, text) in
            [("app.py", APP), (".gitignore", "secret.txt\n"), ("secret.txt", "s3cr3t"), ("lib/x.py", "")]
        {
            fs::write(work.join(path), text).unwrap();
        }
        Self { server, machine, work }
    }

    fn flyte(&self, arguments: &[&str]) -> Command {
        let mut command = self.machine.flyte(arguments);
        command.current_dir(&self.work).env("FLYTE_PYTHON", ours().join("bin/python"));
        for (name, value) in [("FLYTE_TASK_PROJECT", "flytesnacks"), ("FLYTE_TASK_DOMAIN", "development")] {
            command.env(name, value);
        }
        command
    }

    fn run(&self, arguments: &[&str]) -> CommandOutput {
        CommandOutput::of(&mut self.flyte(arguments))
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.run(arguments).ok().out).unwrap()
    }

    /// Starts a command whose output is read at its end.
    fn start(&self, arguments: &[&str]) -> Child {
        self.flyte(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// The uploaded objects below `part` of their paths.
    fn objects(&self, part: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut directories = vec![self.server.data().join("objects/flytesnacks/development").join(part)];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(&directory).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() { directories.push(path) } else { found.push(path) }
            }
        }
        found
    }
}

/// The paths in an archive.
fn listed(archive: &Path) -> Vec<String> {
    let output = CommandOutput::of(Command::new("tar").arg("-tzf").arg(archive)).ok();
    output.out.lines().map(str::to_owned).collect()
}

#[test]
fn task_is_run_followed_and_shown() {
    let world = World::new();
    let output = world
        .run(&[
            "run", "--follow", "--name", "first", "app.py", "main", "--name", "Ada", "--times", "2", "--loud",
        ])
        .ok();
    assert!(
        output.out.contains("greeting Ada\n") && output.out.ends_with("Outputs:\n  o0:  HELLO HELLO ADA\n"),
        "{output:?}"
    );
    assert!(output.err.contains("Run first succeeded"), "{output:?}");
    assert!(
        !output.err.contains('\u{1b}') && !output.out.contains('\u{1b}'),
        "no terminal, no colours: {output:?}"
    );

    // Files in .gitignore are not sent, and the same code is sent only once.
    let archives = world.objects("content");
    assert_eq!(archives.len(), 1, "{archives:?}");
    assert_eq!(listed(&archives[0]), [".gitignore", "app.py", "lib/x.py"]);
    let output = world.run(&["run", "-v", "app.py", "main", "--name", "Grace"]).ok();
    assert!(output.err.contains("the server already has this code"), "{output:?}");
    assert_eq!(world.objects("content"), archives);

    let io = world.json(&["get", "io", "first", "-o", "json"]);
    assert_eq!((&io["inputs"]["name"], &io["inputs"]["times"]), (&"Ada".into(), &2.into()));
    assert_eq!(io["outputs"]["o0"], "HELLO HELLO ADA");
    let log = world.run(&["get", "logs", "first"]).ok();
    assert!(log.out.contains("greeting Ada\n"), "{log:?}");
    let run = world.json(&["get", "run", "first", "-o", "json"]);
    assert_eq!((&run["task"], &run["phase"]), (&"hello.main".into(), &"succeeded".into()));
    let runs = world.json(&["get", "run", "-o", "json"]);
    assert_eq!(runs.as_array().unwrap().len(), 2);
    assert!(world.run(&["get", "action", "first"]).ok().out.contains("hello.main"));
}

#[test]
fn failures_and_mistakes_have_different_exit_codes() {
    let world = World::new();
    let output = world.run(&["run", "--follow", "app.py", "main", "--name", "missing"]).failed(3);
    assert!(output.err.contains("no such person"), "{output:?}");
    let output = world.run(&["run", "app.py", "main", "--name", "Ada", "--times", "many"]).failed(2);
    assert!(output.err.contains("--times <int>"), "{output:?}");
    let output = world.run(&["run", "app.py", "main"]).failed(2);
    assert!(output.err.contains("--name <str>"), "{output:?}");
    assert_eq!(
        world.json(&["get", "run", "-o", "json"]).as_array().unwrap().len(),
        1,
        "mistakes start nothing"
    );
    fs::write(world.work.join("broken.py"), "import flyte\n\nundefined_name\n").unwrap();
    let output = world.run(&["run", "broken.py", "main"]).failed(1);
    assert!(output.err.contains("undefined_name") && output.err.contains("broken.py"), "{output:?}");
}

#[test]
fn interrupting_leaves_the_run_and_abort_ends_it() {
    let world = World::new();
    let follower = world.start(&["run", "--follow", "--name", "long", "app.py", "sleep", "--seconds", "300"]);
    eventually("the task sleeps", || {
        let log = world.run(&["get", "logs", "long"]);
        log.out.contains("asleep").then_some(())
    });
    let _ = CommandOutput::of(Command::new("kill").args(["-INT", &follower.id().to_string()])).ok();
    let left = follower.wait_with_output().unwrap();
    assert_eq!(left.status.code(), Some(130));
    let text = String::from_utf8(left.stderr).unwrap();
    for next in ["flyte get logs long --follow", "flyte abort run long"] {
        assert!(text.contains(next), "{text}");
    }
    assert_eq!(world.json(&["get", "run", "long", "-o", "json"])["phase"], "running");
    let again = world.start(&["get", "logs", "long", "--follow"]);
    let _ = world.run(&["abort", "run", "long", "--reason", "slept enough"]).ok();
    let ended = again.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(3), "{}", String::from_utf8_lossy(&ended.stderr));
    assert!(String::from_utf8_lossy(&ended.stdout).contains("asleep"));
    let shown = world.run(&["get", "run", "long"]).ok();
    assert!(shown.out.contains("aborted") && shown.out.contains("slept enough"), "{shown:?}");
    // Aborting again changes nothing, and the command says so.
    for arguments in [&["abort", "run", "long"][..], &["abort", "action", "long", "a0"]] {
        let again = world.run(arguments).ok();
        assert!(again.err.contains("has already ended (aborted)"), "{again:?}");
    }
}

#[test]
fn log_without_follow_ends_at_the_current_line() {
    let world = World::new();
    let _ = world.run(&["run", "--name", "noisy", "app.py", "write"]).ok();
    eventually("the task writes", || {
        let log = world.run(&["get", "logs", "noisy", "--lines", "2"]);
        log.out.ends_with("without a pause\nwithout a pause\n").then_some(())
    });
    assert_eq!(world.json(&["get", "run", "noisy", "-o", "json"])["phase"], "running");
    let _ = world.run(&["abort", "run", "noisy"]).ok();
    // A task outlives its server, so wait for its end. Otherwise it would write forever.
    let supervisor = format!("supervise {}", world.server.data().display());
    eventually("the task has ended", || {
        let found = Command::new("pgrep").args(["-f", &supervisor]).output().unwrap();
        found.stdout.is_empty().then_some(())
    });
}

#[test]
fn following_continues_after_an_outage() {
    let mut world = World::new();
    let start = |world: &World, name: &str, arguments: &[&str]| {
        let path = world.work.join(name);
        let mut command = world.flyte(arguments);
        let command = command.stdout(fs::File::create(&path).unwrap()).stderr(Stdio::piped());
        (command.spawn().unwrap(), path)
    };
    let arguments = ["run", "--follow", "--name", "counted", "app.py", "count", "--to", "100"];
    let (follower, followed) = start(&world, "followed", &arguments);
    let has = |path: &Path, line: &str| fs::read_to_string(path).unwrap().contains(line).then_some(());
    eventually("the task counts", || has(&followed, "line 3\n"));
    let (reader, read) = start(&world, "read", &["get", "logs", "counted", "--follow"]);
    eventually("the log is read", || has(&read, "line 5\n"));
    world.server.crash();
    for path in [&followed, &read] {
        eventually("the output continues", || has(path, "line 50\n"));
    }
    world.server.signal("TERM");
    world.server.wait();
    world.server.start_again();
    for (child, path) in [(follower, followed), (reader, read)] {
        let ended = CommandOutput::from(child.wait_with_output().unwrap()).ok();
        let text = fs::read_to_string(path).unwrap();
        let lines: Vec<_> = text.lines().filter(|line| line.starts_with("line ")).collect();
        let whole: Vec<_> = (0..100).map(|number| format!("line {number}")).collect();
        assert_eq!(lines, whole, "no line twice, none lost: {}", ended.err);
    }
}

#[test]
fn deployed_tasks_are_listed_and_run() {
    let world = World::new();
    let output = world.run(&["deploy", "--dry-run", "app.py"]).ok();
    assert!(
        output.out.contains("hello.main")
            && output.err.contains("app.py")
            && !output.err.contains("secret.txt"),
        "{output:?}"
    );
    for _ in 0..2 {
        let output = world.run(&["deploy", "--version", "v1", "app.py"]).ok();
        assert!(output.out.contains("hello.main") && output.out.contains("hello.sleep"), "{output:?}");
    }
    let tasks = world.json(&["get", "task", "-o", "json"]);
    let names: Vec<_> = tasks.as_array().unwrap().iter().map(|task| task["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"hello.main") && names.contains(&"hello.sleep"), "{names:?}");
    let task = world.run(&["get", "task", "hello.main", "v1"]).ok();
    assert!(task.out.contains("name: str, times: int = 1"), "{task:?}");
    let output = world.run(&["run", "--follow", "deployed-task", "hello.main", "--name", "Ada"]).ok();
    assert!(output.out.ends_with("Outputs:\n  o0:  hello Ada\n"), "{output:?}");
    let output =
        world.run(&["run", "deployed-task", "hello.main", "--name", "Ada", "--times", "x"]).failed(2);
    assert!(output.err.contains("--times <int>"), "{output:?}");
    let output = world.run(&["run", "deployed-task", "hello.gone"]).failed(1);
    assert!(output.err.contains("hello.gone"), "{output:?}");
}

#[test]
fn local_run_needs_no_server() {
    let machine = Machine::bare();
    let work = machine.home().join("work");
    fs::create_dir_all(&work).unwrap();
    fs::write(work.join("app.py"), APP).unwrap();
    let mut command = machine.flyte(&["run", "--local", "app.py", "main", "--name", "Ada"]);
    let output =
        CommandOutput::of(command.current_dir(&work).env("FLYTE_PYTHON", ours().join("bin/python"))).ok();
    assert_eq!(output.out, "greeting Ada\nOutputs:\n  o0:  hello Ada\n", "{output:?}");
}
