use std::collections::BTreeMap;
use std::io::Read as _;

use super::*;

fn write(root: &Path, path: &str, content: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn paths(root: &Path) -> Vec<String> {
    files(root).unwrap().into_iter().map(|file| file.path).collect()
}

#[test]
fn what_is_ignored_and_what_tools_keep_is_left_out() {
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
fn secrets_stay_at_home() {
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
    assert_eq!(paths(root), ["app.py"]);
}

#[cfg(unix)]
#[test]
fn links_out_of_the_root_stay_at_home() {
    let (root, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(home.path(), "id_rsa", "secret");
    write(home.path(), "keys/one", "secret");
    write(root.path(), "lib/used.py", "");
    let link =
        |target: &Path, name: &str| std::os::unix::fs::symlink(target, root.path().join(name)).unwrap();
    link(&home.path().join("id_rsa"), "harmless.py");
    link(&home.path().join("keys"), "keys");
    link(&root.path().join("lib/used.py"), "used.py");
    assert_eq!(paths(root.path()), ["lib/used.py", "used.py"]);
}

#[test]
fn an_ignore_file_of_the_repository_counts_below_it() {
    let repository = tempfile::tempdir().unwrap();
    write(repository.path(), ".git/HEAD", "x");
    write(repository.path(), ".gitignore", "*.csv\n");
    write(repository.path(), "service/app.py", "x");
    write(repository.path(), "service/data.csv", "x");
    assert_eq!(paths(&repository.path().join("service")), ["app.py"]);
}

#[test]
fn the_same_files_make_the_same_archive() {
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
            Bundle::pack(root.path(), LIMIT).unwrap()
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
        assert_eq!((entry.header().mtime().unwrap(), entry.header().uid().unwrap()), (CHANGED, 0));
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
fn another_byte_or_another_name_is_another_version() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "a.py", "x");
    let first = Bundle::pack(root.path(), LIMIT).unwrap().version();
    write(root.path(), "a.py", "y");
    let second = Bundle::pack(root.path(), LIMIT).unwrap().version();
    fs::rename(root.path().join("a.py"), root.path().join("b.py")).unwrap();
    let third = Bundle::pack(root.path(), LIMIT).unwrap().version();
    assert!(first != second && second != third && first != third);
}

#[test]
fn what_is_too_large_is_told_with_the_largest_files() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "model.bin", &"x".repeat(5_000));
    write(root.path(), "app.py", "print(1)");
    let error = Bundle::pack(root.path(), 4096).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("have 4.8 KiB together, and 4.0 KiB are taken"), "{text}");
    assert!(text.contains("the largest are model.bin (4.8 KiB), app.py (8 bytes)"), "{text}");
    assert!(error.hint().contains(".flyteignore"));
}

#[test]
fn nothing_to_bundle_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    assert!(matches!(Bundle::pack(root.path(), LIMIT), Err(BundleError::Empty { .. })));
    let nowhere = root.path().join("nowhere");
    assert!(matches!(Bundle::pack(&nowhere, LIMIT), Err(BundleError::Read { .. })));
}

#[cfg(unix)]
#[test]
fn links_are_followed_but_not_in_circles_and_not_to_nowhere() {
    use std::os::unix::fs::symlink;
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "lib/shared.py", "shared");
    write(root.path(), "app.py", "x");
    symlink(root.path().join("lib"), root.path().join("shared")).unwrap();
    symlink(root.path(), root.path().join("circle")).unwrap();
    symlink("nowhere", root.path().join("dangling")).unwrap();
    assert_eq!(paths(root.path()), ["app.py", "lib/shared.py", "shared/shared.py"]);
    Bundle::pack(root.path(), LIMIT).unwrap();
}
