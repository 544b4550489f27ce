//! `flyte get assignment`

use clap::Args;
use flyte_client::assignment::Assignment;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::subject::{self, Who};

pub(crate) const HELP: &str = "\
Without a subject, these are the assignments of all users and API keys. A role is written with its place, for example \
contributor@PROJECT/DOMAIN. Roles and policies of a user's groups are not listed: see flyte get group.";

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    who: Who,
}

pub(super) fn run(arguments: Arguments, context: &Context) -> Result<Exit, Failure> {
    let format = context.global.format;
    let name = arguments.who.name().to_owned();
    let subject = arguments.who.subject(context)?;
    let assignments = context.client()?.assignments();
    if let Some(subject) = subject {
        let assignment = context.run("Fetching the assignments", async {
            let found = assignments.get(&subject).await;
            found.map_err(|error| Failure::resource(format!("cannot show what {name} has"), &error, "member"))
        })?;
        let assignment = match assignment.name.is_empty() {
            true => Assignment { name, ..assignment },
            false => assignment,
        };
        output::print(format, &assignment, details)?;
        return Ok(Exit::Success);
    }
    let found = context.run("Listing assignments", async {
        let listed = assignments.list().await;
        listed.map_err(|error| Failure::client("cannot list assignments", &error))
    })?;
    output::print(format, &found, |assignments| table(assignments, context.global.wide))?;
    Ok(Exit::Success)
}

fn table(assignments: &[Assignment], wide: bool) -> String {
    let row = |assignment: &Assignment| {
        [
            assignment.name.clone(),
            assignment.kind.as_str().to_owned(),
            subject::line(&assignment.roles),
            assignment.policies.join(", "),
        ]
    };
    if !wide {
        return output::table(["NAME", "KIND", "ROLES", "POLICIES"], assignments.iter().map(row));
    }
    let rows = assignments.iter().map(|assignment| {
        let [name, kind, roles, policies] = row(assignment);
        [assignment.subject.clone(), name, kind, roles, policies]
    });
    output::table(["SUBJECT", "NAME", "KIND", "ROLES", "POLICIES"], rows)
}

/// What one subject has, with one field for each line.
pub(crate) fn details(assignment: &Assignment) -> String {
    output::details([
        ("Name", assignment.name.clone()),
        ("Kind", assignment.kind.as_str().to_owned()),
        ("Subject", assignment.subject.clone()),
        ("Roles", subject::line(&assignment.roles)),
        ("Policies", assignment.policies.join(", ")),
    ])
}

#[cfg(test)]
mod tests {
    use flyte_client::member::SubjectKind;

    use super::*;

    #[test]
    fn assignments_have_a_table_and_details() {
        let assignment = Assignment {
            kind: SubjectKind::ApiKey,
            subject: "ci".into(),
            name: "CI".into(),
            roles: vec!["viewer@alpha".parse().unwrap()],
            policies: vec!["team".into(), "eyes".into()],
        };
        assert_eq!(
            output::fits(&table(std::slice::from_ref(&assignment), false)),
            "NAME  KIND     ROLES         POLICIES\nCI    API key  viewer@alpha  team, eyes\n"
        );
        assert_eq!(
            details(&assignment),
            "Name:      CI\nKind:      API key\nSubject:   ci\nRoles:     viewer@alpha\nPolicies:  team, eyes\n"
        );
    }
}
