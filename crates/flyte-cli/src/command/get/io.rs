//! `flyte get io`

use std::collections::BTreeMap;

use clap::Args;
use flyte_client::action::{ROOT, RunId};
use flyte_client::data::Data;
use serde_json::Value;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Name of the run
    run: String,

    /// Name of the action. By default the root action of the run
    #[arg(default_value = ROOT, hide_default_value = true)]
    action: String,

    /// Only the inputs
    #[arg(short, long, conflicts_with = "outputs_only")]
    inputs_only: bool,

    /// Only the outputs
    #[arg(long)]
    outputs_only: bool,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let Arguments { run, action, inputs_only, outputs_only } = arguments;
    let id = RunId::new(context.project_domain()?, run).action(action);
    let data = context.project_domain_client()?.data();
    let found = context.run("Fetching inputs and outputs", async {
        let found = data.get(&id).await;
        found.map_err(|error| {
            let what = format!("cannot show the inputs and outputs of action {action} of run {run}");
            Failure::resource(what, &error, &format!("action {run}"))
        })
    })?;
    match (inputs_only, outputs_only, context.global.format) {
        (false, false, format) => output::print(format, &found, table)?,
        (true, _, Format::Table) => output::write(&named(&found.inputs))?,
        (_, true, Format::Table) => output::write(&named(&found.outputs))?,
        (true, _, format) => output::print(format, &found.inputs, named)?,
        (_, _, format) => output::print(format, &found.outputs, named)?,
    }
    Ok(Exit::Success)
}

fn table(data: &Data) -> String {
    let mut text = String::new();
    for (heading, values) in [("Inputs", &data.inputs), ("Outputs", &data.outputs)] {
        text.push_str(heading);
        text.push_str(if values.is_empty() { ": none\n" } else { ":\n" });
        text.push_str(&output::block(&named(values)));
    }
    text
}

/// Names with their values: texts unchanged, everything else as JSON.
pub(crate) fn named(values: &BTreeMap<String, Value>) -> String {
    let rows = values.iter().map(|(name, value)| (name.as_str(), shown(value)));
    output::details(rows)
}

fn shown(value: &Value) -> String {
    match value {
        // An empty text would be invisible.
        Value::String(text) if !text.is_empty() => text.clone(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn table_has_inputs_and_outputs_by_name() {
        let data = Data {
            inputs: [
                ("name".to_owned(), json!("Ada")),
                ("times".to_owned(), json!(3)),
                ("x".to_owned(), json!("")),
            ]
            .into(),
            outputs: [("o0".to_owned(), json!({"a": [1, null]}))].into(),
            ..Data::default()
        };
        assert_eq!(
            table(&data),
            "Inputs:\n  name:   Ada\n  times:  3\n  x:      \"\"\nOutputs:\n  o0:  {\"a\":[1,null]}\n"
        );
        assert_eq!(table(&Data::default()), "Inputs: none\nOutputs: none\n");
    }
}
