//! `flyte run` and `flyte deploy` of our command with the published Python package, unmodified. The tasks really run.

use std::fs;

use flyte_e2e::{CommandOutput, Project, Server, python};
use serde_json::Value;

/// A server that runs tasks in the environment of the published packages.
fn server() -> Server {
    let environment = python().ancestors().nth(2).unwrap().to_owned();
    Server::with(&["--python", environment.to_str().unwrap(), "--max-tasks", "4"])
}

/// Our command, with the published package.
fn flyte(project: &Project, arguments: &[&str]) -> CommandOutput {
    let mut command = project.ours(arguments);
    command.env("FLYTE_PYTHON", python());
    for (name, value) in [("FLYTE_TASK_PROJECT", "flytesnacks"), ("FLYTE_TASK_DOMAIN", "development")] {
        command.env(name, value);
    }
    CommandOutput::of(&mut command)
}

/// The outputs of a run that the command follows to its successful end.
fn outputs(project: &Project, arguments: &[&str]) -> Value {
    let ran = flyte(project, &[&["run", "--follow"], arguments].concat()).ok();
    let name = ran.err.split("Started run ").nth(1).unwrap().split(' ').next().unwrap();
    let io = flyte(project, &["get", "io", name, "-o", "json"]).ok();
    serde_json::from_str::<Value>(&io.out).unwrap()["outputs"].take()
}

#[test]
fn tasks_run_with_typed_inputs() {
    let server = server();
    let project = Project::at(&server);
    let work = project.path();

    // The tasks and inputs of a file, from its signatures and docstrings.
    let listed = flyte(&project, &["run", "app.py"]).ok();
    assert!(listed.out.contains("peer.main") && listed.out.contains("n: int, who: str"), "{listed:?}");
    let help = flyte(&project, &["run", "app.py", "main", "--help"]).ok();
    for part in ["What is doubled. [default: 3]", "Who is greeted. [default: world]"] {
        assert!(help.out.contains(part), "{help:?}");
    }

    // Nested tasks, a map and a trace.
    let main = ["--env", "FROM_RUN=something", "--name", "first", "app.py", "main", "--n", "5"];
    assert_eq!(outputs(&project, &main)["o0"], "world: 10 2470 6");
    let log = flyte(&project, &["get", "logs", "first"]).ok();
    assert!(log.out.contains("hello world, something from the run"), "{log:?}");
    // The published package reads the run in the same way as one of its own command.
    let run = project.ended("first");
    assert_eq!((&run["task"], &run["attempts"]), (&"peer.main".into(), &1.into()));
    assert_eq!(run["actions"].as_array().unwrap().len(), 22 + 1, "{run}");

    // A dataclass and a list as JSON, a list as several options.
    let shapes =
        ["app.py", "shapes", "--p", r#"{"x": 1, "y": 2.5}"#, "--tags", "a", "--tags", "b", "--scale", "4"];
    assert_eq!(outputs(&project, &shapes)["o0"], serde_json::json!({"x": 3, "y": 10.0, "label": "p+a+b"}));

    // A file, and a directory with another one in it.
    fs::create_dir_all(work.join("given/below")).unwrap();
    fs::write(work.join("given/one"), "1").unwrap();
    fs::write(work.join("given/below/two"), "2").unwrap();
    fs::write(work.join("in.txt"), "Grüße\n").unwrap();
    assert_eq!(
        outputs(&project, &["app.py", "names", "--d", "given"])["o0"],
        serde_json::json!(["one", "two"])
    );
    let uploaded = flyte_e2e::files(&server.data().join("objects"));
    assert!(uploaded.iter().any(|(path, _)| path.ends_with("given/below/two")), "the paths are kept");
    let files = outputs(&project, &["app.py", "files", "--f", "in.txt"]);
    assert_eq!(files["o0"], "grüße\nGRÜSSE\nGRÜSSE\n8");

    // As in the published command, a bool without a default is false. Options about logs are variables of the tasks.
    fs::write(
        work.join("flags.py"),
        "import logging, os\n\nimport flyte\n\nenv = flyte.TaskEnvironment(name='flags', image='python:3.12')\n\n\n\
         @env.task\ndef main(loud: bool) -> str:\n    names = ('LOG_FORMAT', 'USER_LOG_LEVEL', '_F_SYS_PATH')\n\
         \x20   return ' '.join([str(loud), *(os.environ.get(name, '-') for name in names)])\n",
    )
    .unwrap();
    let paths = ["--no-sync-local-sys-paths", "flags.py", "main"];
    assert_eq!(outputs(&project, &paths)["o0"], "False - - -");
    let logs = ["--log-format", "json", "--user-log-level", "error", "flags.py", "main", "--loud"];
    assert_eq!(outputs(&project, &logs)["o0"], "True json 40 ./.");

    // Mistakes start nothing.
    for (arguments, told_so) in [
        (&["run", "app.py", "main", "--n", "many"][..], "--n <int>': 'many' is not a valid integer"),
        (&["run", "app.py", "names"], "--d <Dir"),
        (&["run", "app.py", "files", "--f", "gone.txt"], "expected the path of a file, or a URL"),
        (&["run", "app.py", "shapes", "--p", "{", "--tags", "a"], "--p <Point>"),
        (&["run", "app.py", "nothing"], "it has no task nothing"),
    ] {
        let refused = flyte(&project, arguments).failed(2);
        assert!(refused.err.contains(told_so), "{told_so}: {refused:?}");
    }
}

#[test]
fn scripts_with_any_name_run_and_import_their_neighbours() {
    let server = server();
    let project = Project::at(&server);
    let scripts = project.path();
    fs::write(scripts.join("neighbour.py"), "WORD = 'from a neighbour'\n").unwrap();
    fs::write(scripts.join("data.txt"), "from a file").unwrap();
    let script = "import pathlib\nfrom enum import Enum\nfrom typing import Literal\n\nimport flyte\nfrom neighbour import WORD\n\n\
        class Colour(Enum):\n    RED = 'r'\n    BLUE = 'b'\n\n\
        env = flyte.TaskEnvironment(name='basic', image='python:3.12', include=['data.txt'])\n\n\
        @env.task\ndef main(colour: Colour, size: Literal['small', 'large'] = 'small', n: int | None = None) -> str:\n\
        \x20   text = (pathlib.Path(__file__).parent / 'data.txt').read_text()\n\
        \x20   return f'{WORD}, {text}: {colour.name} {size} {n}'\n\n\
        @env.task\ndef broken() -> None:\n    print('about to fail')\n    raise ValueError('deliberately')\n";
    fs::write(scripts.join("01_basic.py"), script).unwrap();
    fs::write(project.path().join(".gitignore"), "*.txt\n").unwrap();
    let file = "01_basic.py";

    assert_eq!(
        outputs(&project, &[file, "main", "--colour", "BLUE", "--size", "large", "--n", "3"])["o0"],
        "from a neighbour, from a file: BLUE large 3"
    );
    assert_eq!(
        outputs(&project, &[file, "main", "--colour", "RED"])["o0"],
        "from a neighbour, from a file: RED small None"
    );
    // In a directory below, where the neighbours are found through the script's own directory.
    let below = scripts.join("some/below");
    fs::create_dir_all(&below).unwrap();
    for name in ["neighbour.py", "data.txt", file] {
        fs::copy(scripts.join(name), below.join(name)).unwrap();
    }
    fs::remove_file(scripts.join("neighbour.py")).unwrap();
    assert_eq!(
        outputs(&project, &["some/below/01_basic.py", "main", "--colour", "RED"])["o0"],
        "from a neighbour, from a file: RED small None"
    );
    fs::copy(below.join("neighbour.py"), scripts.join("neighbour.py")).unwrap();

    let wrong = flyte(&project, &["run", file, "main", "--colour", "GREEN"]).failed(2);
    assert!(wrong.err.contains("[possible values: RED, BLUE]"), "{wrong:?}");

    // On this machine, without a server.
    let local = flyte(&project, &["run", "--local", file, "main", "--colour", "RED", "--size", "large"]).ok();
    assert_eq!(local.out, "Outputs:\n  o0:  from a neighbour, from a file: RED large None\n", "{local:?}");
    let failed = flyte(&project, &["run", "--local", file, "broken"]).failed(3);
    assert_eq!(failed.out, "about to fail\n", "{failed:?}");
    assert!(
        failed.err.contains("cause: ValueError: deliberately")
            && failed.err.contains("01_basic.py\", line")
            && !failed.err.contains("site-packages"),
        "{failed:?}"
    );
    fs::write(scripts.join("02_broken.py"), "import flyte\n\nundefined_name\n").unwrap();
    let broken = flyte(&project, &["run", "02_broken.py", "main"]).failed(1);
    assert!(broken.err.contains("undefined_name") && broken.err.contains("02_broken.py"), "{broken:?}");
}

#[test]
fn environments_are_deployed() {
    let server = server();
    let project = Project::at(&server);
    let work = project.path();
    fs::create_dir_all(work.join("src/below")).unwrap();
    let task = |environment: &str, variable: &str, more: &str| {
        format!(
            "import flyte\n{more}\n{variable} = flyte.TaskEnvironment(name='{environment}', image='python:3.12')\n\n\
             @{variable}.task(triggers=flyte.Trigger('hourly', flyte.Cron('0 * * * *'), inputs={{'n': 7}}, auto_activate=False))\n\
             def {environment}_task(n: int = 1) -> int:\n    \"\"\"Returns a number.\"\"\"\n    return n\n"
        )
    };
    fs::write(work.join("src/one.py"), task("first", "env", "")).unwrap();
    fs::write(work.join("src/two.py"), task("second", "other", "from one import env as imported\n")).unwrap();
    fs::write(work.join("src/below/three.py"), task("third", "env", "")).unwrap();
    let names = || {
        let tasks = flyte(&project, &["get", "task", "-o", "json"]).ok();
        let tasks: Vec<Value> = serde_json::from_str(&tasks.out).unwrap();
        let mut names: Vec<_> = tasks.iter().map(|task| task["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };

    // By the variable's name, and by the environment's.
    let deployed = flyte(&project, &["deploy", "--version", "v1", "src/two.py", "other"]).ok();
    assert!(deployed.out.contains("second.second_task"), "{deployed:?}");
    assert_eq!(names(), ["second.second_task"]);
    let again = flyte(&project, &["deploy", "--version", "v1", "src/two.py", "second"]).ok();
    assert!(again.out.contains("second.second_task"), "{again:?}");
    // Those that the file imports, too.
    let _ = flyte(&project, &["deploy", "--version", "v1", "--all", "src/two.py"]).ok();
    assert_eq!(names(), ["first.first_task", "second.second_task"]);
    // A directory, and those below it.
    let directory = flyte(&project, &["deploy", "--dry-run", "--root-dir", "src", "src"]).ok();
    assert!(directory.out.contains("first_task") && !directory.out.contains("third_task"), "{directory:?}");
    fs::write(work.join("src/below/broken.py"), "import nothing_of_the_kind\n").unwrap();
    let refused = flyte(&project, &["deploy", "--recursive", "--root-dir", "src", "src"]).failed(1);
    assert!(refused.err.contains("nothing_of_the_kind"), "{refused:?}");
    let all = flyte(&project, &["deploy", "-r", "-i", "--version", "v2", "--root-dir", "src", "src"]).ok();
    assert!(all.err.contains("left out") && all.err.contains("broken.py"), "{all:?}");
    assert_eq!(names(), ["first.first_task", "second.second_task", "third.third_task"]);

    // A file that is imported under two names.
    let twice = flyte(&project, &["deploy", "--version", "v3", "src"]).failed(1);
    assert!(twice.err.contains("imported under two names") && twice.err.contains("--root-dir"), "{twice:?}");

    // What was deployed is complete: documentation, defaults, triggers.
    let task = flyte(&project, &["get", "task", "third.third_task", "v2"]).ok();
    assert!(task.out.contains("Returns a number.") && task.out.contains("n: int = 1"), "{task:?}");
    let triggers = CommandOutput::of(&mut project.published(&["get", "trigger"])).ok();
    assert!(triggers.out.contains("hourly") && triggers.out.contains("third.third_task"), "{triggers:?}");
    assert_eq!(outputs(&project, &["deployed-task", "third.third_task"])["o0"], 1);

    // Apps.
    let app = flyte(&project, &["deploy", "web.py", "served"]).ok();
    assert!(app.out.contains("served"), "{app:?}");
    let http = reqwest::blocking::Client::builder().no_proxy().build().unwrap();
    let page = flyte_e2e::eventually("the app answers", || {
        let apps = flyte(&project, &["get", "app", "-o", "json"]).ok();
        let apps: Vec<Value> = serde_json::from_str(&apps.out).unwrap();
        http.get(apps[0]["url"].as_str()?).send().ok()?.text().ok()
    });
    assert_eq!(page, "hello from an app");
    let _ = flyte(&project, &["delete", "app", "served", "--yes"]);

    // Served: the command waits until the app answers.
    let serve =
        ["serve", "--name", "second", "--env-var", "GREETING=set by serve", "-o", "json", "web.py", "served"];
    let answers = |served: CommandOutput| {
        let app: Value = serde_json::from_str(&served.ok().out).unwrap();
        assert_eq!((&app["name"], &app["state"]), (&"second".into(), &"active".into()), "{app}");
        http.get(app["url"].as_str().unwrap()).send().unwrap().text().unwrap()
    };
    assert_eq!(answers(flyte(&project, &serve)), "set by serve");
    let listed = |filter: &[&str]| {
        let apps = flyte(&project, &[&["get", "app", "-o", "json"], filter].concat()).ok();
        serde_json::from_str::<Vec<Value>>(&apps.out).unwrap().len()
    };
    assert_eq!(listed(&["--only-mine", "--status", "active", "--status", "failed"]), 1);
    assert_eq!(listed(&["--status", "stopped"]), 0);
    // It starts an app that was stopped.
    let _ = flyte(&project, &["update", "app", "second", "--deactivate"]).ok();
    assert_eq!(answers(flyte(&project, &serve)), "set by serve");
    let _ = flyte(&project, &["delete", "app", "second", "--yes"]);
    let refused = flyte(&project, &["serve", "src/one.py"]).failed(2);
    assert!(refused.err.contains("there is no app in src/one.py"), "{refused:?}");
    let refused = flyte(&project, &["serve", "web.py"]).failed(2);
    assert!(
        refused.err.contains("which app of web.py?") && refused.err.contains("web, served"),
        "{refused:?}"
    );
}
