//! The documentation names what exists: each link leads somewhere, and so does each file that a walk through the code names.

use std::{fs, path::PathBuf};

use flyte_repository::root;

/// The pages at the root, those beside code, and every page below docs/.
fn pages() -> Vec<PathBuf> {
    let at_the_root = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"];
    let beside_code = ["crates/README.md", "deploy/helm/flyte-auth/README.md", "fuzz/README.md"];
    let mut pages: Vec<_> = at_the_root.iter().chain(&beside_code).map(|page| root().join(page)).collect();
    let mut directories = vec![root().join("docs")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    assert!(pages.len() > 10, "{pages:?}");
    pages
}

/// The targets of `[text](target)` and of `src="target"`, outside code blocks.
fn links(page: &str) -> Vec<&str> {
    let prose = page.split("```").step_by(2);
    prose
        .flat_map(|text| {
            let markdown = text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
            let html = text.split("src=\"").skip(1).filter_map(|rest| rest.split('"').next());
            markdown.chain(html)
        })
        .collect()
}

/// The anchor that a heading gets: lower case, punctuation dropped, hyphens for spaces.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    let mut seen = 0;
    for page in pages() {
        for link in links(&fs::read_to_string(&page).unwrap()) {
            if link.starts_with("https://") || link.starts_with("http://") {
                continue;
            }
            seen += 1;
            let (file, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            let whole = fragment.is_empty()
                || fs::read_to_string(&target).is_ok_and(|text| {
                    text.lines()
                        .any(|line| line.starts_with('#') && anchor(line.trim_start_matches('#')) == fragment)
                });
            if !target.exists() || !whole {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(seen > 20, "only {seen} links were found");
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn the_summary_names_every_page() {
    let summary = fs::read_to_string(root().join("docs/SUMMARY.md")).unwrap();
    let named = links(&summary);
    for page in pages() {
        let Ok(below) = page.strip_prefix(root().join("docs")) else { continue };
        let below = below.to_str().unwrap();
        assert!(below == "SUMMARY.md" || named.contains(&below), "docs/SUMMARY.md does not name {below}");
    }
}

#[test]
fn the_walk_through_the_code_names_files_that_exist() {
    assert_names_files_that_exist("docs/architecture.md", 30);
}

#[test]
fn the_page_for_contributors_names_files_that_exist() {
    assert_names_files_that_exist("CONTRIBUTING.md", 10);
}

/// Checks the paths in backquotes on the page, of which there are at least `least`.
fn assert_names_files_that_exist(page: &str, least: usize) {
    let text = fs::read_to_string(root().join(page)).unwrap();
    // Paths are given below crates/, or below the source of the crate that the sentence is about.
    let crates: Vec<_> =
        fs::read_dir(root().join("crates")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let mut bases = vec![root(), root().join("crates")];
    for path in crates {
        bases.push(path.join("src"));
        bases.push(path);
    }
    let mut seen = 0;
    for code in text.split("```").step_by(2).flat_map(|prose| prose.split('`').skip(1).step_by(2)) {
        let is_path = code.contains('/') || code.ends_with(".rs") || code.ends_with(".md");
        // Commands have spaces, and what is built is not there yet.
        if !is_path
            || code.contains(' ')
            || code.starts_with("target/")
            || code.contains("::")
            || !code.chars().next().is_some_and(char::is_alphabetic)
        {
            continue;
        }
        // A name of a call, such as `ProjectService/ListProjects`, is no path.
        if code.starts_with(char::is_uppercase) && !code.ends_with(".md") {
            continue;
        }
        seen += 1;
        assert!(bases.iter().any(|base| base.join(code).exists()), "{page} names {code}");
    }
    assert!(seen >= least, "{page}: only {seen} paths were found");
}
