//! Fields of forms.

use crate::given::Given;
use flyte_pages::{Choice, Field, Form, FormKind, Input};

/// A line of text.
pub(crate) fn text(name: &'static str, label: &'static str, value: String) -> Field {
    Field { name, label, hint: String::new(), required: false, input: Input::Text(value) }
}

/// A line of text that must not be empty.
pub(crate) fn required(name: &'static str, label: &'static str, value: String) -> Field {
    Field { required: true, ..text(name, label, value) }
}

/// One of several values, as pairs of value and label.
pub(crate) fn select(
    name: &'static str,
    label: &'static str,
    choices: &[(String, String)],
    chosen: &str,
) -> Field {
    let choice = |(value, label): &(String, String)| Choice {
        value: value.clone(),
        label: label.clone(),
        hint: String::new(),
        chosen: value == chosen,
    };
    let choices = choices.iter().map(choice).collect();
    Field { name, label, hint: String::new(), required: false, input: Input::Select(choices) }
}

/// The field in which the user types a name, to confirm what cannot be taken back.
pub(crate) fn confirm(wanted: &str) -> Field {
    let hint = format!("Type {wanted} to confirm.");
    Field { hint, ..required("confirm", "Confirmation", String::new()) }
}

/// A form that changes something.
pub(crate) fn change(
    id: &'static str,
    action: &str,
    act: &'static str,
    fields: Vec<Field>,
    button: &'static str,
) -> Form {
    Form { id, action: action.to_owned(), act, fields, button, ..Form::default() }
}

/// A form that ends something for good.
pub(crate) fn danger(
    id: &'static str,
    action: &str,
    act: &'static str,
    fields: Vec<Field>,
    button: &'static str,
) -> Form {
    Form { kind: FormKind::Danger, ..change(id, action, act, fields, button) }
}

/// A form that the buttons of a table submit.
pub(crate) fn of_rows(id: &'static str, action: &str, act: &'static str) -> Form {
    Form { kind: FormKind::OfRows, ..change(id, action, act, Vec::new(), "") }
}

/// The form of a search.
pub(crate) fn search(action: &str, fields: Vec<Field>, button: &'static str) -> Form {
    Form { kind: FormKind::Search, ..change("search", action, "", fields, button) }
}

/// The fields of a role in a part of the control plane.
pub(crate) fn binding(given: &Given, act: &str) -> Vec<Field> {
    let value = |name: &str| given.value(act, name, "");
    let hinted = |field: Field, hint: &str| Field { hint: hint.to_owned(), ..field };
    vec![
        required("role", "Role", value("role")),
        hinted(text("project", "Project", value("project")), "Empty for all projects."),
        hinted(text("domain", "Domain", value("domain")), "Empty for all domains."),
    ]
}

/// Pairs of texts for [`select`].
pub(crate) fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(value, label)| ((*value).to_owned(), (*label).to_owned())).collect()
}
