//! The pages of docs/ are a book: it builds without a warning, and its links lead to pages of the book.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use flyte_repository::root;

/// Builds the book below the directory; what mdbook says.
fn build(source: &Path, destination: &Path) -> String {
    let mdbook = root().join("target/peers/tools/bin/mdbook");
    assert!(mdbook.exists(), "mdbook is missing: run `./test --setup`");
    let output =
        Command::new(mdbook).arg("build").arg(source).arg("--dest-dir").arg(destination).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

/// The HTML files below the directory, except those that repeat others.
fn pages(directory: &Path) -> Vec<PathBuf> {
    let mut pages = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                directories.push(path);
            } else if name.ends_with(".html") && !["print.html", "404.html", "toc.html"].contains(&name) {
                pages.push(path);
            }
        }
    }
    pages
}

/// The values of an attribute.
fn values<'a>(page: &'a str, attribute: &str) -> BTreeSet<&'a str> {
    let start = format!(" {attribute}=\"");
    page.split(start.as_str()).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn book_builds_and_its_links_lead_somewhere() {
    let directory = tempfile::tempdir().unwrap();
    let said = build(&root().join("docs"), directory.path());
    assert!(!said.contains("WARN") && !said.contains("ERROR"), "{said}");
    let mut broken = Vec::new();
    let mut seen = 0;
    for page in pages(directory.path()) {
        let text = fs::read_to_string(&page).unwrap();
        for link in values(&text, "href").union(&values(&text, "src")) {
            if link.contains(':') {
                continue;
            }
            seen += 1;
            let (file, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            // A link that leaves the book would work in the repository only.
            let whole = target
                .canonicalize()
                .is_ok_and(|path| path.starts_with(directory.path().canonicalize().unwrap()))
                && (fragment.is_empty()
                    || values(&fs::read_to_string(&target).unwrap(), "id").contains(fragment));
            if !whole {
                broken.push(format!("{}: {link}", page.strip_prefix(directory.path()).unwrap().display()));
            }
        }
    }
    assert!(seen > 500, "only {seen} links were found");
    assert!(broken.is_empty(), "Name files outside of docs/ in backquotes, without a link: {broken:#?}");
}

#[test]
fn install_is_the_first_page() {
    let summary = fs::read_to_string(root().join("docs/SUMMARY.md")).unwrap();
    let first = summary.lines().find(|line| line.starts_with("- ["));
    assert_eq!(first, Some("- [Install](install.md)"));
}
