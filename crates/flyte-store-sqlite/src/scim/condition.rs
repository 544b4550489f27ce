//! Conditions and orders of listings as SQL.

use rusqlite::types::Value;

use crate::user::email_key;
use flyte_store::{ScimCondition, ScimField, ScimOperator, ScimOrder, ScimSortKey, ScimValue};

/// The kind of resource that is listed. `s` is its table of SCIM; `u` are accounts, `g` groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    User,
    Group,
}

/// How a field is found.
enum Place {
    /// In a column.
    Column(&'static str),
    /// In rows of another table: the column of the resource, and a statement for its values, whose own column comes last.
    Rows(&'static str, &'static str, &'static str),
    /// Resources of this kind do not have it.
    None,
}

fn place(kind: Kind, field: ScimField) -> Place {
    use Kind::{Group, User};
    match (kind, field) {
        (User, ScimField::Id) => Place::Column("s.user_id"),
        (User, ScimField::UserName) => Place::Column("s.user_name_key"),
        (User, ScimField::DisplayName) => Place::Column("s.display_key"),
        (User, ScimField::Active) => Place::Column("(u.disabled_at IS NULL)"),
        (User, ScimField::Emails) => {
            Place::Rows("s.user_id", "SELECT user_id FROM scim_emails WHERE", "email_key")
        }
        (User, ScimField::Groups) => Place::Rows(
            "s.user_id",
            "SELECT m.user_id FROM group_members m JOIN scim_groups x ON x.group_id = m.group_id
             WHERE x.client = s.client AND",
            "m.group_id",
        ),
        (Group, ScimField::Id) => Place::Column("s.group_id"),
        (Group, ScimField::DisplayName) => Place::Column("g.name_key"),
        (Group, ScimField::Members) => {
            Place::Rows("s.group_id", "SELECT group_id FROM group_members WHERE", "user_id")
        }
        (_, ScimField::ExternalId) => Place::Column("s.external_id"),
        (_, ScimField::Created) => Place::Column("s.created_at"),
        (_, ScimField::LastModified) => Place::Column("s.updated_at"),
        (User, ScimField::Members)
        | (Group, ScimField::UserName | ScimField::Active | ScimField::Emails | ScimField::Groups) => {
            Place::None
        }
    }
}

/// The form in which a text is stored in a field.
fn key(field: ScimField, text: &str) -> String {
    match field {
        ScimField::UserName | ScimField::DisplayName => text.to_lowercase(),
        ScimField::Emails => email_key(text),
        _ => text.to_owned(),
    }
}

/// A comparison of a column with a value.
fn compare(column: &str, operator: ScimOperator, value: Value, values: &mut Vec<Value>) -> String {
    let sign = match operator {
        ScimOperator::Present => return format!("{column} IS NOT NULL"),
        ScimOperator::Contains => {
            values.push(value);
            return format!("instr({column}, ?) > 0");
        }
        ScimOperator::StartsWith => {
            values.extend([value.clone(), value]);
            // No character is greater than the last one, so that an index is enough.
            return format!("({column} >= ? AND {column} < ? || char(1114111))");
        }
        ScimOperator::EndsWith => {
            values.extend([value.clone(), value.clone(), value]);
            return format!("({column} IS NOT NULL AND (length(?) = 0 OR substr({column}, -length(?)) = ?))");
        }
        ScimOperator::Equal => "=",
        ScimOperator::Greater => ">",
        ScimOperator::GreaterOrEqual => ">=",
        ScimOperator::Less => "<",
        ScimOperator::LessOrEqual => "<=",
    };
    values.push(value);
    format!("{column} {sign} ?")
}

fn test(
    kind: Kind,
    field: ScimField,
    operator: ScimOperator,
    value: &ScimValue,
    values: &mut Vec<Value>,
) -> String {
    let value = match value {
        ScimValue::Text(text) => Value::Text(key(field, text)),
        ScimValue::Flag(flag) => Value::Integer(i64::from(*flag)),
        ScimValue::Time(time) => Value::Integer(*time),
    };
    match place(kind, field) {
        Place::Column(column) => compare(column, operator, value, values),
        Place::Rows(own, select, column) => {
            format!("{own} IN ({select} {})", compare(column, operator, value, values))
        }
        Place::None => "FALSE".to_owned(),
    }
}

/// The condition as SQL; its values are added to `values`.
pub(super) fn sql(kind: Kind, condition: &ScimCondition, values: &mut Vec<Value>) -> String {
    let mut joined = |parts: &[ScimCondition], with: &str, none: &str| {
        let parts: Vec<_> = parts.iter().map(|part| sql(kind, part, values)).collect();
        if parts.is_empty() { none.to_owned() } else { format!("({})", parts.join(with)) }
    };
    match condition {
        ScimCondition::All(parts) => joined(parts, " AND ", "TRUE"),
        ScimCondition::Any(parts) => joined(parts, " OR ", "FALSE"),
        // A comparison with an absent value is NULL, and so would be its opposite.
        ScimCondition::Not(inner) => format!("NOT coalesce({}, FALSE)", sql(kind, inner, values)),
        ScimCondition::Test(field, operator, value) => test(kind, *field, *operator, value, values),
    }
}

/// What follows `ORDER BY`; its values are added to `values`.
pub(super) fn order(kind: Kind, order: Option<&ScimOrder>, values: &mut Vec<Value>) -> String {
    let Some(ScimOrder { by, descending }) = order else { return "s.pk".to_owned() };
    let key = match by {
        ScimSortKey::Field(field) => match place(kind, *field) {
            Place::Column(column) => column.to_owned(),
            Place::Rows(..) if *field == ScimField::Emails => "u.email_key".to_owned(),
            Place::Rows(..) | Place::None => return "s.pk".to_owned(),
        },
        ScimSortKey::Attribute(_) if kind == Kind::Group => return "s.pk".to_owned(),
        ScimSortKey::Attribute(names) => {
            let path: String = names.iter().map(|name| format!(".\"{name}\"")).collect();
            values.push(Value::Text(format!("${path}")));
            "lower(json_extract(s.attributes, ?))".to_owned()
        }
    };
    let direction = if *descending { "DESC" } else { "ASC" };
    format!("{key} {direction} NULLS LAST, s.pk {direction}")
}

/// The condition that a resource is the client's. If few rows of another table decide, the index of the client is not used: the
/// database would read all of the client's resources, because they are already in order.
pub(crate) fn of_client(condition: Option<&ScimCondition>) -> &'static str {
    fn is_by_rows(condition: &ScimCondition) -> bool {
        match condition {
            ScimCondition::All(parts) => parts.iter().any(is_by_rows),
            ScimCondition::Test(field, ScimOperator::Equal, _) => {
                matches!(field, ScimField::Emails | ScimField::Groups | ScimField::Members)
            }
            ScimCondition::Any(_) | ScimCondition::Not(_) | ScimCondition::Test(..) => false,
        }
    }
    if condition.is_some_and(is_by_rows) { "+s.client = ?" } else { "s.client = ?" }
}
