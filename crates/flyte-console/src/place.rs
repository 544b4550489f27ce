//! The project and the domain that a page is about.

use flyte_idl::flyteidl2::common::ProjectIdentifier;
use serde::Deserialize;

/// A project and a domain.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Place {
    pub(crate) domain: String,
    pub(crate) project: String,
}

impl Place {
    pub(crate) fn identifier(&self) -> ProjectIdentifier {
        ProjectIdentifier {
            name: self.project.clone(),
            domain: self.domain.clone(),
            ..ProjectIdentifier::default()
        }
    }

    /// The options that name the project and the domain in commands.
    pub(crate) fn options(&self) -> String {
        format!("--project {} --domain {}", argument(&self.project), argument(&self.domain))
    }
}

/// The path of a page about something in a project and domain.
#[derive(Debug, Deserialize)]
pub(crate) struct NamedPath {
    domain: String,
    project: String,
    name: String,
}

impl NamedPath {
    pub(crate) fn split(self) -> (Place, String) {
        (Place { domain: self.domain, project: self.project }, self.name)
    }
}

/// A text as one argument of a command in a shell.
pub(crate) fn argument(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@%+=,".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_argument_in_every_shell() {
        assert_eq!(argument("env.main-1"), "env.main-1");
        assert_eq!(argument("a b"), "'a b'");
        assert_eq!(argument("$(rm -rf)'x"), r"'$(rm -rf)'\''x'");
        assert_eq!(argument(""), "''");
    }
}
