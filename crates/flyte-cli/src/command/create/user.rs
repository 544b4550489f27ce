//! `flyte create user`

use clap::Args;
use flyte_auth::clock::Clock;
use flyte_client::ClientError;
use flyte_client::assignment::{Assigned, Subject};
use flyte_client::user::{Invitation, NewUser, User};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use crate::command::create::access::Place;
use crate::command::get;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};
use crate::time;

pub(crate) const HELP: &str = "\
The person gets an invitation: a link, valid once, with which they set a password or sign in at an outside provider. The server sends \
it by mail if it can. Otherwise it is printed, and only now. To invite them again, run the command again. You must have signed in \
within the last 15 minutes. If you have not, you sign in again.

Without --role, the account gets the role that new accounts have at this server. A role of your own making, or several places, \
are better given by a policy.

For example:
  flyte create user ada@example.com
  flyte create user ada@example.com --role contributor --project alpha
  flyte create user --first-name Ada --last-name Lovelace --email ada@example.com --policy team";

#[derive(Args, Debug)]
#[group(skip)]
pub(crate) struct Arguments {
    /// E-mail address of the person
    #[arg(value_name = "ADDRESS", required_unless_present = "email", conflicts_with = "email")]
    address: Option<String>,

    /// The address as an option, as in the published client
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,

    /// First name. By default the server names the account after its address
    #[arg(long, default_value = "", hide_default_value = true)]
    first_name: String,

    /// Last name
    #[arg(long, default_value = "", hide_default_value = true)]
    last_name: String,

    /// Role of the account, instead of the one that new accounts have
    #[arg(long, value_name = "NAME")]
    role: Option<String>,

    #[command(flatten)]
    place: Place,

    /// Policy to assign to the account; can be repeated
    #[arg(long, value_name = "NAME")]
    policy: Vec<String>,

    /// Create the account without an invitation: the person signs in at an outside provider
    #[arg(long)]
    no_invitation: bool,
}

/// A new account, for programs.
#[derive(Serialize)]
struct Created<'a> {
    #[serde(flatten)]
    user: &'a User,
    /// The link of the invitation, if the server did not send it by mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    invitation_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    invitation_expires_at: Option<i64>,
}

pub(super) fn run(arguments: Arguments, context: &Context) -> Result<Exit, Failure> {
    let email = arguments.email.or(arguments.address).unwrap_or_default();
    let place = arguments.place;
    let new = NewUser {
        email: email.clone(),
        first_name: arguments.first_name,
        last_name: arguments.last_name,
        roles: arguments.role.map(|role| place.grant(role)).into_iter().collect(),
    };
    let client = context.client()?;
    let (user, invitation) = context.run("Creating the account", async {
        let users = client.users();
        let created = match arguments.no_invitation {
            true => users.create(new).await.map(|user| (user, None)),
            false => match users.invite(new.clone()).await {
                // A server without invitations has accounts without passwords as well.
                Err(ClientError::Unsupported { .. }) => users.create(new).await.map(|user| (user, None)),
                invited => invited.map(|(user, invitation)| (user, Some(invitation))),
            },
        };
        created.map_err(|error| failed(&email, &error))
    })?;
    let created = user.subject.clone();
    let user = context.run("Assigning the policies", async {
        let subject = Subject::User(user.subject.clone());
        for policy in &arguments.policy {
            let assigned = client.assignments().assign(&subject, &Assigned::Policy(policy.clone())).await;
            assigned.map_err(|error| {
                let what = format!("created account {email}, but policy {policy} was not assigned to it");
                Failure::resource(what, &error, "policy")
                    .next(format!("To assign it: flyte create assignment --email {email} --policy {policy}"))
            })?;
        }
        match arguments.policy.is_empty() {
            true => Ok(user),
            false => {
                client.users().get(&created).await.map_err(|error| {
                    Failure::resource(format!("cannot show account {email}"), &error, "user")
                })
            }
        }
    })?;
    show(&user, invitation.as_ref(), context)?;
    Ok(Exit::Success)
}

fn failed(email: &str, error: &ClientError) -> Failure {
    let failure = Failure::resource(format!("cannot create account {email}"), error, "user");
    match error {
        ClientError::PermissionDenied { rule: None, .. } => failure
            .next("Check who you are: flyte whoami. An API key creates accounts only with --no-invitation"),
        _ => failure,
    }
}

fn show(user: &User, invitation: Option<&Invitation>, context: &Context) -> Result<(), Failure> {
    let now = Clock::default().now();
    let url = invitation.and_then(|invitation| invitation.url.as_ref());
    let expires_at = invitation.and_then(|invitation| invitation.expires_at);
    // What has the link is a secret, too.
    let text = match context.global.format {
        Format::Table | Format::Wide => {
            output::tell(&format!("Created account {}.", user.email));
            if invitation.is_some() && url.is_none() {
                output::tell("The server sends the invitation by mail.");
            }
            let until = expires_at.map(|at| format!(", until {}", time::date(at))).unwrap_or_default();
            let link = url.map(|url| {
                format!("\nThe invitation, shown only now. It works once{until}:\n{}\n", url.expose_secret())
            });
            get::user::details(user, now) + &link.unwrap_or_default()
        }
        format => {
            let created = Created {
                user,
                invitation_url: url.map(ExposeSecret::expose_secret),
                invitation_expires_at: expires_at,
            };
            output::written(format, &created)?
        }
    };
    output::write(SecretString::from(text).expose_secret())
}
