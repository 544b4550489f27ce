//! The libraries name no command of `flyte` and no option in their messages. What a person can do about an error depends on the
//! program, so it belongs to `flyte-hints`.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

const LIBRARIES: [&str; 4] = ["flyte-auth", "flyte-client", "flyte-config", "flyte-table"];
/// Beginnings of commands.
const COMMANDS: [&str; 10] = [
    "`flyte ",
    "flyte abort",
    "flyte auth",
    "flyte create",
    "flyte delete",
    "flyte deploy",
    "flyte get",
    "flyte rotate",
    "flyte run",
    "flyte whoami",
];
/// Options of other programs that a library starts.
const FOREIGN_OPTIONS: [&str; 1] = ["--cached"];

/// Whether a string literal names a command of `flyte` or an option.
fn names_a_command(literal: &str) -> bool {
    // In style sheets, `--` is the beginning of a custom property, which no space or quotation mark precedes.
    let has_option = literal.match_indices("--").any(|(at, _)| {
        literal[..at].ends_with([' ', '`', '"'])
            && literal[at + 2..].starts_with(|next: char| next.is_ascii_lowercase())
    });
    COMMANDS.iter().any(|command| literal.contains(command))
        || (has_option && !FOREIGN_OPTIONS.iter().any(|option| literal.contains(option)))
}

/// Collects the string literals of the code, without documentation and tests.
fn collect(code: TokenStream, found: &mut Vec<String>) {
    let mut tokens = code.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == '#' => {
                if matches!(tokens.peek(), Some(TokenTree::Punct(inner)) if inner.as_char() == '!') {
                    tokens.next();
                }
                let Some(TokenTree::Group(attribute)) = tokens.next() else { continue };
                let text = attribute.stream().to_string();
                if text.starts_with("cfg") && text.contains("test") {
                    // The test itself: everything up to its body, or to the end of `mod tests;`.
                    let ends = |token: &TokenTree| match token {
                        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
                        TokenTree::Punct(punct) => punct.as_char() == ';',
                        _ => false,
                    };
                    while tokens.next().is_some_and(|token| !ends(&token)) {}
                } else if !text.starts_with("doc") {
                    collect(attribute.stream(), found);
                }
            }
            TokenTree::Group(group) => collect(group.stream(), found),
            TokenTree::Literal(literal) => {
                let text = literal.to_string();
                if text.contains('"') {
                    found.push(text);
                }
            }
            _ => {}
        }
    }
}

fn literals(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    collect(code.parse().unwrap(), &mut found);
    found
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests")
        || path.file_stem().is_some_and(|stem| stem == "tests" || stem == "testing")
        || path.to_string_lossy().ends_with("_tests.rs")
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test(&path) {
            found.push(path);
        }
    }
}

#[test]
fn messages_of_the_libraries_name_no_command() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    for library in LIBRARIES {
        sources(&crates.join(library).join("src"), &mut files);
    }
    let (mut count, mut wrong) = (0, Vec::new());
    for path in files {
        for literal in literals(&fs::read_to_string(&path).unwrap()) {
            count += 1;
            if names_a_command(&literal) {
                wrong.push(format!("{}: {literal}", path.strip_prefix(crates).unwrap().display()));
            }
        }
    }
    assert!(count > 500, "only {count} literals were found");
    assert!(wrong.is_empty(), "move these hints to flyte-hints:\n{}", wrong.join("\n"));
}

#[test]
fn literals_are_found_in_code_and_not_in_documentation_and_tests() {
    let code = r#"
        //! Run `flyte get run`.
        /// Run `flyte get run`.
        #[error("a")]
        fn f() { g!("b", ["c"]); } // "no"
        #[cfg(test)]
        mod tests;
        #[cfg(test)]
        mod tests { const X: &str = "no"; }
        const Y: &str = "d";
    "#;
    assert_eq!(literals(code), [r#""a""#, r#""b""#, r#""c""#, r#""d""#]);
    for (literal, expected) in [
        ("\"run `flyte get project`\"", true),
        ("\"List what there is: flyte get project\"", true),
        ("\"give --config\"", true),
        ("\"p{color:var(--soft)}\"", false),
        ("\"ls-files --cached\"", false),
        ("\"the flyte command -- and others\"", false),
    ] {
        assert_eq!(names_a_command(literal), expected, "{literal}");
    }
}
