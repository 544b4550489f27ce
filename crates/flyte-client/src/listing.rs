//! The filters and the order of `flyteidl2` listings.

use buffa::MessageField;
use buffa_types::google::protobuf::Timestamp;
use flyte_idl::flyteidl2::common::enriched_identity::Principal;
use flyte_idl::flyteidl2::common::filter::Function;
use flyte_idl::flyteidl2::common::sort::Direction;
use flyte_idl::flyteidl2::common::{EnrichedIdentity, Filter, ListRequest, Sort};

/// A range of times: from `after`, inclusive, to `before`, exclusive. Both are Unix times in seconds; `None` means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeRange {
    /// The first time of the range.
    pub after: Option<i64>,
    /// The first time after the range.
    pub before: Option<i64>,
}

impl TimeRange {
    /// Whether the range has no limits.
    #[must_use]
    pub fn is_unlimited(self) -> bool {
        self == Self::default()
    }

    /// The filters of a field with a time.
    pub(crate) fn filters(self, field: &str) -> impl Iterator<Item = Filter> {
        let limits = [(Function::GREATER_THAN_OR_EQUAL, self.after), (Function::LESS_THAN, self.before)];
        limits.into_iter().filter_map(move |(function, at)| {
            let at = jiff::Timestamp::from_second(at?).ok()?;
            Some(condition(function, field, vec![at.to_string()]))
        })
    }
}

/// A filter: the field exists.
pub(crate) fn exists(field: &str) -> Filter {
    condition(Function::EXISTS, field, Vec::new())
}

/// A filter: the field has this value.
pub(crate) fn equal(field: &str, value: impl Into<String>) -> Filter {
    condition(Function::EQUAL, field, vec![value.into()])
}

/// A filter: the field has one of these values. `None` without values.
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

/// A request for one page of what passes the filters, newest first unless `oldest_first`.
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

/// A request for one page in the server's own order.
pub(crate) fn server_order(limit: u32, token: &str) -> ListRequest {
    ListRequest { limit, token: token.to_owned(), ..Default::default() }
}

/// A timestamp as Unix time in seconds.
pub(crate) fn unix_time(timestamp: MessageField<Timestamp, buffa::Inline<Timestamp>>) -> Option<i64> {
    timestamp.into_option().map(|at| at.seconds)
}

/// The name of a principal for people: the e-mail address, otherwise the name, otherwise the subject.
pub(crate) fn principal_name(identity: Option<EnrichedIdentity>) -> String {
    match identity.and_then(|identity| identity.principal) {
        Some(Principal::User(user)) => {
            let spec = user.spec.into_option().unwrap_or_default();
            let name = [spec.first_name, spec.last_name].join(" ");
            let subject = user.id.into_option().map(|id| id.subject).unwrap_or_default();
            first_non_empty([spec.email, spec.user_handle, name.trim().to_owned(), subject])
        }
        Some(Principal::Application(app)) => {
            let name = app.spec.into_option().map(|spec| spec.name).unwrap_or_default();
            let subject = app.id.into_option().map(|id| id.subject).unwrap_or_default();
            first_non_empty([name, subject])
        }
        None => String::new(),
    }
}

fn first_non_empty<const COUNT: usize>(names: [String; COUNT]) -> String {
    names.into_iter().find(|name| !name.is_empty()).unwrap_or_default()
}
