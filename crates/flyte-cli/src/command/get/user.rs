//! `flyte get user`

use clap::Args;
use flyte_auth::clock::Clock;
use flyte_client::ClientError;
use flyte_client::user::User;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};
use crate::subject;
use crate::time;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Subject or e-mail address of the account to show in detail. By default all accounts are listed
    subject: Option<String>,

    /// List only the account with this e-mail address
    #[arg(long, value_name = "ADDRESS", conflicts_with = "subject")]
    email: Option<String>,

    /// Maximum number of accounts to list. By default all
    #[arg(long, value_name = "COUNT", conflicts_with = "subject")]
    limit: Option<u32>,
}

pub(super) fn run(arguments: Arguments, context: &Context) -> Result<Exit, Failure> {
    let format = context.global.format;
    let users = context.client()?.users();
    let now = Clock::default().now();
    if let Some(subject) = arguments.subject {
        let user = context.run("Fetching the account", async {
            let found = users.get(&subject).await;
            found.map_err(|error| Failure::resource(format!("cannot show account {subject}"), &error, "user"))
        })?;
        output::print(format, &user, |user| details(user, now))?;
        return Ok(Exit::Success);
    }
    let found = context.run("Listing accounts", async {
        let listed = match &arguments.email {
            Some(email) => match users.get(email).await {
                Err(ClientError::NotFound { .. }) => Ok(Vec::new()),
                found => found.map(|user| vec![user]),
            },
            None => users.list(arguments.limit).collect().await,
        };
        listed.map_err(|error| Failure::client("cannot list accounts", &error))
    })?;
    if found.is_empty() {
        output::tell("No such account. Create one: flyte create user ADDRESS");
        if format == Format::Table {
            return Ok(Exit::Success);
        }
    }
    output::print(format, &found, |users| table(users, now, context.global.wide))?;
    Ok(Exit::Success)
}

fn state(user: &User) -> &'static str {
    match (user.disabled_at, user.has_password) {
        (Some(_), _) => "disabled",
        (None, Some(_)) => "enabled",
        // A hosted control plane does not say.
        (None, None) => "",
    }
}

/// Accounts, one for each line.
pub(crate) fn table(users: &[User], now: i64, wide: bool) -> String {
    if !wide {
        let rows = users.iter().map(|user| {
            [user.email.clone(), user.name.clone(), subject::line(&user.roles), state(user).to_owned()]
        });
        return output::table(["EMAIL", "NAME", "ROLES", "STATE"], rows);
    }
    let rows = users.iter().map(|user| {
        [
            user.subject.clone(),
            user.email.clone(),
            user.name.clone(),
            subject::line(&user.roles),
            user.policies.join(", "),
            user.groups.join(", "),
            state(user).to_owned(),
            user.created_at.map(|at| time::relative(at, now)).unwrap_or_default(),
        ]
    });
    output::table(["SUBJECT", "EMAIL", "NAME", "ROLES", "POLICIES", "GROUPS", "STATE", "CREATED"], rows)
}

/// One account, with one field for each line.
pub(crate) fn details(user: &User, now: i64) -> String {
    let moment = |moment: Option<i64>| moment.map(|at| time::moment(at, now)).unwrap_or_default();
    let password = match user.has_password {
        Some(true) => "yes",
        Some(false) => "no",
        None => "",
    };
    output::details([
        ("Subject", user.subject.clone()),
        ("Email", user.email.clone()),
        ("Name", user.name.clone()),
        ("State", state(user).to_owned()),
        ("Roles", subject::line(&user.roles)),
        ("Policies", user.policies.join(", ")),
        ("Groups", user.groups.join(", ")),
        ("Password", password.to_owned()),
        ("Created", moment(user.created_at)),
        ("Disabled", moment(user.disabled_at)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn ada() -> User {
        User {
            subject: "7c1f0f4e".into(),
            email: "ada@example.com".into(),
            name: "Ada".into(),
            roles: ["contributor@alpha", "viewer@beta/production"].map(|text| text.parse().unwrap()).into(),
            policies: vec!["team".into()],
            groups: vec!["ops".into(), "ml".into()],
            created_at: Some(NOW - 86_400),
            disabled_at: None,
            has_password: Some(false),
        }
    }

    #[test]
    fn accounts_have_a_table() {
        let disabled = User { disabled_at: Some(NOW - 60), roles: Vec::new(), ..ada() };
        let hosted = User { has_password: None, created_at: None, roles: Vec::new(), ..ada() };
        assert_eq!(
            output::fits(&table(&[ada(), disabled, hosted], NOW, false)),
            "EMAIL            NAME  ROLES                                      STATE\n\
             ada@example.com  Ada   contributor@alpha, viewer@beta/production  enabled\n\
             ada@example.com  Ada                                              disabled\n\
             ada@example.com  Ada\n"
        );
        let wide = anstream::adapter::strip_str(&table(&[ada()], NOW, true)).to_string();
        assert!(wide.contains("7c1f0f4e") && wide.contains("team      ops, ml"), "{wide}");
    }

    #[test]
    fn account_has_details() {
        let text = details(&ada(), NOW);
        assert!(
            text.starts_with(
                "Subject:   7c1f0f4e\nEmail:     ada@example.com\nName:      Ada\nState:     enabled\n\
                 Roles:     contributor@alpha, viewer@beta/production\nPolicies:  team\nGroups:    ops, ml\n\
                 Password:  no\nCreated:   "
            ),
            "{text}"
        );
        assert!(!text.contains("Disabled"), "{text}");
    }
}
