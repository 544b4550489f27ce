//! The variables of the environment.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
};

use crate::settings::ALL;

/// Environment variables, as a parameter.
#[derive(Clone, Debug, std::default::Default)]
pub struct Environment(pub(super) BTreeMap<String, String>);

impl Environment {
    /// Returns the variables of this process.
    #[must_use]
    pub fn of_process() -> Self {
        // Variables that are not Unicode are not settings.
        Self(
            env::vars_os()
                .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
                .collect(),
        )
    }

    /// Returns a variable. An empty one counts as not set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Returns all variables with their values.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Returns the variables that have the prefix of settings but are not settings. They are not errors: a container
    /// platform sets `FLYTE_SERVER_PORT` for a service with that name.
    #[must_use]
    pub fn unknown_settings(&self) -> Vec<&str> {
        let known = |name: &str| {
            name == "FLYTE_SERVER_CONFIG"
                || ALL.iter().any(|s| s.variable() == name)
                || super::providers::variable(name).is_some()
        };
        let names = self.0.keys().map(String::as_str);
        names.filter(|name| name.starts_with("FLYTE_SERVER_") && !known(name)).collect()
    }

    /// Returns the directory that the XDG base directory specification defines for `variable`. If the variable is not
    /// set, this is a directory below the home directory. The specification says to ignore relative paths.
    pub(super) fn base_directory(&self, variable: &str, below_home: &str) -> Option<PathBuf> {
        let given = self.get(variable).map(PathBuf::from).filter(|path| path.is_absolute());
        given.or_else(|| self.get("HOME").map(|home| Path::new(home).join(below_home)))
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(variables: [(&str, &str); N]) -> Self {
        Self(variables.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect())
    }
}
