//! Errors of the backend that are about other projects.

use flyte_protocol::{Code, Refusal};

use super::limit::Sight;

/// The names before a project in texts, in lower case.
const PROJECT: &[&str] = &["project_id", "projectid", "project"];
/// The names before a domain.
const DOMAIN: &[&str] = &["domain"];

/// The longest text that is looked through, in bytes. The rest of an error's text is cut off.
const MAX_LENGTH: usize = 8 << 10;

/// The error as the caller sees it.
///
/// The door refuses requests that name other projects, so that few errors are about them: a name that must be unique in the
/// whole organization, or something that refers to something else. If the text names another project or domain, in one of the
/// ways in which Go and protobuf print identifiers, the caller gets "not found", as for everything of other projects. Details are
/// messages of any type, which cannot be looked through, and are left out.
pub(super) fn filter(mut refusal: Refusal, sight: &Sight) -> Refusal {
    if names_others(&refusal.message, sight) {
        return Refusal::new(Code::NotFound, "not found");
    }
    if refusal.message.len() > MAX_LENGTH {
        let end = (0..=MAX_LENGTH).rev().find(|end| refusal.message.is_char_boundary(*end));
        refusal.message.truncate(end.unwrap_or_default());
    }
    refusal.details.clear();
    refusal
}

fn names_others(text: &str, sight: &Sight) -> bool {
    let text =
        &text[..(0..=MAX_LENGTH.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0)];
    let lower = text.to_ascii_lowercase();
    let others = |labels: &[&str], is_own: &dyn Fn(&[u8]) -> bool| {
        labels.iter().any(|label| {
            lower.match_indices(label).any(|(start, label)| {
                value_after(text, start, start + label.len()).is_some_and(|value| !is_own(value.as_bytes()))
            })
        })
    };
    others(PROJECT, &|project| sight.includes(project, None))
        || others(DOMAIN, &|domain| sight.includes_domain(domain))
}

/// The value of a label that is a word of its own: `project:"p"`, `project: p`, `project=p`, `"project": "p"`, `Project{name:"p"`,
/// `project "p"`, `project [p]`, `project 'p'`.
fn value_after(text: &str, start: usize, end: usize) -> Option<&str> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    if text[..start].chars().next_back().is_some_and(is_word) {
        return None;
    }
    let rest = &text[end..];
    // The quote at the end of a quoted label, perhaps in a quoted text.
    let rest = rest.strip_prefix("\\\"").or_else(|| rest.strip_prefix('"')).unwrap_or(rest);
    let value = rest.trim_start_matches([' ', '{', '<']);
    let (is_labelled, value) = match value.strip_prefix([':', '=']) {
        Some(value) => (true, value.trim_start_matches([' ', '{', '<'])),
        None => (false, value),
    };
    let value = value.strip_prefix("name:").unwrap_or(value);
    let unescaped = value.strip_prefix('\\').unwrap_or(value);
    let (is_quoted, value) = match unescaped.strip_prefix(['"', '\'', '[', '`']) {
        Some(value) => (true, value),
        None => (false, value),
    };
    if !is_labelled && !is_quoted {
        // A word of a sentence.
        return None;
    }
    let end =
        value.find(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))).unwrap_or(value.len());
    Some(&value[..end]).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use flyte_model::{Limit, Role};
    use flyte_policy::{Grants, Permission};
    use flyte_protocol::Detail;

    use super::*;

    fn sight() -> Sight {
        let limit = Limit { project: Some("own".to_owned()), domain: Some("development".to_owned()) };
        Sight::new(&Grants::of_role(Role::Viewer, &limit), Permission::ViewRuns).unwrap()
    }

    #[test]
    fn errors_about_other_projects_read_as_not_found() {
        for text in [
            "run project:\"other\" domain:\"development\" name:\"r\" exists",
            "run org:\"o\" project:\"own\" domain:\"production\" name:\"r\" exists",
            "the app is in project other: choose another name"
                .replace("project other", "project 'other'")
                .as_str(),
            "duplicate key {\"project\": \"other\"}",
            "duplicate key {\\\"project\\\":\\\"other\\\"}",
            "Project=other",
            "project_id:{name:\"other\" domain:\"development\"}",
            "project: [other]",
            "project `other` is archived",
        ] {
            let refusal = filter(Refusal::new(Code::AlreadyExists, text), &sight());
            assert_eq!(refusal, Refusal::new(Code::NotFound, "not found"), "{text}");
        }
    }

    #[test]
    fn other_errors_stay_without_their_details() {
        for text in [
            "run project:\"own\" domain:\"development\" name:\"r\" exists",
            "the request names no project",
            "project is required",
            "domain must not be empty, projects: 5",
            "subproject:\"x\" is no field",
            "project: ",
            "",
        ] {
            let mut refusal = Refusal::new(Code::InvalidArgument, text);
            refusal.details.push(Detail { type_name: "a.B".to_owned(), value: "other".into() });
            assert_eq!(filter(refusal, &sight()), Refusal::new(Code::InvalidArgument, text));
        }
        let long = format!("{}é", "x".repeat(MAX_LENGTH - 1));
        let refusal = filter(Refusal::new(Code::Internal, long), &sight());
        assert_eq!(refusal.message.len(), MAX_LENGTH - 1);
    }
}
