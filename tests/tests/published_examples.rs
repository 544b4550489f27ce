//! Examples for the published Python package, from the packages in `tests/peers/examples.txt`, run with our command, the published
//! package and our server. They use only the standard library and the package itself.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use flyte_e2e::{CommandOutput, Project, Server, python, target};
use serde_json::Value;

/// How many runs are followed at once.
const CONCURRENT_RUNS: usize = 3;

/// File, task and inputs. The files below `mcp` are those of the SDK's own repository; those below `skills` have the number of the block
/// of Python in the text of a skill.
const EXAMPLES: &[(&str, &str, &[&str])] = &[
    ("mcp/advanced/custom_context.py", "main", &["--x", "3"]),
    ("mcp/advanced/display_names.py", "main", &[]),
    ("mcp/advanced/cancel_tasks.py", "sleepers", &["--f", "0.1", "--n", "2"]),
    ("mcp/advanced/external_abort.py", "main", &["--n", "2", "--sleep-for", "0.1"]),
    ("mcp/basics/big_fanout.py", "fanout_with_failures", &["--n", "3"]),
    ("mcp/basics/cancel_and_continue.py", "fanout_calculation", &["--ls", "1", "--ls", "2"]),
    (
        "mcp/basics/dataclass_examples.py",
        "predict_one",
        &["--request", r#"{"feature_a": 1.0, "feature_b": 2.0}"#],
    ),
    ("mcp/convert/two_defaults_task.py", "porch_zero_default_repro", &[]),
    ("mcp/genai/agent_simulation_loadtest.py", "search_web", &["--query", "q"]),
    ("mcp/genai/hello_agent.py", "search_subagent", &["--query", "q", "--idx", "1"]),
    ("mcp/image/base_image.py", "t1", &[]),
    ("mcp/image/clone_existing_image.py", "workflow", &[]),
    ("mcp/image/image_from_env.py", "t1", &[]),
    ("mcp/image/image_from_ref_default.py", "main", &[]),
    ("mcp/reference_tasks/spark_env.py", "spark_task", &["--x", "a"]),
    ("mcp/reuse/errors.py", "main", &["--n", "1"]),
    ("mcp/reuse/oomer_reuse.py", "always_succeeds", &[]),
    ("mcp/reuse/reusable.py", "main", &["--n", "3"]),
    ("mcp/reuse/reusable_with_mem.py", "add", &["--x", "1", "--multiplier", "2"]),
    ("mcp/reuse/reuse_concurrency.py", "reuse_concurrency", &["--n", "3"]),
    ("mcp/sandbox/dynamic_code.py", "add", &["--x", "1", "--y", "2"]),
    ("mcp/sandbox/oneshot_run.py", "power", &["--base", "2", "--exp", "3"]),
    ("mcp/streaming/basic_as_completed.py", "process_item", &["--item", "a"]),
    ("mcp/stress/cpu_gremlin.py", "main", &["--sleep", "0.1", "--n", "2"]),
    ("mcp/stress/fanout_concurrency.py", "reuse_concurrency", &["--n", "3"]),
    ("mcp/stress/fast_crasher.py", "run", &["--x", "1"]),
    ("mcp/triggers/basic.py", "example_task", &["--trigger-time", "2026-01-31T12:00:00Z"]),
    ("mcp/triggers/time_zone.py", "my_task", &["--start-time", "now", "--x", "1"]),
    ("skills/flyte-migrate/04.py", "main", &["--data", "1.5", "--data", "2.5"]),
    ("skills/flyte-migrate/05.py", "main", &["--items", "1", "--items", "2"]),
    ("skills/flyte-migrate-config/01.py", "main", &["--step", "1"]),
    ("skills/flyte-migrate-config/10.py", "main", &[]),
    ("skills/flyte-migrate-control-flow/01.py", "main", &["--n-rows", "600"]),
    ("skills/flyte-migrate-control-flow/03.py", "main", &["--n", "2"]),
    ("skills/flyte-migrate-control-flow/05.py", "main", &["--max-depth", "3"]),
    ("skills/flyte-migrate-control-flow/08.py", "main", &["--n", "2", "--model-version", "1"]),
    ("skills/flyte-migrate-control-flow/09.py", "main_async", &["--n", "2", "--model-version", "1"]),
    ("skills/flyte-migrate-control-flow/12.py", "main", &["--start", "2026-01-01", "--days", "2"]),
    ("skills/flyte-migrate-data-io/01.py", "main", &["--content", "hello"]),
    ("skills/flyte-migrate-data-io/05.py", "main", &["--learning-rate", "0.1", "--n-estimators", "5"]),
    ("skills/flyte-migrate-tasks-workflows/01.py", "main", &["--name", "Ada"]),
    ("skills/flyte-migrate-tasks-workflows/03.py", "main", &[]),
    ("skills/flyte-migrate-tasks-workflows/05.py", "main", &["--raw-value", "1.5"]),
    ("skills/flyte-sdk-types/00.py", "main", &[]),
    ("skills/flyte-sdk-types/01.py", "main", &[]),
];

/// Writes the examples that the packages contain to files.
fn write_examples(directory: &Path) {
    let packages = target().join("peers/examples");
    let knowledge = packages.join("flyte_mcp/data/flyte-v2-knowledge.json");
    let text = fs::read_to_string(&knowledge)
        .unwrap_or_else(|error| panic!("{}: {error}: run ./test --setup", knowledge.display()));
    let knowledge: Value = serde_json::from_str(&text).unwrap();
    let write = |path: &Path, text: &str| {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    for (theme, pattern) in knowledge["patterns"].as_object().unwrap() {
        for file in pattern["files"].as_array().unwrap() {
            let path = directory.join("mcp").join(theme).join(file["file"].as_str().unwrap());
            write(&path, file["snippet"].as_str().unwrap());
        }
    }
    for skill in fs::read_dir(packages.join("flyte_skills/plugin/skills")).unwrap() {
        let skill = skill.unwrap();
        let text = fs::read_to_string(skill.path().join("SKILL.md")).unwrap();
        for (number, block) in text.split("```python\n").skip(1).enumerate() {
            let code = block.split("```").next().unwrap();
            write(&directory.join("skills").join(skill.file_name()).join(format!("{number:02}.py")), code);
        }
    }
}

/// Runs an example to its end, and returns what went wrong.
fn run(project: &Project, (file, task, inputs): &(&str, &str, &[&str])) -> Option<String> {
    // The local runner starts no containers, so no image needs to be built.
    let arguments = [&["run", "--follow", "--image", "python:3.12", file, task], *inputs].concat();
    let mut command = project.ours(&arguments);
    command.env("FLYTE_PYTHON", python());
    for (name, value) in [("FLYTE_TASK_PROJECT", "flytesnacks"), ("FLYTE_TASK_DOMAIN", "development")] {
        command.env(name, value);
    }
    let ended = CommandOutput::of(&mut command);
    (ended.code != Some(0) || !ended.err.contains(" succeeded after "))
        .then(|| format!("{file} {task}: {ended:?}"))
}

#[test]
fn examples_succeed() {
    const { assert!(EXAMPLES.len() >= 40) };
    let environment = python().ancestors().nth(2).unwrap().to_owned();
    let server = Server::with(&["--python", environment.to_str().unwrap(), "--max-tasks", "4"]);
    let project = Project::at(&server);
    write_examples(&project.path());
    let next = AtomicUsize::new(0);
    let failures: Vec<_> = thread::scope(|scope| {
        let work = || {
            let mut failures = Vec::new();
            while let Some(example) = EXAMPLES.get(next.fetch_add(1, Ordering::Relaxed)) {
                failures.extend(run(&project, example));
            }
            failures
        };
        let workers: Vec<_> = (0..CONCURRENT_RUNS).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), EXAMPLES.len(), failures.join("\n"));
}
