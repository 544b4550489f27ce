//! Which project and domain the URI of an object belongs to.

/// Where the object of a URI is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location<'u> {
    /// In the store, in this project and domain.
    Inside {
        /// The project.
        project: &'u str,
        /// The domain.
        domain: &'u str,
    },
    /// In the store, but the URI does not say in which project and domain.
    Unclear,
    /// Outside of the store: in a bucket of someone else, or the text is not a URI.
    Outside,
}

/// A store of objects, by its URIs.
pub trait Storage: Sync {
    /// Where the object of this URI is. Almost all texts are [`Location::Outside`]: that is decided first, by the first bytes.
    fn locate<'u>(&self, uri: &'u [u8]) -> Location<'u>;
}

/// Where the object is of which `path` is the path in the store: `PROJECT/DOMAIN/PATH`.
#[must_use]
pub fn locate_below(path: &[u8]) -> Location<'_> {
    let Ok(path) = std::str::from_utf8(path) else { return Location::Unclear };
    let mut parts = path.split('/');
    let (Some(project), Some(domain)) = (parts.next(), parts.next()) else { return Location::Unclear };
    let is_name = |part: &str| {
        !matches!(part, "" | "." | "..") && !part.contains(|c: char| c.is_control() || c == '\\')
    };
    // A later part could lead out again. Empty ones do not: writers of paths leave double slashes.
    if is_name(project) && is_name(domain) && parts.all(|part| part.is_empty() || is_name(part)) {
        Location::Inside { project, domain }
    } else {
        Location::Unclear
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_belongs_to_its_project_and_domain() {
        let inside = Location::Inside { project: "p", domain: "d" };
        for (path, expected) in [
            ("p/d/x", inside),
            ("p/d", inside),
            ("p/d/", inside),
            ("p/d//x", inside),
            ("p", Location::Unclear),
            ("", Location::Unclear),
            ("p/", Location::Unclear),
            ("/p/d", Location::Unclear),
            ("p/d/../../q", Location::Unclear),
            ("p/../q/d/x", Location::Unclear),
            ("./p/d", Location::Unclear),
            ("p/d/a\\..", Location::Unclear),
            ("p/d/a\nb", Location::Unclear),
        ] {
            assert_eq!(locate_below(path.as_bytes()), expected, "{path:?}");
        }
        assert_eq!(locate_below(b"p/d/\xff"), Location::Unclear);
    }
}
