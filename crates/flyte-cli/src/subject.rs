//! The options that say who has, gets or loses a role or a policy.

use clap::Args;
use flyte_client::assignment::{Assigned, Subject};
use flyte_client::{ClientError, Grant};

use crate::command::create::access::Place;
use crate::context::Context;
use crate::failure::Failure;

/// The identifiers of the options of [`Who`], for commands that need one of them.
pub(crate) const OPTIONS: [&str; 4] = ["user_subject", "creds_subject", "email", "group"];

/// Who; at most one of the options.
#[derive(Args, Debug, Default)]
#[group(id = "who", multiple = false)]
pub(crate) struct Who {
    /// Subject of a user
    #[arg(long, value_name = "SUBJECT")]
    user_subject: Option<String>,

    /// Client ID of an API key
    #[arg(long, value_name = "CLIENT_ID")]
    creds_subject: Option<String>,

    /// E-mail address of a user
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,

    /// Name or identifier of a group
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
}

/// What; one of the options.
#[derive(Args, Debug)]
pub(crate) struct What {
    /// Name of the policy
    #[arg(long, value_name = "NAME", required_unless_present = "role", conflicts_with_all = ["role", "project", "domain"])]
    policy: Option<String>,

    /// Name of a role, without a policy
    #[arg(long, value_name = "NAME")]
    role: Option<String>,

    #[command(flatten)]
    place: Place,
}

impl What {
    pub(crate) fn assigned(self) -> Assigned {
        match self.policy {
            Some(policy) => Assigned::Policy(policy),
            None => Assigned::Role(self.place.grant(self.role.unwrap_or_default())),
        }
    }
}

/// What is given or taken, in words.
pub(crate) fn describe(assigned: &Assigned) -> String {
    match assigned {
        Assigned::Policy(name) => format!("policy {name}"),
        Assigned::Role(grant) => format!("role {}", describe_grant(grant)),
    }
}

fn describe_grant(grant: &Grant) -> String {
    let Grant { role, project, domain } = grant;
    match (project.as_str(), domain.as_str()) {
        ("", "") => format!("{role} everywhere"),
        ("", domain) => format!("{role} in domain {domain} of all projects"),
        (project, "") => format!("{role} in project {project}"),
        (project, domain) => format!("{role} in {project}/{domain}"),
    }
}

/// Roles and where, in one line.
pub(crate) fn line(grants: &[Grant]) -> String {
    grants.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl Who {
    /// As the user named it; empty if no option is given.
    pub(crate) fn name(&self) -> &str {
        let given = [&self.user_subject, &self.creds_subject, &self.email, &self.group];
        given.into_iter().flatten().next().map_or("", String::as_str)
    }

    /// The option with its value, for a command to type.
    pub(crate) fn option(&self) -> String {
        let given = [
            ("--user-subject", &self.user_subject),
            ("--creds-subject", &self.creds_subject),
            ("--email", &self.email),
            ("--group", &self.group),
        ];
        let option = given.into_iter().find_map(|(name, value)| Some((name, value.as_ref()?)));
        option.map_or_else(String::new, |(name, value)| {
            format!("{name} {}", shlex::try_quote(value).unwrap_or_else(|_| value.into()))
        })
    }

    /// The subject; `None` if none is named. An address is looked up, because assignments are kept by subject.
    pub(crate) fn subject(self, context: &Context) -> Result<Option<Subject>, Failure> {
        if let Some(email) = self.email {
            let users = context.client()?.users();
            let user = context.run("Looking up the account", async {
                users.get(&email).await.map_err(|error| match error {
                    ClientError::NotFound { .. } => {
                        Failure::new(format!("there is no account with the address {email}"))
                            .next("List existing ones: flyte get user")
                    }
                    error => Failure::resource(format!("cannot look up {email}"), &error, "user"),
                })
            })?;
            return Ok(Some(Subject::User(user.subject)));
        }
        let by = |text: Option<String>, of: fn(String) -> Subject| text.map(of);
        Ok(by(self.user_subject, Subject::User)
            .or(by(self.creds_subject, Subject::ApiKey))
            .or(by(self.group, Subject::Group)))
    }
}
