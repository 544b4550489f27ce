//! `flyte get member`

use clap::Args;
use flyte_auth::clock::Clock;
use flyte_client::member::Member;

use crate::command::get::user;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// List the members of this group instead
    #[arg(long, value_name = "NAME")]
    group: Option<String>,

    /// Maximum number of members of the group to list. By default all
    #[arg(long, value_name = "COUNT", requires = "group")]
    limit: Option<u32>,
}

pub(super) fn run(arguments: Arguments, context: &Context) -> Result<Exit, Failure> {
    let format = context.global.format;
    let client = context.client()?;
    let Some(group) = arguments.group else {
        let found = context.run("Listing members", async {
            let listed = client.members().list().await;
            listed.map_err(|error| Failure::client("cannot list members", &error))
        })?;
        output::print(format, &found, |members| table(members))?;
        return Ok(Exit::Success);
    };
    let found = context.run("Listing the members of the group", async {
        let listed = client.groups().members(&group, arguments.limit).collect().await;
        listed.map_err(|error| {
            Failure::resource(format!("cannot list the members of group {group}"), &error, "group")
        })
    })?;
    if found.is_empty() {
        output::tell(&format!(
            "Group {group} has no members. Add one: flyte update group {group} --add-member ADDRESS"
        ));
        if format == Format::Table {
            return Ok(Exit::Success);
        }
    }
    // What members have themselves is not part of the listing, so it has no columns.
    let now = Clock::default().now();
    output::print(format, &found, |users| match context.global.wide {
        true => user::table(users, now, true),
        false => output::table(
            ["EMAIL", "NAME", "SUBJECT"],
            users.iter().map(|user| [user.email.clone(), user.name.clone(), user.subject.clone()]),
        ),
    })?;
    Ok(Exit::Success)
}

fn table(members: &[Member]) -> String {
    let rows = members.iter().map(|member| {
        [member.kind.as_str().to_owned(), member.name.clone(), member.email.clone(), member.subject.clone()]
    });
    output::table(["KIND", "NAME", "EMAIL", "SUBJECT"], rows)
}

#[cfg(test)]
mod tests {
    use flyte_client::member::SubjectKind;

    use super::*;

    #[test]
    fn members_have_a_table() {
        let member = |kind, subject: &str, name: &str, email: &str| Member {
            kind,
            subject: subject.into(),
            name: name.into(),
            email: email.into(),
        };
        let members = [
            member(SubjectKind::User, "7c1f", "Ada Lovelace", "ada@example.com"),
            member(SubjectKind::ApiKey, "ci", "ci", ""),
        ];
        assert_eq!(
            output::fits(&table(&members)),
            "KIND     NAME          EMAIL            SUBJECT\n\
             user     Ada Lovelace  ada@example.com  7c1f\n\
             API key  ci                             ci\n"
        );
    }
}
