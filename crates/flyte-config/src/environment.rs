//! What the process was started with.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

/// Environment variables and directories, injected so that a test can choose them.
#[derive(Clone, Default)]
pub struct Environment {
    /// Environment variables; those that are not Unicode are left out.
    pub variables: BTreeMap<String, String>,
    /// The working directory.
    pub directory: PathBuf,
    /// The person's home directory, where there is one.
    pub home: Option<PathBuf>,
}

impl Environment {
    /// Of this process.
    ///
    /// # Errors
    /// When the working directory cannot be told, for example because it was deleted.
    pub fn current() -> io::Result<Self> {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Ok(Self { variables, directory: std::env::current_dir()?, home: std::env::home_dir() })
    }

    /// A variable's value; an empty variable counts as unset.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// `path` with a leading `~` replaced by the home directory and, when relative, placed in the working directory.
    pub fn resolve(&self, path: &str) -> PathBuf {
        let expanded = match (path.strip_prefix('~'), &self.home) {
            (Some(""), Some(home)) => home.clone(),
            (Some(rest), Some(home)) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
            _ => PathBuf::from(path),
        };
        self.directory.join(expanded)
    }
}

impl std::fmt::Debug for Environment {
    /// Without the variables: they may hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment")
            .field("directory", &self.directory)
            .field("home", &self.home)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_resolved_against_home_and_working_directory() {
        let environment = Environment {
            directory: "/work".into(),
            home: Some("/home/ada".into()),
            ..Environment::default()
        };
        assert_eq!(environment.resolve("~/ca.pem"), PathBuf::from("/home/ada/ca.pem"));
        assert_eq!(environment.resolve("ca.pem"), PathBuf::from("/work/ca.pem"));
        assert_eq!(environment.resolve("/etc/ca.pem"), PathBuf::from("/etc/ca.pem"));
        assert_eq!(environment.resolve("~ada/ca.pem"), PathBuf::from("/work/~ada/ca.pem"));
    }

    #[test]
    fn an_empty_variable_counts_as_unset_and_debug_shows_none() {
        let mut environment = Environment::default();
        environment.variables.insert("A".into(), String::new());
        environment.variables.insert("B".into(), "hunter2".into());
        assert_eq!(environment.variable("A"), None);
        assert_eq!(environment.variable("B"), Some("hunter2"));
        assert!(!format!("{environment:?}").contains("hunter2"));
    }
}
