//! The names of principals.

use flyte_idl::flyteidl2::common::{EnrichedIdentity, enriched_identity::Principal};
use flyte_pages::Cell;

/// The e-mail address or the name of a principal, or else its subject.
pub(crate) fn name(identity: Option<&EnrichedIdentity>) -> Option<String> {
    let (texts, subject) = match identity?.principal.as_ref()? {
        Principal::User(user) => {
            let spec = &user.spec;
            let name = format!("{} {}", spec.first_name, spec.last_name);
            (vec![spec.email.clone(), name.trim().to_owned()], user.id.subject.clone())
        }
        Principal::Application(application) => {
            (vec![application.spec.name.clone()], application.id.subject.clone())
        }
    };
    texts.into_iter().chain([subject]).find(|text| !text.is_empty())
}

/// The same, for a page.
pub(crate) fn cell(identity: Option<&EnrichedIdentity>) -> Cell {
    name(identity).map_or(Cell::Empty, Cell::Text)
}
