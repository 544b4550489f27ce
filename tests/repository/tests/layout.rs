//! One style of files: a module `foo` is `foo.rs`, with what belongs to it in `foo/`. Its tests are at its end, or in `foo/tests.rs`
//! if the file would be too long with them. File names and paths then follow from the modules' names.

use std::fs;

use flyte_repository::{files, root};

/// The longest that a source file may be, in lines. Longer ones are split by what they mean.
const MAX_LINES: usize = 450;

/// Files of the Python package that are still longer.
const TOO_LONG: [&str; 3] = [
    "python/sdk/flyte/_initialize.py",
    "python/sdk/flyte/types/_records.py",
    "python/sdk/tests/test_runtime.py",
];

/// The Rust files of the workspace.
fn sources() -> Vec<String> {
    let sources: Vec<_> = files().into_iter().filter(|file| file.ends_with(".rs")).collect();
    assert!(sources.len() > 100, "{sources:?}");
    sources
}

#[test]
fn a_module_is_named_by_its_file() {
    for file in sources() {
        // A file beside tests/*.rs would be a test program of its own.
        let is_shared_by_tests = file.contains("/tests/") && !file.contains("/src/");
        assert!(
            !file.ends_with("/mod.rs") || is_shared_by_tests,
            "{file}: name it by its directory, and move it beside"
        );
    }
}

#[test]
fn tests_of_a_module_are_within_it() {
    for file in sources() {
        let in_source = file.contains("/src/");
        assert!(
            !in_source || !file.ends_with("_tests.rs"),
            "{file}: name it tests.rs, in its module's directory"
        );
        let text = fs::read_to_string(root().join(&file)).unwrap();
        let path = text.lines().find(|line| line.trim_start().starts_with("#[path"));
        assert_eq!(path, None, "{file} has a module in a file of another name");
    }
}

#[test]
fn a_file_is_short_enough_to_be_read_at_once() {
    let long: Vec<_> = files()
        .into_iter()
        .filter(|file| file.ends_with(".rs") || file.ends_with(".py"))
        .map(|file| (fs::read_to_string(root().join(&file)).unwrap().lines().count(), file))
        .filter(|(lines, file)| *lines > MAX_LINES && !TOO_LONG.contains(&file.as_str()))
        .collect();
    assert!(long.is_empty(), "split what has more than {MAX_LINES} lines, by what it means: {long:?}");
}
