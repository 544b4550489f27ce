//! Projects and their domains as requests name them, and names inside of them.

use connectrpc::ConnectError;

use super::{invalid, project, store_error};
use crate::{
    access::{Caller, policy},
    app::App,
};

/// The longest name and the longest version, in bytes.
const MAX_NAME: usize = 255;

/// That there is such a project with such a domain for the caller; `field` is the message that names them.
///
/// # Errors
/// `invalid_argument` where one is missing, `not_found` where one does not exist or is not the caller's to see.
pub(super) async fn check(
    app: &App,
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
        && app.store.project_by_id(project).await.map_err(store_error)?.is_some();
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
