//! Composes the version that the commands show. The commit is, in this order:
//!
//! 1. the environment variable `FLYTE_COMMIT`, for builders that know better;
//! 2. the content of the file `commit`, which `git archive` fills in;
//! 3. in release builds: the commit that git has checked out.
//!
//! There is no time and no path in it, so the same commit gives the same bytes. Debug builds do not ask git: each commit
//! would rebuild both commands, and the next edit would make the answer wrong.
#![allow(clippy::print_stdout, reason = "cargo reads the standard output of a build script")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The digits of a commit that are shown; enough to be unique in any repository.
const SHOWN_DIGITS: usize = 12;

fn main() {
    let package = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let root = package.ancestors().nth(2).unwrap_or(&package);
    println!("cargo::rerun-if-changed=commit");
    println!("cargo::rerun-if-env-changed=FLYTE_COMMIT");
    let is_release = variable("PROFILE") == "release";
    let given = Some(variable("FLYTE_COMMIT")).filter(|commit| !commit.is_empty());
    let commit = given
        .map(|commit| shortened(&commit).unwrap_or_else(|| panic!("FLYTE_COMMIT is no commit: {commit:?}")))
        .or_else(|| shortened(fs::read_to_string(package.join("commit")).ok()?.trim()))
        .or_else(|| if is_release { checked_out(root) } else { Some("debug build".to_owned()) });
    let version = variable("CARGO_PKG_VERSION");
    match commit {
        Some(commit) => println!("cargo::rustc-env=FLYTE_VERSION={version} ({commit})"),
        None => println!("cargo::rustc-env=FLYTE_VERSION={version}"),
    }
}

/// An environment variable, or the empty text.
fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

/// The first digits of a commit's full hash; `None` if the text is none.
fn shortened(commit: &str) -> Option<String> {
    let is_hash = matches!(commit.len(), 40 | 64) && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then(|| commit[..SHOWN_DIGITS].to_owned())
}

/// The commit that is checked out at `root`, with `-modified` if a tracked file differs from it. `None` if `root` is no
/// checkout, for example an unpacked archive inside a checkout of something else.
fn checked_out(root: &Path) -> Option<String> {
    let top = git(root, &["rev-parse", "--show-toplevel"])?;
    if fs::canonicalize(top).ok()? != fs::canonicalize(root).ok()? {
        return None;
    }
    let mut commit = shortened(&git(root, &["rev-parse", "HEAD"])?)?;
    if !git(root, &["status", "--porcelain", "--untracked-files=no"])?.is_empty() {
        commit.push_str("-modified");
    }
    // The answer changes with the commit and with the sources. A file that does not exist would count as changed always.
    for log in ["logs/HEAD", "HEAD"] {
        let path = root.join(git(root, &["rev-parse", "--git-path", log])?);
        if path.exists() {
            println!("cargo::rerun-if-changed={}", path.display());
            break;
        }
    }
    for source in ["Cargo.toml", "Cargo.lock", "crates", "proto"] {
        let path = root.join(source);
        if path.exists() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    Some(commit)
}

/// The output of git in the directory; `None` if git is missing or fails.
fn git(directory: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(directory).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
