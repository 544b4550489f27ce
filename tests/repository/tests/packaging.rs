//! What a release consists of fits together: names of files, scripts, the formula, the image. `./release --dry-run` builds and tries it.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Output},
};

use flyte_repository::{files, root};

const REPOSITORY: &str = "https://github.com/example/flyte-auth";

/// Runs a command at the root.
fn run(program: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(root().join(program));
    command.args(arguments).current_dir(root()).env("SOURCE_DATE_EPOCH", "1800000000").output().unwrap()
}

/// A tool that `./test --setup` installs.
fn tool(name: &str, arguments: &[&str]) -> Output {
    let path = root().join("target/peers/tools/bin").join(name);
    assert!(path.exists(), "{name} is missing: run `./test --setup`");
    Command::new(path).args(arguments).current_dir(root()).output().unwrap()
}

fn text(output: &[u8]) -> String {
    String::from_utf8(output.to_vec()).unwrap()
}

/// The names of the files of a complete release.
fn assets() -> BTreeSet<String> {
    let output = run("release", &["--assets"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let assets: BTreeSet<_> = text(&output.stdout).lines().map(str::to_owned).collect();
    assert!(assets.len() > 20, "{assets:?}");
    assets
}

#[test]
fn binstall_and_the_workflow_name_files_of_the_release() {
    let (assets, version) = (assets(), env!("CARGO_PKG_VERSION"));
    let workflow = fs::read_to_string(root().join(".github/workflows/release.yml")).unwrap();
    // The archives are built for each, and then the wheels.
    let all: Vec<_> = workflow
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- { target: ")?.split(',').next())
        .collect();
    let (targets, of_wheels) = all.split_at(all.len() / 2);
    assert_eq!(targets.len(), 7, "{targets:?}");
    assert_eq!(targets, of_wheels);
    for manifest in ["crates/flyte-cli/Cargo.toml", "crates/flyte-server/Cargo.toml"] {
        let text = fs::read_to_string(root().join(manifest)).unwrap();
        let urls: Vec<_> =
            text.lines().filter_map(|line| line.strip_prefix("pkg-url = \"")?.strip_suffix('"')).collect();
        for target in targets {
            if manifest.contains("server") && !target.contains("linux") {
                continue;
            }
            // The override of Windows is the second.
            let url = if target.contains("windows") { urls[1] } else { urls[0] };
            let url = url
                .replace("{ repo }", REPOSITORY)
                .replace("{ version }", version)
                .replace("{ target }", target);
            let name = url.strip_prefix(&format!("{REPOSITORY}/releases/download/v{version}/")).unwrap();
            assert!(assets.contains(name), "{manifest}: {name} is not in {assets:?}");
        }
    }
    for target in targets {
        assert!(assets.contains(&format!("flyte-auth-{version}-{target}.cdx.json")), "{target}");
    }
}

#[test]
fn the_chart_is_packed_the_same_each_time() {
    let built = root().join("target/peers/tools/bin/helm").exists();
    if !built && Command::new("helm").arg("version").output().is_err() {
        eprintln!("skipped: helm is not installed, and ./test could not build it because Go is missing");
        return;
    }
    let version = env!("CARGO_PKG_VERSION");
    let name = format!("flyte-auth-{version}.tgz");
    assert!(assets().contains(&name));
    let pack = || {
        let directory = tempfile::tempdir().unwrap();
        let output = Command::new(root().join("packaging/chart"))
            .args([version, directory.path().to_str().unwrap()])
            .env("SOURCE_DATE_EPOCH", "1700000000")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(text(&output.stdout).trim(), name);
        fs::read(directory.path().join(&name)).unwrap()
    };
    assert_eq!(pack(), pack());
}

#[test]
fn formula_names_the_archives_and_their_checksums() {
    let directory = tempfile::tempdir().unwrap();
    let sums = directory.path().join("SHA256SUMS");
    let formula = |lines: &[String]| {
        fs::write(&sums, lines.concat()).unwrap();
        run("packaging/homebrew/formula.py", &[REPOSITORY, env!("CARGO_PKG_VERSION"), sums.to_str().unwrap()])
    };
    let assets = assets();
    let lines: Vec<_> =
        assets.iter().enumerate().map(|(index, name)| format!("{index:064x}  {name}\n")).collect();
    let output = formula(&lines);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let written = text(&output.stdout);
    assert!(written.starts_with("class FlyteAuth < Formula\n") && !written.contains('@'), "{written}");
    let mut seen = 0;
    let mut url = "";
    for line in written.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("url \"") {
            url = rest.trim_end_matches('"');
        }
        if let Some(hash) = line.strip_prefix("sha256 \"") {
            let name = url.rsplit('/').next().unwrap();
            assert!(lines.contains(&format!("{}  {name}\n", hash.trim_end_matches('"'))), "{url}: {hash}");
            seen += 1;
        }
    }
    assert_eq!(seen, 4, "{written}");

    let incomplete: Vec<_> =
        lines.into_iter().filter(|line| !line.contains("x86_64-apple-darwin.tar.gz")).collect();
    let output = formula(&incomplete);
    assert!(!output.status.success() && text(&output.stderr).contains("x86_64-apple-darwin.tar.gz"));
}

#[test]
fn archives_are_the_same_for_the_same_files() {
    let directory = tempfile::tempdir().unwrap();
    let tree = directory.path().join("flyte-auth-1-x");
    let pack = |name: &str| {
        let archive = directory.path().join(name);
        let output = run("packaging/archive.py", &[tree.to_str().unwrap(), archive.to_str().unwrap()]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        fs::read(archive).unwrap()
    };
    let write = |path: &str| {
        let path = tree.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "content").unwrap();
    };
    for path in ["flyte", "man/man1/flyte.1", "completions/_flyte"] {
        write(path);
    }
    let (tar, zip) = (pack("a.tar.gz"), pack("a.zip"));
    // Other times, and another order of creation.
    fs::remove_dir_all(&tree).unwrap();
    for path in ["completions/_flyte", "man/man1/flyte.1", "flyte"] {
        write(path);
    }
    assert!(tar == pack("b.tar.gz") && zip == pack("b.zip"));
    write("one-more");
    assert!(tar != pack("c.tar.gz") && zip != pack("c.zip"));
}

#[test]
fn tag_must_fit_the_version_and_its_notes() {
    let version = env!("CARGO_PKG_VERSION");
    let output = run("release", &["--check", &format!("v{version}9")]);
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("does not fit the version"), "{}", text(&output.stderr));
    let output = run("release", &["--check", version]);
    assert!(!output.status.success(), "a tag begins with v");
}

#[test]
fn packaged_unit_is_the_documented_one() {
    // The script changes what these lines say.
    let script = fs::read_to_string(root().join("release")).unwrap();
    let unit = fs::read_to_string(root().join("docs/examples/flyte-server.service")).unwrap();
    assert!(script.contains("'s|/usr/local/bin/|/usr/bin/|' docs/examples/flyte-server.service"));
    assert!(unit.contains("ExecStart=/usr/local/bin/flyte-server --config /etc/flyte-server.toml\n"));
    let (user, directory) = ("flyte-server", "/var/lib/flyte-server");
    assert!(unit.contains(&format!("User={user}\nStateDirectory={user}\n")));
    let sysusers = fs::read_to_string(root().join("packaging/sysusers.conf")).unwrap();
    assert!(sysusers.contains(&format!("u {user} - \"Flyte server\" {directory}\n")));
    let settings = fs::read_to_string(root().join("packaging/flyte-server.toml")).unwrap();
    assert!(settings.contains(&format!("data-dir = \"{directory}\"\n")));
}

/// The files that a shell runs.
fn shell_scripts() -> Vec<String> {
    let scripts: Vec<_> = files()
        .into_iter()
        .filter(|file| {
            let Ok(text) = fs::read_to_string(root().join(file)) else { return false };
            let first = text.lines().next().unwrap_or_default();
            first.starts_with("#!") && (first.ends_with("bash") || first.ends_with("/sh"))
        })
        .collect();
    assert!(scripts.len() > 6 && scripts.iter().any(|script| script == "release"), "{scripts:?}");
    scripts
}

#[test]
fn shellcheck_finds_nothing() {
    let scripts = shell_scripts();
    let mut arguments = vec!["--severity=warning"];
    arguments.extend(scripts.iter().map(String::as_str));
    let output = tool("shellcheck", &arguments);
    assert!(output.status.success(), "{}", text(&output.stdout));
    // Scriptlets of rpm have no first line; rpm runs them with sh.
    let output = tool(
        "shellcheck",
        &["--shell=sh", "packaging/rpm/post", "packaging/rpm/preun", "packaging/rpm/postun"],
    );
    assert!(output.status.success(), "{}", text(&output.stdout));
}

#[test]
fn container_files_and_compose_file_are_well_formed() {
    let output = tool("hadolint", &["Containerfile", "docs/examples/Containerfile.tasks"]);
    assert!(output.status.success(), "{}", text(&output.stdout));
    let output = tool("check-jsonschema", &["--builtin-schema", "vendor.compose-spec", "compose.yaml"]);
    assert!(output.status.success(), "{}", text(&output.stdout));

    // Both images keep their data at the same path, listen at the same port and are asked in the same way.
    let lines = |file: &str| {
        let text = fs::read_to_string(root().join(file)).unwrap();
        let kept = ["USER ", "VOLUME ", "EXPOSE ", "HEALTHCHECK ", "ENTRYPOINT "];
        let lines = text.lines().filter(|line| kept.iter().any(|keyword| line.starts_with(keyword)));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lines("Containerfile").len(), 5);
    assert_eq!(lines("Containerfile"), lines("docs/examples/Containerfile.tasks"));
}

#[test]
fn packaging_scripts_are_python_that_compiles() {
    for script in files().iter().filter(|file| file.starts_with("packaging/") && file.ends_with(".py")) {
        let source = fs::read_to_string(root().join(script)).unwrap();
        let check = "import sys; compile(sys.stdin.read(), 'script', 'exec')";
        let mut python = Command::new("python3");
        python.args(["-W", "error", "-c", check]).stdin(fs::File::open(root().join(script)).unwrap());
        assert!(python.status().unwrap().success(), "{script}");
        assert!(source.starts_with("#!/usr/bin/env python3\n\"\"\""), "{script}: what is it?");
        assert!(is_executable(&root().join(script)), "{script} is not executable");
    }
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).unwrap().permissions().mode() & 0o111 != 0
}
