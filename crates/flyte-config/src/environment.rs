//! The environment of the process.

use std::collections::BTreeMap;
use std::io;
use std::path::{PathBuf, is_separator};

/// Environment variables and directories. It is a parameter, so that tests can choose them.
#[derive(Clone, Default)]
pub struct Environment {
    /// Environment variables, without those that are not Unicode.
    pub variables: BTreeMap<String, String>,
    /// The working directory.
    pub directory: PathBuf,
    /// The person's home directory, absolute; `None` if there is none.
    pub home: Option<PathBuf>,
}

impl Environment {
    /// The environment of this process.
    ///
    /// # Errors
    /// If the working directory is not known, for example because it was deleted.
    pub fn current() -> io::Result<Self> {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        // With an empty or relative HOME, files of the home directory would be written to the working directory.
        let home = std::env::home_dir().filter(|home| home.is_absolute());
        Ok(Self { variables, directory: std::env::current_dir()?, home })
    }

    /// The value of a variable. An empty variable counts as not set.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A directory of the XDG base directory specification: the absolute path in `variable`, otherwise `default` below the home
    /// directory. `None` if neither exists, because a person's files must not be written to the working directory.
    pub fn base_directory(&self, variable: &str, default: &str) -> Option<PathBuf> {
        let chosen = self.variable(variable).map(PathBuf::from).filter(|path| path.is_absolute());
        chosen.or_else(|| self.home.as_ref().map(|home| home.join(default)))
    }

    /// Makes a path absolute: a leading `~` is the home directory, and a relative path is relative to the working directory.
    #[must_use]
    pub fn resolve(&self, path: &str) -> PathBuf {
        let expanded = match (path.strip_prefix('~'), &self.home) {
            (Some(""), Some(home)) => home.clone(),
            // On Windows, a backslash separates as well.
            (Some(rest), Some(home)) if rest.starts_with(is_separator) => {
                home.join(rest.trim_start_matches(is_separator))
            }
            _ => PathBuf::from(path),
        };
        self.directory.join(expanded)
    }
}

impl std::fmt::Debug for Environment {
    /// Writes the fields without the variables, which may contain secrets.
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
        let backslash = if cfg!(windows) { "/home/ada/ca.pem" } else { r"/work/~\ca.pem" };
        assert_eq!(environment.resolve(r"~\ca.pem"), PathBuf::from(backslash));
    }

    #[test]
    fn without_a_home_the_base_directory_is_only_from_the_variable() {
        let mut environment = Environment { directory: "/work".into(), ..Environment::default() };
        let data = |environment: &Environment| environment.base_directory("XDG_DATA_HOME", ".local/share");
        assert_eq!(data(&environment), None);
        environment.variables.insert("XDG_DATA_HOME".into(), "relative".into());
        assert_eq!(data(&environment), None);
        // On Windows, a path is absolute only with its drive.
        let absolute = if cfg!(windows) { r"C:\data" } else { "/data" };
        environment.variables.insert("XDG_DATA_HOME".into(), absolute.into());
        assert_eq!(data(&environment), Some(absolute.into()));
        environment.variables.clear();
        environment.home = Some("/home/ada".into());
        assert_eq!(data(&environment), Some("/home/ada/.local/share".into()));
    }

    #[test]
    fn an_empty_variable_counts_as_not_set_and_debug_shows_no_variables() {
        let mut environment = Environment::default();
        environment.variables.insert("A".into(), String::new());
        environment.variables.insert("B".into(), "hunter2".into());
        assert_eq!(environment.variable("A"), None);
        assert_eq!(environment.variable("B"), Some("hunter2"));
        assert!(!format!("{environment:?}").contains("hunter2"));
    }
}
