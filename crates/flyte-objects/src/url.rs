//! Native URLs of objects.

use std::path::PathBuf;

use super::{Backend, InvalidKey, ObjectError, ObjectKey, Objects};

/// The scheme of the native URLs of files.
pub const SCHEME: &str = "objects://";
/// Schemes that can precede the path of an object's file.
pub(super) const PATH_SCHEMES: [&str; 2] = ["file://", SCHEME];

impl Objects {
    /// Returns the native URL of an object, or the common prefix of several (`runs/NAME`), in a domain of a project.
    ///
    /// # Errors
    /// [`InvalidKey`].
    pub fn native_url(&self, project: &str, domain: &str, path: &str) -> Result<String, InvalidKey> {
        Ok(self.url_of(&ObjectKey::new(project, domain, path)?))
    }

    /// Returns the native URL of a key. Nothing in it is escaped, because the libraries of tasks read such URLs without
    /// unescaping.
    #[must_use]
    pub fn url_of(&self, key: &ObjectKey) -> String {
        format!("{}/{key}", self.base)
    }

    /// Returns the key of the object with this native URL. If the URL comes from a client, the caller must compare the
    /// key with what the client may access ([`ObjectKey::is_in`]). Tasks know the same object by the path of its file,
    /// so that path is accepted too.
    ///
    /// # Errors
    /// [`ObjectError::Elsewhere`] and [`ObjectError::Key`].
    pub fn key_of(&self, native_url: &str) -> Result<ObjectKey, ObjectError> {
        let rest = self.below(native_url.as_bytes()).and_then(|rest| std::str::from_utf8(rest).ok());
        let rest = rest.ok_or_else(|| ObjectError::Elsewhere(native_url.to_owned(), self.base.clone()))?;
        Ok(ObjectKey::parse(rest.strip_suffix('/').unwrap_or(rest))?)
    }

    /// Returns the path of an object in the store, `PROJECT/DOMAIN/PATH` as in its URL, or `None` for a URL outside of the store.
    /// Checks only how the URL begins.
    #[must_use]
    pub fn below<'a>(&self, native_url: &'a [u8]) -> Option<&'a [u8]> {
        if let Some(rest) =
            native_url.strip_prefix(self.base.as_bytes()).and_then(|rest| rest.strip_prefix(b"/"))
            && (!rest.starts_with(b"/") || self.directories.is_empty())
        {
            return Some(rest);
        }
        let path = PATH_SCHEMES.iter().find_map(|scheme| native_url.strip_prefix(scheme.as_bytes()));
        let path = path.unwrap_or(native_url);
        self.directories
            .iter()
            .find_map(|directory| path.strip_prefix(directory.as_bytes())?.strip_prefix(b"/"))
    }

    /// Returns a native URL in the form for commands of tasks: the path of the file, if objects are files. Other texts
    /// are unchanged.
    #[must_use]
    pub fn for_command(&self, native_url: &str) -> String {
        match (self.directory(), self.key_of(native_url)) {
            (Some(directory), Ok(key)) => format!("{directory}/{key}"),
            _ => native_url.to_owned(),
        }
    }

    /// Returns the directory for the objects of a domain of a project, if objects are files. It may not exist yet.
    #[must_use]
    pub fn directory_of(&self, project: &str, domain: &str) -> Option<PathBuf> {
        match &self.backend {
            Backend::Directory(directory) => Some(directory.root().join(project).join(domain)),
            Backend::Bucket(_) => None,
        }
    }
}

/// Returns the part of `path` below one of these directories.
#[must_use]
pub fn below_one<'a>(directories: &[String], path: &'a str) -> Option<&'a str> {
    directories.iter().find_map(|directory| path.strip_prefix(directory)?.strip_prefix('/'))
}
