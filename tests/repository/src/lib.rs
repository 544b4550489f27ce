//! What the tests of the repository read: its files, and its crates as `cargo metadata` describes them.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The root of the repository.
///
/// # Panics
///
/// Never: the manifest of this crate is below it.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// The files that git tracks or would add, as paths below [`root`].
///
/// # Panics
///
/// If git is missing or the directory is no checkout.
#[must_use]
pub fn files() -> Vec<String> {
    let listing =
        stdout(Command::new("git").args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]));
    let files: Vec<_> = listing.split_terminator('\0').map(str::to_owned).collect();
    assert!(files.len() > 100, "git lists only {files:?}");
    // A file that is removed but not committed yet is still listed.
    files.into_iter().filter(|file| root().join(file).is_file()).collect()
}

/// What the command prints when it is run at the root.
fn stdout(command: &mut Command) -> String {
    let output = command.current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A crate of the workspace.
#[derive(Debug)]
pub struct Package {
    /// The name in `Cargo.toml`.
    pub name: String,
    /// The description in `Cargo.toml`.
    pub description: String,
    /// The directory below [`root`].
    pub directory: String,
    /// The crates of the workspace that it is built from. Dependencies of tests and optional ones do not count.
    pub dependencies: BTreeSet<String>,
    /// One more than the highest floor of its dependencies; 1 if it has none.
    pub floor: usize,
}

/// The crates of the workspace by floor and name, as `cargo metadata` describes them.
///
/// # Panics
///
/// If a manifest is invalid.
#[must_use]
pub fn packages() -> Vec<Package> {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let described = metadata["packages"].as_array().unwrap();
    let names: BTreeSet<_> = described.iter().map(|package| package["name"].as_str().unwrap()).collect();
    let mut packages: Vec<_> = described
        .iter()
        .map(|package| {
            let manifest = Path::new(package["manifest_path"].as_str().unwrap());
            let directory = manifest.parent().unwrap().strip_prefix(root()).unwrap();
            let dependencies = package["dependencies"].as_array().unwrap().iter();
            Package {
                name: package["name"].as_str().unwrap().to_owned(),
                description: package["description"].as_str().unwrap_or_default().to_owned(),
                directory: directory.to_str().unwrap().to_owned(),
                dependencies: dependencies
                    .filter(|dependency| dependency["kind"] != "dev" && dependency["optional"] == false)
                    .map(|dependency| dependency["name"].as_str().unwrap())
                    .filter(|name| names.contains(name))
                    .map(str::to_owned)
                    .collect(),
                floor: 0,
            }
        })
        .collect();
    let floors = floors(&packages);
    for package in &mut packages {
        package.floor = floors[&package.name];
    }
    packages.sort_by(|a, b| (a.floor, &a.name).cmp(&(b.floor, &b.name)));
    packages
}

/// The floor of each crate. Cargo admits no circles, so that each round places at least one crate.
fn floors(packages: &[Package]) -> BTreeMap<String, usize> {
    let mut floors = BTreeMap::new();
    while floors.len() < packages.len() {
        for package in packages {
            let below: Option<Vec<_>> = package.dependencies.iter().map(|name| floors.get(name)).collect();
            if let Some(below) = below {
                let floor = 1 + below.into_iter().max().copied().unwrap_or(0);
                floors.insert(package.name.clone(), floor);
            }
        }
    }
    floors
}

/// The crates that `name` uses, directly or through others.
#[must_use]
pub fn uses(packages: &[Package], name: &str) -> BTreeSet<String> {
    let package = packages.iter().find(|package| package.name == name);
    let mut used = BTreeSet::new();
    for dependency in package.iter().flat_map(|package| &package.dependencies) {
        used.extend(uses(packages, dependency));
        used.insert(dependency.clone());
    }
    used
}

/// Compares the part of a page that is generated with what it should be, or replaces that part if `INSTA_UPDATE=always` is
/// set. The part is between `<!-- NAME: begin -->` and `<!-- NAME: end -->`, each on a line of its own.
///
/// # Panics
///
/// If the page has no such part, or the part differs.
pub fn assert_generated(page: &str, name: &str, generated: &str) {
    let path = root().join(page);
    let text = fs::read_to_string(&path).unwrap();
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->\n"));
    let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("{page} has no line {begin}"));
    let (now, after) = rest.split_once(&end).unwrap_or_else(|| panic!("{page} has no line {end}"));
    if env::var_os("INSTA_UPDATE").is_some_and(|update| update == "always") {
        fs::write(path, format!("{before}{begin}{generated}{end}{after}")).unwrap();
    } else {
        assert!(
            now == generated,
            "{page} is out of date. Run `INSTA_UPDATE=always cargo test -p flyte-repository`. It should say:\n{generated}"
        );
    }
}
