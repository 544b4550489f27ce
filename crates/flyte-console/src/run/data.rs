//! The inputs and outputs of an action.

use connectrpc::{ConnectError, ErrorCode};
use flyte_idl::flyteidl2::{
    task::NamedLiteral,
    workflow::{GetActionDataRequest, RunServiceClient},
};
use flyte_pages::{Content, Cut, Section};

use super::{Target, whole};
use crate::{
    cut,
    visit::{Visit, client},
};

/// The most inputs or outputs on a page.
const MOST_VALUES: usize = 200;

/// The inputs and outputs. If they cannot be read, the page says why.
pub(super) async fn sections(
    visit: &Visit,
    target: &Target,
    is_over: bool,
) -> Result<Vec<Section>, ConnectError> {
    let request = GetActionDataRequest { action_id: target.id().into(), ..Default::default() };
    let data = match client!(visit, RunServiceClient).get_action_data(request).await {
        Ok(data) => data.into_owned(),
        Err(error) => match error.code {
            ErrorCode::Unavailable | ErrorCode::PermissionDenied | ErrorCode::Unauthenticated => {
                return Err(error);
            }
            _ => {
                let why = error.message.unwrap_or_default();
                let content = Content::Note(format!("They cannot be shown: {why}."));
                return Ok(vec![Section { id: "inputs", title: "Inputs and outputs", content }]);
            }
        },
    };
    let all = whole(&target.command("get io"));
    let inputs = values(&data.inputs.literals, &all);
    let outputs = values(&data.outputs.literals, &all);
    let none = |text: &str| Content::Note(text.to_owned());
    Ok(vec![
        Section { id: "inputs", title: "Inputs", content: inputs.unwrap_or_else(|| none("None.")) },
        Section {
            id: "outputs",
            title: "Outputs",
            content: outputs.unwrap_or_else(|| none(if is_over { "None." } else { "None yet." })),
        },
    ])
}

fn values(literals: &[NamedLiteral], whole: &str) -> Option<Content> {
    let values = flyte_literal::values(literals);
    let count = values.len();
    let mut shown: Vec<(String, Cut)> = values
        .iter()
        .take(MOST_VALUES)
        .map(|(name, value)| (name.clone(), cut::value(value, whole)))
        .collect();
    if count > MOST_VALUES {
        let missing = Some(format!("The first {MOST_VALUES} of {count}. {whole}"));
        shown.push(("…".to_owned(), Cut { text: String::new(), missing }));
    }
    (count > 0).then_some(Content::Values(shown))
}
