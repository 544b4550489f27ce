//! The key of an object: its project, its domain, and its path below them.

use std::fmt;

/// The longest path of an object, in bytes. Keys of S3 have 1024, which includes project, domain and the bucket's
/// prefix.
const MAX_PATH: usize = 700;
/// The longest part of a path, in bytes: the limit of file names.
const MAX_SEGMENT: usize = 255;

/// The reason why a text is not the key of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// The text, or one of its parts, is empty.
    #[error("has an empty part: its parts are separated by single slashes")]
    Empty,
    /// The path would leave its directory.
    #[error("has the part . or .., which is not allowed")]
    Climbs,
    /// The text has characters that file names cannot have.
    #[error(
        "has a character that names of objects cannot have: a control character, a slash in a part, or \\"
    )]
    Character,
    /// The text is too long.
    #[error("is too long: at most 700 bytes in parts of at most 255 are expected")]
    TooLong,
}

/// The key of an object. It never leaves its project and domain, whatever a caller wrote.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectKey {
    project: String,
    domain: String,
    path: String,
}

impl ObjectKey {
    /// Creates the key of the object at `path` in a domain of a project. The parts of the path are separated by `/`.
    ///
    /// # Errors
    /// [`InvalidKey`].
    pub fn new(project: &str, domain: &str, path: &str) -> Result<Self, InvalidKey> {
        check_segment(project)?;
        check_segment(domain)?;
        if path.len() > MAX_PATH {
            return Err(InvalidKey::TooLong);
        }
        path.split('/').try_for_each(check_segment)?;
        Ok(Self { project: project.to_owned(), domain: domain.to_owned(), path: path.to_owned() })
    }

    /// Parses the format of [`fmt::Display`]: `project/domain/path`.
    ///
    /// # Errors
    /// [`InvalidKey`].
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        let (project, rest) = text.split_once('/').ok_or(InvalidKey::Empty)?;
        let (domain, path) = rest.split_once('/').ok_or(InvalidKey::Empty)?;
        Self::new(project, domain, path)
    }

    /// Returns the project.
    #[must_use]
    pub fn project(&self) -> &str {
        &self.project
    }

    /// Returns the domain.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Returns the path below project and domain.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the last part of the path.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// Returns all parts, beginning with the project.
    pub(super) fn segments(&self) -> impl Iterator<Item = &str> {
        [self.project.as_str(), self.domain.as_str()].into_iter().chain(self.path.split('/'))
    }

    /// Returns whether the object is in this domain of the project.
    #[must_use]
    pub fn is_in(&self, project: &str, domain: &str) -> bool {
        self.project == project && self.domain == domain
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.project, self.domain, self.path)
    }
}

fn check_segment(segment: &str) -> Result<(), InvalidKey> {
    match segment {
        "" => Err(InvalidKey::Empty),
        "." | ".." => Err(InvalidKey::Climbs),
        _ if segment.len() > MAX_SEGMENT => Err(InvalidKey::TooLong),
        _ if segment.chars().any(|c| c.is_control() || c == '/' || c == '\\') => Err(InvalidKey::Character),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Component, Path};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_stays_in_its_project_and_domain() {
        let key = ObjectKey::new("p", "d", "a/b c/ü%2e.tar.gz").unwrap();
        assert_eq!(key.to_string(), "p/d/a/b c/ü%2e.tar.gz");
        assert_eq!(key.file_name(), "ü%2e.tar.gz");
        assert!(key.is_in("p", "d") && !key.is_in("p", "e") && !key.is_in("q", "d"));
        for (project, domain, path, why) in [
            ("p", "d", "", InvalidKey::Empty),
            ("p", "d", "/etc/passwd", InvalidKey::Empty),
            ("p", "d", "a//b", InvalidKey::Empty),
            ("p", "d", "a/", InvalidKey::Empty),
            ("p", "d", "../../x", InvalidKey::Climbs),
            ("p", "d", "a/./b", InvalidKey::Climbs),
            ("..", "d", "a", InvalidKey::Climbs),
            ("p", "", "a", InvalidKey::Empty),
            ("p", "d/e", "a", InvalidKey::Character),
            ("p", "d", "a\0b", InvalidKey::Character),
            ("p", "d", "a\nb", InvalidKey::Character),
            ("p", "d", "a\\..\\b", InvalidKey::Character),
        ] {
            assert_eq!(ObjectKey::new(project, domain, path), Err(why), "{project} {domain} {path:?}");
        }
        assert_eq!(ObjectKey::new("p", "d", &"a".repeat(256)), Err(InvalidKey::TooLong));
        assert_eq!(ObjectKey::new("p", "d", &"a/".repeat(400)), Err(InvalidKey::TooLong));
        assert_eq!(ObjectKey::parse("p/d"), Err(InvalidKey::Empty));
    }

    proptest! {
        #[test]
        fn no_text_leaves_its_directory(text in "[./\\\\a%\u{0}-]{0,24}|.*") {
            if let Ok(key) = ObjectKey::parse(&text) {
                prop_assert_eq!(key.to_string(), text.clone());
                prop_assert!(Path::new(&text).components().all(|part| matches!(part, Component::Normal(_))));
                prop_assert_eq!(ObjectKey::parse(&text), Ok(key));
            }
        }
    }
}
