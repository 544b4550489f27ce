//! `flyte-server user`.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use flyte_model::Limit;

/// An action on accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserAction {
    /// Create an account.
    Add(NewUser),
    /// Create an account whose user sets the password.
    Invite(NewUser),
    /// List the accounts.
    List,
    /// List the links and invitations that have not been used.
    Links,
    /// Disable an account.
    Disable {
        /// Its e-mail address.
        email: String,
    },
    /// Enable an account again.
    Enable {
        /// Its e-mail address.
        email: String,
    },
    /// Give an account a role.
    Grant(RoleOfUser),
    /// Take a role from an account.
    Revoke(RoleOfUser),
    /// List the users of outside providers that are connected to an account.
    Connections {
        /// Its e-mail address.
        email: String,
    },
    /// Remove the connection of an account to a user of an outside provider.
    Disconnect {
        /// Its e-mail address.
        email: String,
        /// The issuer of the provider.
        issuer: String,
        /// The identifier of the user there.
        subject: String,
    },
    /// List the roles of an account.
    Roles {
        /// Its e-mail address.
        email: String,
    },
}

/// A role of an account, in a part of the control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleOfUser {
    /// The e-mail address of the account.
    pub email: String,
    /// The name of the role.
    pub role: String,
    /// Where it applies.
    pub limit: Limit,
}

/// An account to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUser {
    /// The e-mail address for signing in.
    pub email: String,
    /// Full name; the local part of the address if it is missing.
    pub name: Option<String>,
    /// Whether the user is an administrator of the server.
    pub admin: bool,
    /// The name of the role; `None` for the one of `access.default-role`, `none` for no role.
    pub role: Option<String>,
    /// Where the role applies.
    pub limit: Limit,
    /// File with the password; without it a password is generated and printed.
    pub password_file: Option<PathBuf>,
}

/// The definition of the command.
pub(super) fn definition() -> Command {
    let email = || Arg::new("email").value_name("EMAIL").required(true).help("E-mail address of the account");
    let role = || {
        let help = "viewer, contributor, admin, or a role of your own";
        Arg::new("role").value_name("ROLE").required(true).help(help)
    };
    let name = || Arg::new("name").long("name").value_name("NAME").help("Full name of the user");
    let admin = || {
        Arg::new("admin")
            .long("admin")
            .action(ArgAction::SetTrue)
            .help("Make the user an administrator of the server: the same as --role admin")
    };
    let new_role =
        || {
            Arg::new("role").long("role").value_name("ROLE").conflicts_with("admin").help(
                "viewer, contributor, admin, a role of your own, or none [default: access.default-role]",
            )
        };
    let place = || {
        [
            Arg::new("project")
                .long("project")
                .value_name("PROJECT")
                .help("Project in which the role applies [default: all projects]"),
            Arg::new("domain")
                .long("domain")
                .value_name("DOMAIN")
                .help("Domain in which the role applies [default: all domains]"),
        ]
    };
    Command::new("user")
        .about("Create, list, disable and enable accounts, and give them roles")
        .long_about("Create, list, disable and enable accounts, and give them roles. Works while the server runs.")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("invite")
                .about("Create an account whose user sets the password")
                .long_about(
                    "Create an account and print a link with which its user sets the password, or signs in through a provider \
                     with this e-mail address. The link works once, for 7 days. For an account that has never been used, the \
                     command replaces the link and adds the role.",
                )
                .arg(email())
                .arg(name())
                .arg(admin())
                .arg(new_role())
                .args(place().map(|arg| arg.conflicts_with("admin"))),
        )
        .subcommand(Command::new("links").about("List the links and invitations that have not been used"))
        .subcommand(super::reset_password::definition())
        .subcommand(
            Command::new("add")
                .about("Create an account with a password")
                .long_about(
                    "Create an account with a password that you pass on to its user. Without --password-file a password is \
                     generated and printed once. With `invite`, the user sets the password.",
                )
                .arg(email())
                .arg(name())
                .arg(admin())
                .arg(new_role())
                .args(place().map(|arg| arg.conflicts_with("admin")))
                .arg(
                    Arg::new("password-file")
                        .long("password-file")
                        .value_name("FILE")
                        .value_parser(value_parser!(PathBuf))
                        .help("File whose first line is the password"),
                ),
        )
        .subcommand(Command::new("list").about("List the accounts"))
        .subcommand(
            Command::new("disable")
                .about("Disable an account, sign it out and delete its API keys")
                .long_about(
                    "Disable an account and immediately end its browser sessions, refresh tokens, access tokens, and the API keys \
                     that the user created. The account and its password are kept.",
                )
                .arg(email()),
        )
        .subcommand(
            Command::new("grant")
                .about("Give an account a role")
                .long_about(
                    "Give an account a role: everywhere, in a project, or in a domain. It is effective within a second. The other \
                     roles of the account stay.",
                )
                .arg(email())
                .arg(role())
                .args(place()),
        )
        .subcommand(
            Command::new("revoke")
                .about("Take a role from an account")
                .long_about(
                    "Take a role from an account, where it was given: `roles` lists them. It is effective within a second. \
                     The last administrator keeps the role.",
                )
                .arg(email())
                .arg(role())
                .args(place()),
        )
        .subcommand(
            Command::new("connections")
                .about("List the users of sign-in providers that are connected to an account")
                .arg(email()),
        )
        .subcommand(
            Command::new("disconnect")
                .about("Remove the connection of an account to a user of a sign-in provider")
                .long_about(
                    "Remove the connection of an account to a user of a sign-in provider, and immediately end the browser sessions \
                     and tokens that began with it. `connections` lists issuers and subjects. The account stays, also if nothing \
                     is left to sign in with: its user can be invited again, or gets a new password.",
                )
                .arg(email())
                .arg(Arg::new("issuer").value_name("ISSUER").required(true).help("Issuer of the provider"))
                .arg(Arg::new("subject").value_name("SUBJECT").required(true).help("Identifier of the user there")),
        )
        .subcommand(Command::new("roles").about("List the roles of an account").arg(email()))
        .subcommand(
            Command::new("enable")
                .about("Enable an account again")
                .long_about("Enable an account again. The user must sign in again everywhere.")
                .arg(email()),
        )
}

impl UserAction {
    /// Reads the matches of [`definition`].
    pub(super) fn from_matches(matches: &ArgMatches) -> Self {
        let text = |matches: &ArgMatches, name: &str| matches.get_one::<String>(name).cloned();
        let email = |matches: &ArgMatches| text(matches, "email").unwrap_or_default();
        let limit = |matches: &ArgMatches| Limit {
            project: text(matches, "project"),
            domain: text(matches, "domain"),
        };
        let role_of_user = |matches: &ArgMatches| RoleOfUser {
            email: email(matches),
            role: text(matches, "role").unwrap_or_default(),
            limit: limit(matches),
        };
        let new_user = |matches: &ArgMatches| NewUser {
            email: email(matches),
            name: text(matches, "name"),
            admin: matches.get_flag("admin"),
            role: text(matches, "role"),
            limit: limit(matches),
            password_file: None,
        };
        match matches.subcommand() {
            Some(("invite", matches)) => Self::Invite(new_user(matches)),
            Some(("links", _)) => Self::Links,
            Some(("add", matches)) => Self::Add(NewUser {
                password_file: matches.get_one::<PathBuf>("password-file").cloned(),
                ..new_user(matches)
            }),
            Some(("disable", matches)) => Self::Disable { email: email(matches) },
            Some(("grant", matches)) => Self::Grant(role_of_user(matches)),
            Some(("revoke", matches)) => Self::Revoke(role_of_user(matches)),
            Some(("connections", matches)) => Self::Connections { email: email(matches) },
            Some(("disconnect", matches)) => Self::Disconnect {
                email: email(matches),
                issuer: text(matches, "issuer").unwrap_or_default(),
                subject: text(matches, "subject").unwrap_or_default(),
            },
            Some(("roles", matches)) => Self::Roles { email: email(matches) },
            Some(("enable", matches)) => Self::Enable { email: email(matches) },
            _ => Self::List,
        }
    }
}
