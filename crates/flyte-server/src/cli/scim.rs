//! `flyte-server scim`.

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use flyte_time::Period;

/// An action on keys of SCIM clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScimAction {
    /// Create a key.
    CreateKey(NewScimKey),
    /// List the keys.
    List,
    /// Delete a key.
    Delete {
        /// Its name.
        name: String,
    },
}

/// A key to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewScimKey {
    /// The name.
    pub name: String,
    /// The client; the name if it is missing.
    pub client: Option<String>,
    /// Whether the client adopts existing accounts.
    pub adopts: bool,
    /// The role of new accounts.
    pub role: Option<String>,
    /// The issuer whose `sub` is the `externalId`.
    pub issuer: Option<String>,
    /// Seconds until it expires; `None` if it does not.
    pub lifetime: Option<i64>,
}

/// The definition of the command.
pub(super) fn definition() -> Command {
    let name = || Arg::new("name").value_name("NAME").required(true).help("Name of the key");
    Command::new("scim")
        .about("Create, list and delete the keys of SCIM clients")
        .long_about(
            "Create, list and delete the keys of SCIM clients: directories such as Okta and Entra ID, which provision users and \
             groups at /scim/v2. Works while the server runs. A key gives no access to anything else.",
        )
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("create-key")
                .about("Create a key")
                .long_about(
                    "Create a key. Its secret is printed once; the directory sends it as a bearer token.\n\nUsers and groups belong \
                     to the client. To replace a key, create another one with the same --client, give it to the directory, and \
                     delete the old one.",
                )
                .arg(name())
                .arg(
                    Arg::new("client")
                        .long("client")
                        .value_name("CLIENT")
                        .help("Client that owns what is provisioned [default: the name of the key]"),
                )
                .arg(
                    Arg::new("adopt-accounts").long("adopt-accounts").action(ArgAction::SetTrue).help(
                        "Let the client take over existing accounts with the e-mail addresses of its users; never administrators'",
                    ),
                )
                .arg(
                    Arg::new("role")
                        .long("role")
                        .value_name("ROLE")
                        .help("Role of new accounts: viewer or contributor [default: only what their groups have]"),
                )
                .arg(Arg::new("issuer").long("issuer").value_name("URL").help(
                    "Issuer whose subjects are the externalIds of the client's users, who sign in through it",
                ))
                .arg(
                    Arg::new("expires")
                        .long("expires")
                        .value_name("DURATION")
                        .value_parser(value_parser!(Period))
                        .default_value("365d")
                        .help("Time until the key expires, for example 90d"),
                )
                .arg(
                    Arg::new("no-expiry")
                        .long("no-expiry")
                        .action(ArgAction::SetTrue)
                        .conflicts_with("expires")
                        .help("The key does not expire"),
                ),
        )
        .subcommand(Command::new("list").about("List the keys"))
        .subcommand(
            Command::new("delete")
                .about("Delete a key")
                .long_about(
                    "Delete a key. Requests with it are refused from then on. The users and groups of its client stay.",
                )
                .arg(name()),
        )
}

impl ScimAction {
    /// Reads the matches of [`definition`].
    pub(super) fn from_matches(matches: &ArgMatches) -> Self {
        let text = |matches: &ArgMatches, name: &str| matches.get_one::<String>(name).cloned();
        match matches.subcommand() {
            Some(("create-key", matches)) => Self::CreateKey(NewScimKey {
                name: text(matches, "name").unwrap_or_default(),
                client: text(matches, "client"),
                adopts: matches.get_flag("adopt-accounts"),
                role: text(matches, "role"),
                issuer: text(matches, "issuer"),
                lifetime: matches
                    .get_one::<Period>("expires")
                    .filter(|_| !matches.get_flag("no-expiry"))
                    .map(|period| i64::try_from(period.duration().as_secs()).unwrap_or(i64::MAX)),
            }),
            Some(("delete", matches)) => Self::Delete { name: text(matches, "name").unwrap_or_default() },
            _ => Self::List,
        }
    }
}
