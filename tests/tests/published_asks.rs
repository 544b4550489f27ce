//! Features that tasks of the published package request from the embedded control plane work, or are refused with a message.

use std::fs;

use flyte_e2e::{CommandOutput, Project, Server, eventually, python};
use serde_json::Value;

fn server() -> Server {
    let environment = python().ancestors().nth(2).unwrap().to_owned();
    Server::with(&["--python", environment.to_str().unwrap()])
}

/// A run's actions of the task `asked.NAME`, as the published command lists them.
fn actions(project: &Project, run: &str, name: &str) -> Vec<Value> {
    let mut command = project.published(&["-of", "json-raw", "get", "action", run]);
    let output = CommandOutput::of(command.env("TERM", "dumb")).ok();
    let all: Vec<Value> = serde_json::from_str(&output.out).unwrap();
    all.into_iter().filter(|action| action["metadata"]["task"]["shortName"] == name).collect()
}

fn statuses(project: &Project, run: &str, name: &str) -> Vec<String> {
    let mut statuses: Vec<_> = actions(project, run, name)
        .iter()
        .map(|action| action["status"]["cacheStatus"].as_str().unwrap_or_default().to_owned())
        .collect();
    statuses.sort();
    statuses
}

#[test]
fn results_are_cached_and_serialized() {
    let server = server();
    let project = Project::at(&server);
    let (twice, at_once) =
        (project.run(&["asked.py", "twice", "--x", "1"]), project.run(&["asked.py", "at_once"]));
    assert_eq!(project.ended(&twice)["outputs"], "{'o0': 'True True True'}");
    assert_eq!(statuses(&project, &twice, "computed"), ["CACHE_HIT", "CACHE_POPULATED"]);
    assert_eq!(project.ended(&at_once)["outputs"], "{'o0': 1}");
    let one = ["CACHE_HIT", "CACHE_HIT", "CACHE_HIT", "CACHE_POPULATED"];
    assert_eq!(statuses(&project, &at_once, "only_once"), one);

    // A run of a task reuses the result of an earlier run, unless it overwrites the cache.
    let ends = |arguments: &[&str]| {
        let run = project.ended(&project.run(arguments));
        assert_eq!(run["phase"], "succeeded", "{run}");
        run["outputs"].as_str().unwrap().to_owned()
    };
    let own = ["asked.py", "computed", "--x", "7"];
    let first = ends(&own);
    assert_eq!(ends(&own), first);
    let script = project.path().join("again.py");
    let program = "import flyte, asked\nflyte.init_from_config()\n\
        run = flyte.with_runcontext(overwrite_cache=True).run(asked.computed, x=7)\nprint(run.name)\n";
    fs::write(&script, program).unwrap();
    let again = CommandOutput::of(&mut project.python(&script, &[])).ok();
    let again = project.ended(again.out.trim().lines().last().unwrap());
    let other = again["outputs"].as_str().unwrap().to_owned();
    assert_ne!(other, first);
    assert_eq!(ends(&own), other, "the latest");
    // The objects of the result no longer exist, so it is computed again.
    for (path, _) in flyte_e2e::files(&server.data().join("objects")) {
        if path.file_name().is_some_and(|name| name == "asked.py") {
            fs::remove_file(path).unwrap();
        }
    }
    assert_ne!(ends(&own), other);
}

#[test]
fn deadline_ends_a_task_and_tasks_reach_the_server_with_tls() {
    let server = server();
    let project = Project::at(&server);
    let (late, uploads) = (project.run(&["asked.py", "late_child"]), project.run(&["asked.py", "uploads"]));
    let run = project.ended(&late);
    let outputs = run["outputs"].as_str().unwrap();
    assert!(outputs.contains("caught DeadlineExceededError") && outputs.contains("within 4s"), "{run}");
    let child = &actions(&project, &late, "too_late")[0];
    assert_eq!(child["status"]["phase"], "ACTION_PHASE_TIMED_OUT", "{child}");
    assert_eq!(child["status"]["attempts"], 1, "{child}");
    let files = flyte_e2e::files(&server.data().join("attempts"));
    let log = files.iter().map(|(_, content)| String::from_utf8_lossy(content)).find_map(|log| {
        let pid = log.split("sleeping as ").nth(1)?;
        Some(pid.chars().take_while(char::is_ascii_digit).collect::<String>())
    });
    let pid = log.expect("the child says who it is");
    eventually("its process is gone", || (!fs::exists(format!("/proc/{pid}")).unwrap()).then_some(()));
    assert_eq!(project.ended(&uploads)["outputs"], "{'o0': 'True True True'}");
}

#[test]
fn unsupported_features_are_refused_with_a_message() {
    let server = server();
    let project = Project::at(&server);
    for (arguments, words) in [
        (&["run", "asked.py", "asks_for_secret"][..], "give tasks secrets"),
        (&["run", "asked.py", "asks_for_gpu"], "give tasks GPUs"),
        (&["run", "asked.py", "asks_for_queue"], "have queues"),
        (&["run", "--queue", "large", "asked.py", "uploads"], "have queues"),
        (&["deploy", "asked.py", "secret"], "give tasks secrets"),
        (&["deploy", "asked.py", "gpu"], "give tasks GPUs"),
        (&["deploy", "asked.py", "scheduled"], "start runs by schedules"),
        (&["deploy", "asked.py", "containers"], "run container and shell tasks"),
    ] {
        let output = CommandOutput::of(&mut project.published(arguments));
        let said = format!("{}{}", output.out, output.err);
        assert!(output.code != Some(0) && said.contains(words), "{arguments:?}: {output:?}");
    }
    // A task that was not checked before is refused when it is called, and the caller has the error.
    let run = project.ended(&project.run(&["asked.py", "calls_one_with_secret"]));
    assert_eq!(run["phase"], "failed", "{run}");
    assert!(run["error"].as_str().unwrap().contains("give tasks secrets"), "{run}");
    let tasks = CommandOutput::of(&mut project.published(&["get", "task"])).ok();
    assert!(!tasks.out.contains("with_"), "nothing of it is deployed: {tasks:?}");

    // A run that has finished is not aborted: the published command says so, and so does ours.
    let name = project.run(&["asked.py", "uploads"]);
    let _ = project.ended(&name);
    let late = CommandOutput::of(&mut project.published(&["abort", "run", &name]));
    let said = format!("{}{}", late.out, late.err);
    assert!(late.code != Some(0) && said.contains("has finished: it succeeded"), "{late:?}");
    let ours = CommandOutput::of(&mut project.ours(&["abort", "run", &name])).ok();
    assert!(ours.err.contains("has already ended (succeeded)"), "{ours:?}");
}
