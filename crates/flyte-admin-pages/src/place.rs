//! Parts of the control plane in words.

use crate::{cell::visible, given::Typed};

/// A role in a part of the control plane, as the value of a button. None of the names has a space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) role: String,
    pub(crate) project: String,
    pub(crate) domain: String,
}

impl Place {
    /// The value of a button.
    pub(crate) fn value(role: &str, project: &str, domain: &str) -> String {
        format!("{role} {project} {domain}")
    }

    /// Reads the value of a button.
    pub(crate) fn parse(typed: &Typed, name: &str) -> Self {
        // Not trimmed: the project and the domain may be empty.
        let value = typed.all(name).into_iter().next().unwrap_or_default();
        let mut parts = value.splitn(3, ' ').map(str::to_owned);
        let mut part = || parts.next().unwrap_or_default();
        Self { role: part(), project: part(), domain: part() }
    }
}

/// A project and a domain, each of which may be empty for all, in words.
pub(crate) fn words(project: &str, domain: &str) -> String {
    match (project, domain) {
        ("", "") => "everywhere".to_owned(),
        ("", domain) => format!("domain {} of all projects", visible(domain)),
        (project, "") => format!("project {}", visible(project)),
        (project, domain) => format!("project {}, domain {}", visible(project), visible(domain)),
    }
}

/// The same, as the end of a phrase.
pub(crate) fn in_words(project: &str, domain: &str) -> String {
    match (project, domain) {
        ("", "") => words("", ""),
        (project, domain) => format!("in {}", words(project, domain)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_buttons_are_read_back() {
        for (role, project, domain) in [("r", "", ""), ("r", "p", ""), ("r", "", "d"), ("r", "p", "d")] {
            let value = Place::value(role, project, domain);
            let form = url::form_urlencoded::Serializer::new(String::new()).append_pair("x", &value).finish();
            let place = Place::parse(&Typed::parse(form.as_bytes()), "x");
            assert_eq!((&*place.role, &*place.project, &*place.domain), (role, project, domain));
        }
    }

    #[test]
    fn places_have_names() {
        assert_eq!(words("", ""), "everywhere");
        assert_eq!(words("p", ""), "project p");
        assert_eq!(words("", "d"), "domain d of all projects");
        assert_eq!(words("p", "d\u{202e}"), "project p, domain d[U+202E]");
    }
}
