//! `flyte signal`

use clap::{Args, Subcommand};
use flyte_client::ClientError;
use flyte_client::action::RunId;
use flyte_client::condition::{ConditionDetails, ValueType};

use crate::confirm;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Give a value to a condition, so that the task that waits for it continues
    Condition(Arguments),
}

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Name of the run
    run: String,

    /// Name of the condition's action, or of the condition
    action: String,

    /// The value: true or false, a number, or a text. By default you are asked for it
    #[arg(allow_hyphen_values = true)]
    value: Option<String>,
}

pub(crate) fn run(command: Command, context: &Context) -> Result<Exit, Failure> {
    let Command::Condition(Arguments { run, action, value }) = command;
    let id = RunId::new(context.project_domain()?, &run);
    let conditions = context.project_domain_client()?.conditions();
    let what = format!("cannot signal condition {action} of run {run}");
    let failed = |error: &ClientError| Failure::resource(what.clone(), error, &format!("condition {run}"));
    let found = context.run("Fetching the condition", async {
        match conditions.get(&id.action(&action)).await {
            // The name that the task gave the condition works too.
            Err(error @ ClientError::NotFound { .. }) => {
                let mut named = Vec::new();
                for condition in
                    conditions.list(id.clone(), None).collect().await.map_err(|error| failed(&error))?
                {
                    if condition.name == action {
                        named.push(condition);
                    }
                }
                match named.as_slice() {
                    [one] => conditions.get(&id.action(&one.action)).await.map_err(|error| failed(&error)),
                    [] => Err(failed(&error)),
                    several => Err(several_conditions(&what, several.len(), &run)),
                }
            }
            other => other.map_err(|error| failed(&error)),
        }
    })?;
    let condition = &found.condition;
    if condition.phase.is_over() {
        return Err(Failure::new(what)
            .why(format!("it no longer waits: its phase is {}", condition.phase))
            .next(format!("See the conditions of the run: flyte get condition {run}")));
    }
    let text = match value {
        Some(value) => value,
        None => ask(&found, &what, &run)?,
    };
    let payload = condition.value_type.parse(&text).map_err(|why| {
        Failure::new(what.clone())
            .why(why)
            .next(format!("It waits for a value of the type {}", condition.value_type))
            .exit(Exit::Usage)
    })?;
    context.run("Signalling the condition", async {
        let sent = conditions.signal(&id.action(&condition.action), &condition.parent, payload).await;
        sent.map_err(|error| failed(&error))
    })?;
    output::tell(&format!("Signalled condition {} of run {run}.", output::printable(&condition.name)));
    Ok(Exit::Success)
}

fn several_conditions(what: &str, count: usize, run: &str) -> Failure {
    Failure::new(what)
        .why(format!("{count} conditions have this name"))
        .next(format!("Name the action of one of them: flyte get condition {run}"))
        .exit(Exit::Usage)
}

/// Shows the prompt of the condition and asks the user for a value.
fn ask(details: &ConditionDetails, what: &str, run: &str) -> Result<String, Failure> {
    let condition = &details.condition;
    let missing = |why: &str| {
        Failure::new(what)
            .why(why)
            .next(format!("Give the value: flyte signal condition {run} {} VALUE", condition.action))
            .exit(Exit::Usage)
    };
    if !confirm::possible() {
        return Err(missing("the value is missing, and there is no terminal to ask for it"));
    }
    for text in [&details.prompt, &details.description] {
        if !text.is_empty() {
            output::tell(output::block(text).trim_end());
        }
    }
    let question = match condition.value_type {
        ValueType::Boolean => "Approve? [yes/no]".to_owned(),
        value_type => format!("Value ({value_type}):"),
    };
    match confirm::question(&question)? {
        Some(text) if condition.value_type == ValueType::Text || !text.trim().is_empty() => Ok(text),
        _ => Err(missing("no value was given")),
    }
}
