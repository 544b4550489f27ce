//! The published Python `flyte` and its runtime `a0`, unmodified: what it deploys and runs against our server is kept, runs,
//! and gives back what it computed.

use std::fs;

use flyte_e2e::{CommandOutput, Project, Server, eventually, python};
use serde_json::Value;

/// A server that runs tasks in the environment of the published packages.
///
/// A task fails if its runtime's controller does not start within five seconds (`thread_wait_timeout_sec`). It takes 0.3 s, but
/// 3.5 s among 16 that start at once on two processors, as those of two tests do with the server's own limit of 8 tasks.
fn server() -> Server {
    let environment = python().ancestors().nth(2).unwrap().to_owned();
    Server::with(&["--python", environment.to_str().unwrap(), "--max-tasks", "4"])
}

/// The text of a member, for comparing.
fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_else(|| panic!("{member} of {value}"))
}

/// The number of a task's actions in a run.
fn actions(run: &Value, task: &str) -> usize {
    run["actions"].as_array().unwrap().iter().filter(|action| action["task"] == task).count()
}

#[test]
fn nested_tasks_maps_and_traces_run() {
    let server = server();
    let project = Project::at(&server);
    let name = project.run(&["--env", "FROM_RUN=something", "app.py", "main", "--n", "5"]);
    let run = project.ended(&name);
    assert_eq!(run["phase"], "succeeded", "{run}");
    assert_eq!(text(&run, "outputs"), "{'o0': 'world: 10 2470 6'}");
    assert_eq!((&run["task"], &run["attempts"]), (&"peer.main".into(), &1.into()));
    assert!(text(&run, "logs").contains("hello world, something from the run"), "{run}");
    assert_eq!(actions(&run, "peer.double"), 1);
    assert_eq!(actions(&run, "peer.square"), 20);
    for action in run["actions"].as_array().unwrap() {
        assert_eq!(action["phase"], "succeeded", "{action}");
        if action["task"] == "peer.square" {
            assert_eq!((&action["parent"], &action["group"]), (&"a0".into(), &"peer.square_map".into()));
        }
    }

    // The command shows the same.
    let runs = CommandOutput::of_published(&mut project.published(&["get", "run"])).ok();
    assert!(runs.out.contains(&name) && runs.out.contains("ACTION_PHASE_SUCCEEDED"), "{runs:?}");
    let one = CommandOutput::of_published(&mut project.published(&["get", "run", &name])).ok();
    assert!(one.out.contains("peer.main") && one.out.contains("FROM_RUN"), "{one:?}");
    let logs = CommandOutput::of_published(&mut project.published(&["get", "logs", &name])).ok();
    assert!(logs.out.contains("hello world"), "{logs:?}");
    let io = CommandOutput::of_published(&mut project.published(&["get", "io", &name])).ok();
    assert!(io.out.contains("'n': 5") && io.out.contains("world: 10 2470 6"), "{io:?}");
    let double =
        run["actions"].as_array().unwrap().iter().find(|action| action["task"] == "peer.double").unwrap();
    let child = text(double, "name");
    let logs = CommandOutput::of_published(&mut project.published(&["get", "logs", &name, child])).ok();
    assert!(logs.out.contains("doubling 5"), "{logs:?}");
    let io = CommandOutput::of_published(&mut project.published(&["get", "io", &name, child])).ok();
    assert!(io.out.contains("10"), "{io:?}");
    let listed = CommandOutput::of_published(&mut project.published(&[
        "get",
        "action",
        &name,
        "--in-phase",
        "succeeded",
    ]))
    .ok();
    assert_eq!(listed.out.matches("peer.square ").count(), 20, "{listed:?}");
    for (phase, found) in [("succeeded", true), ("failed", false)] {
        let some = CommandOutput::of_published(&mut project.published(&[
            "get",
            "run",
            "--in-phase",
            phase,
            "--only-mine",
        ]))
        .ok();
        assert_eq!(some.out.contains(&name), found, "{some:?}");
    }
}

#[test]
fn failed_runs_have_errors() {
    let server = server();
    let project = Project::at(&server);
    let failing = project.run(&["app.py", "failing", "--x", "3"]);
    let (parent, hopeless) =
        (project.run(&["app.py", "parent_of_failing"]), project.run(&["app.py", "hopeless"]));
    let (retried, endless) = (project.run(&["app.py", "retried"]), project.run(&["app.py", "endless"]));

    let run = project.ended(&failing);
    assert_eq!((&run["phase"], &run["error"]), (&"failed".into(), &"deliberate failure 3".into()));
    assert_eq!(run["attempts"], 1);
    assert!(text(&run, "logs").contains("ValueError: deliberate failure 3"), "{run}");
    // Its parent catches the original exception.
    let run = project.ended(&parent);
    assert_eq!(text(&run, "outputs"), "{'o0': 'caught ValueError: deliberate failure 7'}", "{run}");
    // An unrecoverable error is not retried. A recoverable one is retried up to the limit.
    let run = project.ended(&hopeless);
    assert_eq!((&run["phase"], &run["attempts"]), (&"failed".into(), &1.into()), "{run}");
    let run = project.ended(&retried);
    assert_eq!((&run["phase"], &run["attempts"]), (&"succeeded".into(), &2.into()), "{run}");
    assert_eq!(text(&run, "outputs"), "{'o0': 1}");
    let first =
        CommandOutput::of_published(&mut project.published(&["get", "logs", &retried, "--attempt", "1"]))
            .ok();
    assert!(first.out.contains("attempt 0") && !first.out.contains("attempt 1"), "{first:?}");
    let run = project.ended(&endless);
    assert_eq!(run["phase"], "timed_out", "{run}");
}

#[test]
fn inputs_and_outputs_round_trip() {
    let server = server();
    let project = Project::at(&server);
    let directory = project.path().join("given");
    fs::create_dir_all(directory.join("below")).unwrap();
    fs::write(directory.join("one"), "1").unwrap();
    fs::write(directory.join("below/two"), "2").unwrap();
    fs::write(project.path().join("in.txt"), "Grüße\n").unwrap();

    let shapes = project.run(&[
        "app.py",
        "shapes",
        "--p",
        r#"{"x": 1, "y": 2.5}"#,
        "--tags",
        r#"["a", "b"]"#,
        "--scale",
        "4",
    ]);
    let (names, files) = (
        project.run(&["app.py", "names", "--d", "given"]),
        project.run(&["app.py", "files", "--f", "in.txt"]),
    );
    let run = project.ended(&shapes);
    assert_eq!(text(&run, "outputs"), "{'o0': Point(x=3, y=10.0, label='p+a+b')}", "{run}");
    let run = project.ended(&names);
    assert_eq!(text(&run, "outputs"), "{'o0': ['one', 'two']}", "{run}");
    let run = project.ended(&files);
    assert!(
        text(&run, "outputs").starts_with(
            r"{'o0': 'grüße\nGRÜSSE\nGRÜSSE\n8', 'o1': ['length.txt', 'lower.txt'], 'o2': File("
        ),
        "{run}"
    );
}

#[test]
fn deployed_tasks_are_listed_and_run_by_name() {
    let server = server();
    let project = Project::at(&server);
    let deployed = CommandOutput::of(&mut project.published(&["deploy", "app.py", "env"])).ok();
    assert!(deployed.out.contains("peer.main"), "{deployed:?}");
    // Again: nothing changes.
    let _ = CommandOutput::of(&mut project.published(&["deploy", "app.py", "env"])).ok();
    let tasks = CommandOutput::of_published(&mut project.published(&["get", "task"])).ok();
    for task in ["peer.main", "peer.double", "peer.files"] {
        assert_eq!(tasks.out.matches(&format!(" {task} ")).count(), 1, "{tasks:?}");
    }
    let one = CommandOutput::of_published(&mut project.published(&["get", "task", "peer.double"])).ok();
    assert!(one.out.contains("peer.double") && !one.out.contains("peer.main"), "{one:?}");

    // The user guide's.
    let listall = project.path().join("listall.py");
    let program = "import flyte\nimport flyte.remote as remote\nflyte.init_from_config()\n\
        tasks = [t for t in remote.Task.listall(project=\"flytesnacks\", domain=\"development\")]\n\
        print(sorted(t.name for t in tasks), tasks[0].version)\n\
        print(remote.Task.listall(by_task_env=\"other\") and len(list(remote.Task.listall(by_task_env=\"other\"))))\n\
        task = remote.Task.get(\"peer.shapes\", auto_version=\"latest\").fetch()\n\
        print(task.interface)\n";
    fs::write(&listall, program).unwrap();
    let listed = CommandOutput::of(&mut project.python(&listall, &[])).ok();
    assert!(listed.out.contains("'peer.double', 'peer.endless'"), "{listed:?}");
    assert!(listed.out.contains("\n0\n") && listed.out.contains("scale"), "{listed:?}");
    let version = listed.out.lines().next().unwrap().rsplit(' ').next().unwrap();
    let shown =
        CommandOutput::of_published(&mut project.published(&["get", "task", "peer.double", version])).ok();
    assert!(shown.out.contains("Twice a number."), "{shown:?}");

    let first = project.run(&["deployed-task", "peer.double", "--x", "21"]);
    let run = project.ended(&first);
    assert_eq!(text(&run, "outputs"), "{'o0': 42}", "{run}");
    // What ran before runs again, with the inputs that it had.
    let again = CommandOutput::of(&mut project.published(&["rerun", &first, "--name", "again"])).ok();
    assert!(again.out.contains("again"), "{again:?}");
    assert_eq!(text(&project.ended("again"), "outputs"), "{'o0': 42}");
}

#[test]
fn aborting_a_run_ends_all_its_tasks() {
    let server = server();
    let project = Project::at(&server);
    let name = project.run(&["--name", "to-be-aborted", "app.py", "slow_parent"]);
    assert_eq!(name, "to-be-aborted");
    let child = eventually("the child runs", || {
        let mut listed = project.published(&["-of", "json-raw", "get", "action", &name]);
        // Raw only if the terminal has no styles.
        let actions = CommandOutput::of(listed.env("TERM", "dumb")).ok();
        let actions: Value = serde_json::from_str(&actions.out).unwrap();
        let child = actions.as_array().unwrap().iter().find(|action| {
            action["metadata"]["task"]["shortName"] == "slow"
                && action["status"]["phase"] == "ACTION_PHASE_RUNNING"
        })?;
        Some(child["id"]["name"].as_str().unwrap().to_owned())
    });
    let pid = eventually("the child says who it is", || {
        let files = flyte_e2e::files(&server.data().join("attempts"));
        let (_, log) = files.iter().find(|(path, _)| {
            path.ends_with("log.jsonl") && path.components().any(|part| part.as_os_str() == child.as_str())
        })?;
        let log = String::from_utf8_lossy(log).into_owned();
        let pid = log.split("sleeping as ").nth(1)?;
        Some(pid.chars().take_while(char::is_ascii_digit).collect::<String>())
    });
    assert!(fs::exists(format!("/proc/{pid}")).unwrap());
    let aborted =
        CommandOutput::of(&mut project.published(&["abort", "run", &name, "--reason", "enough"])).ok();
    assert!(aborted.out.contains("has been aborted"), "{aborted:?}");
    eventually("the child's process is gone", || {
        (!fs::exists(format!("/proc/{pid}")).unwrap()).then_some(())
    });
    let run = project.ended(&name);
    assert_eq!((&run["phase"], &run["aborted"]), (&"aborted".into(), &"enough".into()), "{run}");
    for action in run["actions"].as_array().unwrap() {
        assert_eq!(action["phase"], "aborted", "{action}");
    }
    // The name is taken.
    let taken =
        CommandOutput::of(&mut project.published(&["run", "--name", &name, "app.py", "double", "--x", "1"]))
            .failed(1);
    assert!(taken.out.contains("already exists"), "{taken:?}");
}

#[test]
fn tasks_have_limited_rights() {
    let server = server();
    let project = Project::at(&server);
    let name = project.run(&["app.py", "whoami"]);
    let run = project.ended(&name);
    assert_eq!(run["phase"], "succeeded", "{run}");
    let said = text(&run, "outputs");
    assert!(said.contains(&format!("flytesnacks/development/{name}: ")), "{run}");
    assert!(!said.contains("made a project"), "{run}");
    // The user's login on this machine is unchanged, and the task created none.
    let status = CommandOutput::of(&mut project.ours(&["auth", "status"])).ok();
    assert!(status.out.contains("Signed in:       yes"), "{status:?}");
}

#[test]
fn runs_survive_the_server() {
    let mut server = server();
    let project = Project::at(&server);
    let name = project.run(&["app.py", "slow", "--seconds", "8"]);
    eventually("it runs", || {
        let run =
            CommandOutput::of_published(&mut project.published(&["get", "run", "--in-phase", "running"]))
                .ok();
        run.out.contains(&name).then_some(())
    });
    server.crash();
    let run = project.ended(&name);
    assert_eq!((&run["phase"], &run["attempts"]), (&"succeeded".into(), &1.into()), "{run}");
}

#[test]
fn app_is_deployed_and_stopped() {
    let server = server();
    let project = Project::at(&server);
    let http = reqwest::blocking::Client::builder().no_proxy().build().unwrap();
    let port = flyte_e2e::free_port().to_string();
    let published = |arguments: &[&str]| {
        let mut command = project.published(arguments);
        command.env("WEB_PORT", &port);
        CommandOutput::of(&mut command)
    };
    let none = published(&["get", "app"]).ok();
    assert!(!none.out.contains("web"), "{none:?}");
    let served = published(&["serve", "web.py", "served"]).ok();
    let apps = published(&["get", "app"]).ok();
    assert!(apps.out.contains("served") && apps.out.contains("ACTIVE"), "{served:?} {apps:?}");
    let url =
        apps.out.split("http").nth(1).map(|rest| format!("http{}", rest.split([' ', '│']).next().unwrap()));
    let url = url.unwrap_or_else(|| panic!("{apps:?}"));
    let page = eventually("the app answers", || http.get(&url).send().ok()?.text().ok());
    assert_eq!(page, "hello from an app");

    // Once more with nothing changed, and another one.
    let _ = published(&["serve", "web.py", "served"]).ok();
    let _ = published(&["deploy", "web.py", "web"]).ok();
    eventually("the other app is there, too", || {
        published(&["get", "app", "--status", "active"]).ok().out.contains(" web ").then_some(())
    });
    let one = published(&["get", "app", "served"]).ok();
    assert!(one.out.contains("fserve"), "{one:?}");
    let _ = published(&["update", "app", "served", "--deactivate", "--wait"]).ok();
    eventually("the app has stopped", || http.get(&url).send().is_err().then_some(()));
    let deleted = published(&["delete", "app", "served"]).ok();
    let none = published(&["get", "app"]).ok();
    assert!(!none.out.contains("served"), "{deleted:?} {none:?}");
}
