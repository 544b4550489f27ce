//! Projects and their domains as requests name them, and names inside of them.

use connectrpc::ConnectError;

use super::{invalid, project, store_error};
use crate::ControlPlane;
use flyte_access::{Caller, policy};

/// The longest name and the longest version, in bytes.
const MAX_NAME: usize = 255;

/// That there is such a project with such a domain for the caller; `field` is the message that names them.
///
/// # Errors
/// `invalid_argument` where one is missing, `not_found` where one does not exist or is not the caller's to see.
pub(super) async fn check(
    plane: &ControlPlane,
    caller: &Caller,
    field: &str,
    project: &str,
    domain: &str,
) -> Result<(), ConnectError> {
    for (name, value) in [("project", project), ("domain", domain)] {
        if value.is_empty() {
            return Err(invalid(&format!("{field}.{name}"), "is missing"));
        }
    }
    let there = policy::may_see(caller, project, None)
        && plane.store.project_by_id(project).await.map_err(store_error)?.is_some();
    if !there {
        return Err(ConnectError::not_found(format!(
            "there is no project {project:?}: `flyte get project` lists those that there are"
        )));
    }
    if !project::is_domain(domain) || !policy::may_see(caller, project, Some(domain)) {
        let domains: Vec<_> = project::DOMAINS
            .iter()
            .map(|(id, _)| *id)
            .filter(|id| policy::may_see(caller, project, Some(id)))
            .collect();
        return Err(ConnectError::not_found(format!(
            "project {project:?} has no domain {domain:?}, only {}",
            domains.join(", ")
        )));
    }
    Ok(())
}

/// A name or a version that a client chose.
///
/// # Errors
/// `invalid_argument` that names the field.
pub(super) fn check_name(field: &str, name: &str) -> Result<(), ConnectError> {
    if name.is_empty() {
        return Err(invalid(field, "is missing"));
    }
    if name.len() > MAX_NAME {
        return Err(invalid(field, &format!("is longer than {MAX_NAME} bytes")));
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
    use flyte_model::Limit;

    #[tokio::test]
    async fn what_is_not_the_callers_is_not_there() {
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
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        for (limit, project, domain, expected) in [
            (("", ""), "p1", "staging", None),
            (("", ""), "p3", "staging", Some((ErrorCode::NotFound, "no project \"p3\""))),
            (("", ""), "p1", "prod", Some((ErrorCode::NotFound, "only development, staging, production"))),
            (("", ""), "", "prod", Some((ErrorCode::InvalidArgument, "task_id.project is missing"))),
            (("", ""), "p1", "", Some((ErrorCode::InvalidArgument, "task_id.domain is missing"))),
            (("p1", "staging"), "p1", "staging", None),
            (("p1", ""), "p1", "production", None),
            (("p1", "staging"), "p2", "staging", Some((ErrorCode::NotFound, "no project \"p2\""))),
            (("p1", "staging"), "p1", "production", Some((ErrorCode::NotFound, "only staging"))),
        ] {
            let limit = Limit { project: given(limit.0), domain: given(limit.1) };
            let caller = Caller { limit, ..Caller::nobody() };
            let outcome = check(&plane, &caller, "task_id", project, domain).await;
            match (outcome, expected) {
                (Ok(()), None) => {}
                (Err(error), Some((code, message))) => {
                    assert_eq!(error.code, code, "{error}");
                    assert!(error.to_string().contains(message), "{error}");
                }
                (outcome, expected) => panic!("{caller:?} {project} {domain}: {outcome:?}, not {expected:?}"),
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
