use std::collections::BTreeMap;
use std::io::Read as _;
use std::process::Command;

use super::*;

fn write(root: &Path, path: &str, content: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn paths(root: &Path) -> Vec<String> {
    select(root).unwrap().files.into_iter().map(|file| file.path).collect()
}

fn pack(root: &Path, limit: u64) -> Result<Bundle, BundleError> {
    Bundle::pack(root, &Contents { all: true, named: Vec::new() }, limit)
}

fn git(root: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("git").current_dir(root).args(arguments).output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The files that git tracks, and the files that it does not ignore.
fn listed_by_git(root: &Path) -> Vec<String> {
    let listed = git(root, &["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let names = listed.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let mut names: Vec<_> = names.map(|name| String::from_utf8(name.to_vec()).unwrap()).collect();
    names.sort();
    names.dedup();
    names
}

#[test]
fn ignored_files_and_directories_of_tools_are_left_out() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    for path in [
        "app.py",
        "lib/util.py",
        "lib/__pycache__/util.cpython-311.pyc",
        "old.pyc",
        ".git/config",
        ".venv/bin/python",
        "other-env/pyvenv.cfg",
        "other-env/lib/x.py",
        "node_modules/a.js",
        ".hidden.toml",
        "data/big.csv",
        "data/small.csv",
        "secret.txt",
        "lib/local.cfg",
        "notes.md",
    ] {
        write(root, path, path);
    }
    write(root, ".gitignore", "data/*\nsecret.txt\n");
    write(root, "lib/.gitignore", "*.cfg\n");
    write(root, ".flyteignore", "notes.md\n!data/small.csv\n");
    assert_eq!(
        paths(root),
        [
            ".flyteignore",
            ".gitignore",
            ".hidden.toml",
            "app.py",
            "data/small.csv",
            "lib/.gitignore",
            "lib/util.py"
        ]
    );
}

#[test]
fn secrets_are_kept_back() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    for path in [
        "app.py",
        ".env",
        ".env.local",
        "sub/.ENV",
        "tls/server.pem",
        "tls/server.key",
        ".aws/credentials",
        ".ssh/id",
        ".netrc",
    ] {
        write(root, path, "secret");
    }
    let selection = select(root).unwrap();
    assert_eq!(selection.files.len(), 1);
    let kept_back =
        [".aws", ".env", ".env.local", ".netrc", ".ssh", "sub/.ENV", "tls/server.key", "tls/server.pem"];
    assert_eq!(selection.kept_back, kept_back);
    // A file that an ignore file names is not reported as kept back.
    write(root, ".gitignore", ".env*\n/tls/\n");
    assert_eq!(select(root).unwrap().kept_back, [".aws", ".netrc", ".ssh", "sub/.ENV"]);
    // A named file is included.
    let named = Contents { all: true, named: vec![".env".into(), root.join("tls/server.pem")] };
    let bundle = Bundle::pack(root, &named, DEFAULT_LIMIT_BYTES).unwrap();
    let paths: Vec<_> = bundle.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, [".env", ".gitignore", "app.py", "tls/server.pem"]);
}

#[cfg(unix)]
#[test]
fn links_out_of_the_root_are_kept_back() {
    let (root, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(home.path(), "id_rsa", "secret");
    write(home.path(), "keys/one", "secret");
    write(root.path(), "lib/used.py", "");
    let link =
        |target: &Path, name: &str| std::os::unix::fs::symlink(target, root.path().join(name)).unwrap();
    link(&home.path().join("id_rsa"), "harmless.py");
    link(&home.path().join("keys"), "keys");
    link(&root.path().join("lib/used.py"), "used.py");
    // Links to files that are kept back under their own names are kept back too.
    write(root.path(), ".env", "secret");
    write(root.path(), ".git/config", "secret");
    link(&root.path().join(".env"), "settings");
    link(&root.path().join(".git"), "repository");
    let selection = select(root.path()).unwrap();
    let paths: Vec<_> = selection.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["lib/used.py", "used.py"]);
    assert_eq!(selection.kept_back, [".env", "harmless.py", "keys", "repository", "settings"]);
}

/// A case: files, ignore files with their content, and files that git tracks although they are ignored.
type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a [&'a str]);

#[test]
fn the_same_files_are_ignored_as_in_git() {
    let cases: [Case<'_>; 10] = [
        (&["a1.txt", "sub/a2.txt", "b.txt"], &[(".gitignore", "/a*.txt\n")], &[]),
        (&["a1.txt", "sub/a2.txt", "b.txt"], &[(".gitignore", "a*.txt\n")], &[]),
        (&["out/x", "sub/out/y", "out.txt"], &[(".gitignore", "/out/\n")], &[]),
        (&["x/deep/er/t.log", "t.log", "x/t.txt"], &[(".gitignore", "**/t.log\n")], &[]),
        (&["doc/a/b/c.md", "doc/c.md", "c.md"], &[(".gitignore", "doc/**/c.md\n")], &[]),
        (&["data/big", "data/kept", "data/sub/x"], &[(".gitignore", "data/*\n!data/kept\n")], &[]),
        (&["data/big", "data/kept"], &[(".gitignore", "# no\n\ndata/\n!data/kept\n")], &[]),
        (&["sub/own.cfg", "own.cfg", "sub/b.py"], &[("sub/.gitignore", "*.cfg\n")], &[]),
        (
            &["a b.txt", "#odd", "[x].txt", "x.txt", "sp ace/é.py"],
            &[(".gitignore", "\\#odd\n[x].txt\n")],
            &[],
        ),
        (
            &["model/weights.bin", "model/other.bin", "app.py"],
            &[(".gitignore", "*.bin\nmodel/\n")],
            &["model/weights.bin"],
        ),
    ];
    for (files, ignores, tracked) in cases {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        git(root, &["init", "--quiet"]);
        for path in files {
            write(root, path, path);
        }
        for (path, content) in ignores {
            write(root, path, content);
        }
        for path in tracked {
            git(root, &["add", "--force", path]);
        }
        let expected = listed_by_git(root);
        assert_eq!(paths(root), expected, "{ignores:?}");
        // The same in a directory below the root of the repository.
        if let Some(below) =
            files.iter().find_map(|path| path.split_once('/')).map(|(first, _)| root.join(first))
            && !listed_by_git(&below).is_empty()
        {
            assert_eq!(paths(&below), listed_by_git(&below), "{ignores:?} below");
        }
        // Without a repository, the ignore files have the same effect, but no file is tracked.
        fs::remove_dir_all(root.join(".git")).unwrap();
        if tracked.is_empty() {
            assert_eq!(paths(root), expected, "{ignores:?} without git");
        }
    }
}

#[test]
fn tracked_files_can_still_be_left_out_by_the_other_rules() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    git(root, &["init", "--quiet"]);
    let tracked = [
        ".env",
        ".DS_Store",
        ".idea/x",
        "__pycache__/a.pyc",
        "notes.md",
        "app.py",
        "env/pyvenv.cfg",
        "env/x.py",
    ];
    for path in tracked {
        write(root, path, path);
        git(root, &["add", "--force", path]);
    }
    write(root, "gone.py", "x");
    git(root, &["add", "gone.py"]);
    fs::remove_file(root.join("gone.py")).unwrap();
    write(root, ".gitignore", "*\n");
    write(root, ".flyteignore", "notes.md\n");
    let selection = select(root).unwrap();
    let paths: Vec<_> = selection.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["app.py"]);
    assert_eq!(selection.kept_back, [".env"]);
}

#[test]
fn the_settings_of_a_repository_start_no_program() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    git(root, &["init", "--quiet"]);
    write(root, "app.py", "x");
    git(root, &["add", "app.py"]);
    let mark = root.join("started");
    git(root, &["config", "core.fsmonitor", &format!("touch {}; false", mark.display())]);
    assert_eq!(paths(root), ["app.py"]);
    assert!(!mark.exists());
}

#[test]
fn named_files_must_be_below_the_root() {
    let (root, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(root.path(), "data/one.txt", "x");
    write(home.path(), "id_rsa", "secret");
    let named = |path: &Path| {
        let contents = Contents { all: false, named: vec![path.to_owned()] };
        Bundle::pack(root.path(), &contents, DEFAULT_LIMIT_BYTES).map(|bundle| bundle.files[0].path.clone())
    };
    assert_eq!(named(Path::new("data/one.txt")).unwrap(), "data/one.txt");
    assert_eq!(named(&root.path().join("data/one.txt")).unwrap(), "data/one.txt");
    for outside in [home.path().join("id_rsa"), "../x".into(), "data/../../x".into()] {
        assert!(matches!(named(&outside), Err(BundleError::Outside { .. })), "{}", outside.display());
    }
    assert!(matches!(named(Path::new("data")), Err(BundleError::Read { .. })));
    assert!(matches!(named(Path::new("nothing")), Err(BundleError::Read { .. })));
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(home.path().join("id_rsa"), root.path().join("link")).unwrap();
        assert!(matches!(named(Path::new("link")), Err(BundleError::Outside { .. })));
    }
}

#[test]
fn an_ignore_file_of_the_repository_applies_to_directories_below_it() {
    let repository = tempfile::tempdir().unwrap();
    write(repository.path(), ".git/HEAD", "x");
    write(repository.path(), ".gitignore", "*.csv\n");
    write(repository.path(), "service/app.py", "x");
    write(repository.path(), "service/data.csv", "x");
    assert_eq!(paths(&repository.path().join("service")), ["app.py"]);
}

#[test]
fn the_same_files_give_the_same_archive() {
    let content = [("b.py", "print(1)\n"), ("a/c.py", ""), ("run.sh", "#!/bin/sh\n")];
    let versions: Vec<_> = [false, true]
        .map(|backwards| {
            let root = tempfile::tempdir().unwrap();
            let mut content = content.to_vec();
            if backwards {
                content.reverse();
            }
            for (path, text) in content {
                write(root.path(), path, text);
            }
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt as _;
                let mode = if backwards { 0o700 } else { 0o755 };
                fs::set_permissions(root.path().join("run.sh"), fs::Permissions::from_mode(mode)).unwrap();
            }
            pack(root.path(), DEFAULT_LIMIT_BYTES).unwrap()
        })
        .into_iter()
        .collect();
    assert_eq!(versions[0].archive, versions[1].archive);
    assert_eq!(versions[0].version(), versions[1].version());
    assert_eq!(versions[0].version().len(), 32);
    let mut found = BTreeMap::new();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&versions[0].archive[..]));
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let (path, mode) = (entry.path().unwrap().display().to_string(), entry.header().mode().unwrap());
        assert_eq!((entry.header().mtime().unwrap(), entry.header().uid().unwrap()), (MODIFICATION_TIME, 0));
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        found.insert(path, (text, mode));
    }
    let expected = [
        ("a/c.py", "", 0o644),
        ("b.py", "print(1)\n", 0o644),
        ("run.sh", "#!/bin/sh\n", if cfg!(unix) { 0o755 } else { 0o644 }),
    ];
    let expected = expected.map(|(path, text, mode)| (path.to_owned(), (text.to_owned(), mode)));
    assert_eq!(found, BTreeMap::from(expected));
}

#[test]
fn other_content_or_another_name_gives_another_version() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "a.py", "x");
    let first = pack(root.path(), DEFAULT_LIMIT_BYTES).unwrap().version();
    write(root.path(), "a.py", "y");
    let second = pack(root.path(), DEFAULT_LIMIT_BYTES).unwrap().version();
    fs::rename(root.path().join("a.py"), root.path().join("b.py")).unwrap();
    let third = pack(root.path(), DEFAULT_LIMIT_BYTES).unwrap().version();
    assert!(first != second && second != third && first != third);
}

#[test]
fn the_error_about_the_limit_names_the_largest_files() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "model.bin", &"x".repeat(5_000));
    write(root.path(), "app.py", "print(1)");
    let error = pack(root.path(), 4096).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("are 4.8 KiB in total, and the limit is 4.0 KiB"), "{text}");
    assert!(text.contains("the largest are model.bin (4.8 KiB), app.py (8 bytes)"), "{text}");
}

#[test]
fn a_bundle_without_files_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    assert!(matches!(pack(root.path(), DEFAULT_LIMIT_BYTES), Err(BundleError::Empty { .. })));
    let nowhere = root.path().join("nowhere");
    assert!(matches!(pack(&nowhere, DEFAULT_LIMIT_BYTES), Err(BundleError::Read { .. })));
}

#[cfg(unix)]
#[test]
fn links_are_followed_unless_they_are_loops_or_broken() {
    use std::os::unix::fs::symlink;
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "lib/shared.py", "shared");
    write(root.path(), "app.py", "x");
    symlink(root.path().join("lib"), root.path().join("shared")).unwrap();
    symlink(root.path(), root.path().join("circle")).unwrap();
    symlink("nowhere", root.path().join("dangling")).unwrap();
    assert_eq!(paths(root.path()), ["app.py", "lib/shared.py", "shared/shared.py"]);
    pack(root.path(), DEFAULT_LIMIT_BYTES).unwrap();
}
