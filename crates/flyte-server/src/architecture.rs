//! The modules that are to become crates depend on each other in one direction only.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The modules of this crate that the files below `src/MODULE` name, without their tests.
fn modules_used_by(module: &str) -> BTreeSet<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut used = BTreeSet::new();
    let mut files = Vec::new();
    collect(&source.join(module), &mut files);
    files.extend(Some(source.join(module).with_extension("rs")).filter(|file| file.exists()));
    assert!(!files.is_empty(), "there is no module {module}");
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let code: Vec<_> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        used.extend(names(&code.join("\n")));
    }
    used.remove(module);
    used
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap_or_default();
        if name == "tests" || name == "testing" {
            continue;
        }
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// What follows each `crate::`: one name, or the first names of a group in braces.
fn names(code: &str) -> BTreeSet<String> {
    let name = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let mut found = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let Some(group) = rest.strip_prefix('{') else {
            found.insert(name(rest));
            continue;
        };
        let (mut depth, mut start) = (0_i32, 0);
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth > 0 => depth -= 1,
                ',' | '}' if depth == 0 => {
                    found.insert(name(&group[start..at]));
                    start = at + 1;
                    if c == '}' {
                        break;
                    }
                }
                _ => {}
            }
        }
    }
    found.remove("");
    found
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn the_control_plane_does_not_use_the_runner() {
    let used = modules_used_by("api");
    assert!(used.contains("runs"), "{used:?}");
    for module in ["runner", "serve", "bootstrap", "data_dir"] {
        assert!(
            !used.contains(module),
            "api uses {module}: runs::Runner, AppHost or LogSource should offer it"
        );
    }
}

#[test]
fn the_runner_uses_only_runs() {
    assert_eq!(modules_used_by("runner"), set(&["runs"]));
}

#[test]
fn runs_use_no_other_module() {
    assert_eq!(modules_used_by("runs"), set(&[]));
}

#[test]
fn all_forms_of_a_path_are_seen() {
    let code = "use crate::{\n    a::{b, c::{d}},\n    e,\n};\nuse crate::f::g;\nlet h = crate::i(j);\nuse crate::{k::l};";
    assert_eq!(names(code), set(&["a", "e", "f", "i", "k"]));
}
