//! `flyte get condition`

use clap::Args;
use flyte_client::action::RunId;
use flyte_client::condition::Condition;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Name of the run
    run: String,

    /// Name of the action whose conditions to list. By default those of all actions of the run
    action: Option<String>,
}

pub(super) fn run(arguments: Arguments, context: &Context) -> Result<Exit, Failure> {
    let format = context.global.format;
    let Arguments { run, action } = arguments;
    let id = RunId::new(context.project_domain()?, &run);
    let conditions = context.project_domain_client()?.conditions();
    let found = context.run("Listing conditions", async {
        let listed = conditions.list(id, action.clone()).collect().await;
        listed.map_err(|error| {
            Failure::resource(format!("cannot list the conditions of run {run}"), &error, "run")
        })
    })?;
    if found.is_empty() {
        output::tell(&match &action {
            Some(action) => format!(
                "Action {action} of run {run} waits for no condition. See all: flyte get condition {run}"
            ),
            None => format!("Run {run} has no conditions. See its actions: flyte get action {run}"),
        });
        if format == Format::Table {
            return Ok(Exit::Success);
        }
    }
    output::print(format, &found, |found| table(found))?;
    if format == Format::Table
        && let Some(waiting) = found.iter().find(|condition| !condition.phase.is_over())
    {
        output::tell(&format!("Signal one: flyte signal condition {run} {}", waiting.action));
    }
    Ok(Exit::Success)
}

fn table(conditions: &[Condition]) -> String {
    let rows = conditions.iter().map(|condition| {
        let condition = condition.clone();
        let (phase, value_type) = (condition.phase.to_string(), condition.value_type.to_string());
        [condition.name, condition.action, phase, value_type, condition.parent]
    });
    output::table(["NAME", "ACTION", "PHASE", "TYPE", "CALLED BY"], rows)
}

#[cfg(test)]
mod tests {
    use flyte_client::Phase;
    use flyte_client::condition::ValueType;

    use super::*;

    #[test]
    fn conditions_are_a_table() {
        let condition = Condition {
            name: "approval".into(),
            action: "w1".into(),
            run: "r1".into(),
            parent: "a0".into(),
            phase: Phase::Paused,
            value_type: ValueType::Boolean,
        };
        let expected = "NAME      ACTION  PHASE   TYPE  CALLED BY\napproval  w1      paused  bool  a0\n";
        assert_eq!(output::fits(&table(&[condition])), expected);
    }
}
