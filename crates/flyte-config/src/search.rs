//! Where the configuration file is.
//!
//! An explicit path wins, otherwise the first of these that exists:
//!
//! 1. `./config.yaml`, if it looks like ours: it is a mapping with one of the keys of [`key::SECTIONS`].
//!    Many programs have a file of this name; one that is not ours is passed over.
//! 2. `./.flyte/config.yaml`
//! 3. `.flyte/config.yaml` at the root of the git repository around the working directory
//! 4. the file that `$UCTL_CONFIG` names, which has to exist
//! 5. the file that `$FLYTECTL_CONFIG` names, which has to exist
//! 6. `~/.union/config.yaml`
//! 7. `~/.flyte/config.yaml`

use std::path::{Path, PathBuf};

use crate::environment::Environment;
use crate::error::{ConfigError, NamedBy};
use crate::{key, tree};

/// Name of the file.
const FILE: &str = "config.yaml";

/// Finds the configuration file; `None` where there is none.
///
/// # Errors
/// When `explicit` or a variable names a file that does not exist.
pub fn find(explicit: Option<&Path>, environment: &Environment) -> Result<Option<PathBuf>, ConfigError> {
    if let Some(path) = explicit {
        return existing(environment.directory.join(path), NamedBy::Caller).map(Some);
    }
    let here = environment.directory.join(FILE);
    if looks_like_ours(&here) {
        return Ok(Some(here));
    }
    let project = [Some(environment.directory.clone()), git_root(&environment.directory)];
    if let Some(path) =
        project.into_iter().flatten().map(|root| in_project(&root)).find(|path| path.is_file())
    {
        return Ok(Some(path));
    }
    for variable in ["UCTL_CONFIG", "FLYTECTL_CONFIG"] {
        if let Some(path) = environment.variable(variable) {
            return existing(environment.resolve(path), NamedBy::Variable(variable)).map(Some);
        }
    }
    let Some(home) = &environment.home else { return Ok(None) };
    Ok(of_person(home).into_iter().find(|path| path.is_file()))
}

/// The files that a person whose home is `home` keeps their configuration in, the first one first.
pub(crate) fn of_person(home: &Path) -> [PathBuf; 2] {
    [home.join(".union").join(FILE), in_project(home)]
}

/// The file that a project at `root`, or a person whose home is `root`, keeps its configuration in.
#[must_use]
pub fn in_project(root: &Path) -> PathBuf {
    root.join(".flyte").join(FILE)
}

/// Where a new configuration goes: into the project when the working directory is in one (it has a `.flyte`
/// directory, or is in a git repository), else into the home directory.
#[must_use]
pub fn default_target(environment: &Environment) -> PathBuf {
    let directory = &environment.directory;
    let root = if directory.join(".flyte").is_dir() {
        directory.clone()
    } else if let Some(root) = git_root(directory) {
        root
    } else {
        environment.home.clone().unwrap_or_else(|| directory.clone())
    };
    in_project(&root)
}

/// Returns `path` if it exists.
fn existing(path: PathBuf, named_by: NamedBy) -> Result<PathBuf, ConfigError> {
    if path.exists() { Ok(path) } else { Err(ConfigError::Missing { path, named_by }) }
}

/// The closest directory at or above `directory` that has a `.git` (a directory, or a file in a worktree).
fn git_root(directory: &Path) -> Option<PathBuf> {
    directory.ancestors().find(|ancestor| ancestor.join(".git").exists()).map(Path::to_owned)
}

fn looks_like_ours(path: &Path) -> bool {
    let Ok(text) = std::fs::read_to_string(path) else { return false };
    tree::Tree::parse(&text)
        .is_ok_and(|tree| key::SECTIONS.iter().any(|section| tree.get(tree.root(), section).is_some()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A home and, below it, a git repository with a subdirectory that is the working directory.
    fn place() -> (tempfile::TempDir, Environment) {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("repository/deep/er");
        fs::create_dir_all(&directory).unwrap();
        fs::create_dir(home.path().join("repository/.git")).unwrap();
        let environment =
            Environment { directory, home: Some(home.path().to_owned()), ..Environment::default() };
        (home, environment)
    }

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn each_place_hides_the_ones_after_it() {
        let (home, mut environment) = place();
        let places = [
            home.path().join(".flyte/config.yaml"),
            home.path().join(".union/config.yaml"),
            home.path().join("flytectl.yaml"),
            home.path().join("uctl.yaml"),
            home.path().join("repository/.flyte/config.yaml"),
            environment.directory.join(".flyte/config.yaml"),
            environment.directory.join("config.yaml"),
        ];
        assert_eq!(find(None, &environment).unwrap(), None);
        for (index, path) in places.iter().enumerate() {
            write(path, "admin: {}\n");
            if index == 2 {
                environment.variables.insert("FLYTECTL_CONFIG".into(), "~/flytectl.yaml".into());
            }
            if index == 3 {
                environment.variables.insert("UCTL_CONFIG".into(), path.display().to_string());
            }
            assert_eq!(find(None, &environment).unwrap().as_ref(), Some(path));
        }
        let explicit = Path::new("../../../uctl.yaml");
        assert!(find(Some(explicit), &environment).unwrap().unwrap().ends_with("uctl.yaml"));
    }

    #[test]
    fn config_yaml_of_another_program_is_ignored() {
        let (home, environment) = place();
        let ours = home.path().join(".flyte/config.yaml");
        write(&ours, "admin: {}\n");
        for text in ["database: x\n", "- admin\n", "admin: [\n", ""] {
            write(&environment.directory.join("config.yaml"), text);
            assert_eq!(find(None, &environment).unwrap().as_ref(), Some(&ours), "{text:?}");
        }
    }

    #[test]
    fn a_named_file_has_to_exist() {
        let (_home, mut environment) = place();
        let error = find(Some(Path::new("absent.yaml")), &environment).unwrap_err();
        assert!(matches!(error, ConfigError::Missing { named_by: NamedBy::Caller, .. }), "{error}");
        environment.variables.insert("UCTL_CONFIG".into(), "/absent.yaml".into());
        let error = find(None, &environment).unwrap_err();
        assert!(error.to_string().contains("UCTL_CONFIG"), "{error}");
    }

    #[test]
    fn a_new_file_goes_into_the_project_or_the_home() {
        let (home, mut environment) = place();
        assert_eq!(default_target(&environment), home.path().join("repository/.flyte/config.yaml"));
        fs::create_dir(environment.directory.join(".flyte")).unwrap();
        assert_eq!(default_target(&environment), environment.directory.join(".flyte/config.yaml"));
        environment.directory = home.path().to_owned();
        assert_eq!(default_target(&environment), home.path().join(".flyte/config.yaml"));
    }
}
