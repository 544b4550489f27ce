//! Which project and domain the URI of an object belongs to.

use super::rules::Rules;

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
    /// The store itself, or a directory of it in which each project has its own.
    Root,
    /// In the store, but the URI does not say in which project and domain.
    Unclear,
    /// Outside of the store: in a bucket of someone else, or the text is not a URI.
    Outside,
}

/// A store of objects, by its URIs.
pub trait Storage: Sync {
    /// Where the object of this URI is. Almost all texts are [`Location::Outside`]: that is decided first, by the first bytes.
    fn locate<'u>(&self, uri: &'u [u8]) -> Location<'u>;

    /// Whether the one who answers the calls also reads and writes in the buckets of others, for callers without a limit.
    fn has_others(&self) -> bool {
        false
    }

    /// The rules for code that the one who answers the calls will run; `None` if there are none.
    fn rules(&self) -> Option<&Rules> {
        None
    }
}

/// Where the object is of which `path` is the path in the store: `PROJECT/DOMAIN/PATH`.
#[must_use]
pub fn locate_below(path: &[u8]) -> Location<'_> {
    std::str::from_utf8(path).map_or(Location::Unclear, |path| locate_parts(path.split('/')))
}

/// The same for the parts of the path.
pub(super) fn locate_parts<'u>(parts: impl IntoIterator<Item = &'u str>) -> Location<'u> {
    let mut parts = parts.into_iter();
    let (Some(project), Some(domain)) = (parts.next(), parts.next()) else { return Location::Unclear };
    // A later part could lead out again. Empty ones do not: writers of paths leave double slashes.
    if is_name(project) && is_name(domain) && parts.all(|part| part.is_empty() || is_plain(part)) {
        Location::Inside { project, domain }
    } else {
        Location::Unclear
    }
}

/// Whether a text can be a part of a path and of a URI as it is.
pub(super) fn is_name(part: &str) -> bool {
    !part.is_empty() && is_plain(part) && !part.contains(['%', '?', '#'])
}

/// Whether a part of a path leads nowhere else, however it is read: as it is, or after its percent-encoding is decoded, with or
/// without a query and a fragment.
pub(super) fn is_plain(part: &str) -> bool {
    part.split(['?', '#']).all(|piece| !matches!(piece, "." | ".."))
        && !part.contains(|c: char| c.is_control() || c == '\\')
        && part.split('%').skip(1).all(|encoded| decode(encoded).is_some_and(|byte| !has_meaning(byte)))
}

/// The byte that is encoded in the text after a `%`.
fn decode(encoded: &str) -> Option<u8> {
    encoded.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok())
}

/// Whether a byte means something in paths, once it is decoded.
fn has_meaning(byte: u8) -> bool {
    byte.is_ascii_control() || b"./\\%?#".contains(&byte)
}

/// Whether a path stays below the directory that it is relative to. A name of a file can have a percent sign that encodes nothing.
pub(super) fn is_relative(path: &str) -> bool {
    let leads_elsewhere = |part: &str| {
        part.split(['?', '#']).any(|piece| matches!(piece, "." | ".."))
            || part.contains(|c: char| c.is_control() || c == '\\')
            || part.split('%').skip(1).any(|encoded| decode(encoded).is_some_and(has_meaning))
    };
    !path.contains("://") && !path.split('/').any(leads_elsewhere)
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
