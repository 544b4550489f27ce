//! The build script, compiled and run as cargo does it: where the commit comes from, and when there is none.

#![allow(clippy::unwrap_used, reason = "a test fails by unwrap")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A directory with the layout of the repository, and the compiled build script beside it.
struct Sources {
    directory: TempDir,
}

impl Sources {
    /// The file `commit` has this content.
    fn new(commit: &str) -> Self {
        let sources = Self { directory: tempfile::tempdir().unwrap() };
        fs::create_dir_all(sources.package()).unwrap();
        fs::write(sources.package().join("commit"), commit).unwrap();
        let status = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
            .arg("--edition=2024")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("build/main.rs"))
            .arg("-o")
            .arg(sources.script())
            .status()
            .unwrap();
        assert!(status.success());
        sources
    }

    fn script(&self) -> PathBuf {
        self.directory.path().join("script")
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("outer/root")
    }

    fn package(&self) -> PathBuf {
        self.root().join("crates/flyte-version")
    }

    /// Runs git at `directory`, without the settings of this machine.
    fn git(directory: &Path, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false"])
            .args(arguments)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .current_dir(directory)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Commits every file below `directory` and returns the shown part of the commit.
    fn commit(directory: &Path) -> String {
        let _ = Self::git(directory, &["init", "--quiet"]);
        let _ = Self::git(directory, &["add", "."]);
        let _ = Self::git(directory, &["commit", "--quiet", "--message", "Start"]);
        Self::git(directory, &["rev-parse", "HEAD"])[..12].to_owned()
    }

    /// The output of the script. It fails if `FLYTE_COMMIT` is wrong.
    fn output(&self, profile: &str, given: Option<&str>) -> Result<String, String> {
        let mut script = Command::new(self.script());
        script.env_remove("FLYTE_COMMIT").current_dir(self.package());
        script.env("CARGO_MANIFEST_DIR", self.package()).env("CARGO_PKG_VERSION", "1.2.3");
        script.env("PROFILE", profile).env("GIT_CONFIG_GLOBAL", "/dev/null");
        if let Some(given) = given {
            script.env("FLYTE_COMMIT", given);
        }
        let output = script.output().unwrap();
        match output.status.success() {
            true => Ok(String::from_utf8(output.stdout).unwrap()),
            false => Err(String::from_utf8(output.stderr).unwrap()),
        }
    }

    fn version(&self, profile: &str, given: Option<&str>) -> String {
        let output = self.output(profile, given).unwrap();
        let line = output.lines().find_map(|line| line.strip_prefix("cargo::rustc-env=FLYTE_VERSION="));
        line.unwrap_or_else(|| panic!("no version in {output}")).to_owned()
    }
}

#[test]
fn release_build_names_the_commit_that_is_checked_out() {
    let sources = Sources::new("$Format:%H$\n");
    assert_eq!(sources.version("release", None), "1.2.3", "no checkout");
    let commit = Sources::commit(&sources.root());
    assert_eq!(sources.version("release", None), format!("1.2.3 ({commit})"));

    fs::write(sources.root().join("untracked"), "").unwrap();
    assert_eq!(sources.version("release", None), format!("1.2.3 ({commit})"));
    fs::write(sources.package().join("commit"), "changed").unwrap();
    assert_eq!(sources.version("release", None), format!("1.2.3 ({commit}-modified)"));

    // Cargo runs the script again after a commit and after an edit, and never because a watched file is missing.
    let output = sources.output("release", None).unwrap();
    let watched: Vec<_> =
        output.lines().filter_map(|line| line.strip_prefix("cargo::rerun-if-changed=")).collect();
    assert!(watched.iter().any(|path| path.ends_with("logs/HEAD")), "{watched:?}");
    assert!(watched.iter().any(|path| path.ends_with("/crates")), "{watched:?}");
    for path in watched {
        assert!(sources.package().join(path).exists(), "{path}");
    }
}

#[test]
fn debug_build_does_not_change_with_each_commit() {
    let sources = Sources::new("$Format:%H$\n");
    let _ = Sources::commit(&sources.root());
    assert_eq!(sources.version("debug", None), "1.2.3 (debug build)");
    assert!(!sources.output("debug", None).unwrap().contains("HEAD"));
}

#[test]
fn commit_of_a_surrounding_checkout_is_not_ours() {
    let sources = Sources::new("$Format:%H$\n");
    let _ = Sources::commit(&sources.directory.path().join("outer"));
    assert_eq!(sources.version("release", None), "1.2.3");
}

#[test]
fn source_archive_and_builder_name_the_commit() {
    let sources = Sources::new(&format!("{COMMIT}\n"));
    for profile in ["release", "debug"] {
        assert_eq!(sources.version(profile, None), "1.2.3 (0123456789ab)");
    }
    let _ = Sources::commit(&sources.root());
    let given = COMMIT.replace('0', "f");
    assert_eq!(sources.version("release", Some(&given)), "1.2.3 (f123456789ab)");
    let error = sources.output("release", Some("main")).unwrap_err();
    assert!(error.contains("FLYTE_COMMIT is no commit: \"main\""), "{error}");
}

#[test]
fn git_fills_the_commit_into_archives() {
    // As in the repository: the attribute and the placeholder belong together.
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let attributes = fs::read_to_string(repository.join(".gitattributes")).unwrap();
    let placeholder = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("commit")).unwrap();
    let sources = Sources::new(&placeholder);
    fs::write(sources.root().join(".gitattributes"), attributes).unwrap();
    let commit = Sources::commit(&sources.root());
    let archive = sources.directory.path().join("source.tar");
    let _ = Sources::git(&sources.root(), &["archive", "--output", archive.to_str().unwrap(), "HEAD"]);
    fs::remove_dir_all(sources.root()).unwrap();
    fs::create_dir_all(sources.root()).unwrap();
    let unpacked =
        Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(sources.root()).status().unwrap();
    assert!(unpacked.success());
    assert_eq!(sources.version("release", None), format!("1.2.3 ({commit})"));
}
