//! What listings of `flyteidl2` are asked by.

use buffa::MessageField;
use buffa_types::google::protobuf::Timestamp;
use flyte_idl::flyteidl2::common::enriched_identity::Principal;
use flyte_idl::flyteidl2::common::filter::Function;
use flyte_idl::flyteidl2::common::sort::Direction;
use flyte_idl::flyteidl2::common::{EnrichedIdentity, Filter, ListRequest, Sort};

/// A field's value is this.
pub(crate) fn equal(field: &str, value: impl Into<String>) -> Filter {
    condition(Function::EQUAL, field, vec![value.into()])
}

/// A field's value is one of these; nothing where there are none to choose from.
pub(crate) fn one_of(field: &str, values: Vec<String>) -> Option<Filter> {
    match values.len() {
        0 => None,
        1 => Some(condition(Function::EQUAL, field, values)),
        _ => Some(condition(Function::VALUE_IN, field, values)),
    }
}

fn condition(function: Function, field: &str, values: Vec<String>) -> Filter {
    Filter { function: function.into(), field: field.to_owned(), values, ..Default::default() }
}

/// One page of what meets the conditions, newest first unless `oldest_first`.
pub(crate) fn page(limit: u32, token: &str, filters: Vec<Filter>, oldest_first: bool) -> ListRequest {
    let direction = if oldest_first { Direction::ASCENDING } else { Direction::DESCENDING };
    ListRequest {
        limit,
        token: token.to_owned(),
        sort_by: Sort { key: "created_at".to_owned(), direction: direction.into(), ..Default::default() }
            .into(),
        filters,
        ..Default::default()
    }
}

/// A moment in Unix time, in seconds.
pub(crate) fn moment(timestamp: MessageField<Timestamp, buffa::Inline<Timestamp>>) -> Option<i64> {
    timestamp.into_option().map(|at| at.seconds)
}

/// Somebody as people call them: an e-mail address, a name, or else what the server knows them by.
pub(crate) fn somebody(identity: Option<EnrichedIdentity>) -> String {
    match identity.and_then(|identity| identity.principal) {
        Some(Principal::User(user)) => {
            let spec = user.spec.into_option().unwrap_or_default();
            let name = [spec.first_name, spec.last_name].join(" ");
            let subject = user.id.into_option().map(|id| id.subject).unwrap_or_default();
            first([spec.email, spec.user_handle, name.trim().to_owned(), subject])
        }
        Some(Principal::Application(app)) => {
            let name = app.spec.into_option().map(|spec| spec.name).unwrap_or_default();
            let subject = app.id.into_option().map(|id| id.subject).unwrap_or_default();
            first([name, subject])
        }
        None => String::new(),
    }
}

fn first<const COUNT: usize>(names: [String; COUNT]) -> String {
    names.into_iter().find(|name| !name.is_empty()).unwrap_or_default()
}
