//! Checks of the projects, domains and names in requests.

use connectrpc::ConnectError;

use super::{invalid, project, store_error};
use crate::ControlPlane;
use flyte_access::door;
use flyte_model::DOMAINS;

/// The longest name and the longest version, in bytes.
const MAX_NAME_BYTES: usize = 255;

/// Checks that a project and its domain exist. `field` is the request field that has them. The door has already checked whether
/// the caller may see them.
///
/// # Errors
/// `invalid_argument` if one is missing, `not_found` if one does not exist.
pub(super) async fn check(
    plane: &ControlPlane,
    field: &str,
    project: &str,
    domain: &str,
) -> Result<(), ConnectError> {
    for (name, value) in [("project", project), ("domain", domain)] {
        if value.is_empty() {
            return Err(invalid(&format!("{field}.{name}"), "is missing"));
        }
    }
    if plane.store.project_by_id(project).await.map_err(store_error)?.is_none() {
        return Err(ConnectError::not_found(door::no_project(project)));
    }
    if !project::is_domain(domain) {
        let domains: Vec<_> = DOMAINS.iter().map(|(id, _)| *id).collect();
        return Err(ConnectError::not_found(door::no_domain(project, domain, &domains.join(", "))));
    }
    Ok(())
}

/// Checks a name or version that a client chose.
///
/// # Errors
/// `invalid_argument` that names the field.
pub(super) fn check_name(field: &str, name: &str) -> Result<(), ConnectError> {
    if name.is_empty() {
        return Err(invalid(field, "is missing"));
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(invalid(field, &format!("is longer than {MAX_NAME_BYTES} bytes")));
    }
    if name.chars().any(char::is_control) {
        return Err(invalid(field, "has control characters"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use connectrpc::ErrorCode;

    use super::*;
    use crate::testing;

    #[tokio::test]
    async fn unknown_projects_and_domains_are_not_found() {
        let plane = testing::control_plane(|_| {}).await;
        for id in ["p1", "p2"] {
            let project = flyte_store::Project {
                id: id.to_owned(),
                name: id.to_owned(),
                description: String::new(),
                labels: std::collections::BTreeMap::new(),
                state: flyte_store::ProjectState::Active,
                created_at: 0,
                updated_at: 0,
            };
            plane.store.create_project(&project).await.unwrap();
        }
        for (project, domain, expected) in [
            ("p1", "staging", None),
            ("p3", "staging", Some((ErrorCode::NotFound, "no project \"p3\""))),
            ("p1", "prod", Some((ErrorCode::NotFound, "only development, staging, production"))),
            ("", "prod", Some((ErrorCode::InvalidArgument, "task_id.project is missing"))),
            ("p1", "", Some((ErrorCode::InvalidArgument, "task_id.domain is missing"))),
        ] {
            let outcome = check(&plane, "task_id", project, domain).await;
            match (outcome, expected) {
                (Ok(()), None) => {}
                (Err(error), Some((code, message))) => {
                    assert_eq!(error.code, code, "{error}");
                    assert!(error.to_string().contains(message), "{error}");
                }
                (outcome, expected) => panic!("{project} {domain}: {outcome:?}, not {expected:?}"),
            }
        }
    }

    #[test]
    fn names_are_bounded_and_printable() {
        for (name, expected) in
            [("e.f", true), ("\u{e4}", true), ("", false), ("a\nb", false), ("\u{1b}", false)]
        {
            assert_eq!(check_name("name", name).is_ok(), expected, "{name:?}");
        }
        assert!(check_name("name", &"n".repeat(255)).is_ok());
        assert!(check_name("name", &"n".repeat(256)).is_err());
    }
}
