//! `flyte-server client`.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

/// What to do about the registrations of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientAction {
    /// Register a client.
    Add(NewClient),
    /// List the clients.
    List {
        /// With all that is registered of each.
        wide: bool,
    },
    /// Remove a client's registration.
    Remove {
        /// `client_id`.
        id: String,
    },
}

/// A client to register (RFC 7591 names).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewClient {
    /// `client_id`.
    pub id: String,
    /// `client_name`, which people are shown; the identifier where it is not given.
    pub name: Option<String>,
    /// It cannot keep a secret, and gets none.
    pub public: bool,
    /// File of its public keys, by which it proves itself instead of by a secret (`private_key_jwt`).
    pub jwks: Option<PathBuf>,
    /// `redirect_uris`.
    pub redirect_uris: Vec<String>,
    /// `post_logout_redirect_uris`.
    pub post_logout_redirect_uris: Vec<String>,
    /// `grant_types`.
    pub grant_types: Vec<String>,
    /// Scopes that it may ask for.
    pub scopes: Vec<String>,
    /// Whether people may let it keep API keys and trust rules in their name.
    pub may_keep_api_keys: bool,
    /// `id_token_signed_response_alg`; the server's own choice where it is not given.
    pub id_token_signed_response_alg: Option<String>,
}

/// The definition of the command.
pub(super) fn definition() -> Command {
    let id = || Arg::new("id").value_name("CLIENT_ID").required(true).help("Identifier of the client");
    let list = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).action(ArgAction::Append).value_delimiter(',').help(help)
    };
    Command::new("client")
        .about("Register, list and remove OAuth clients")
        .long_about(
            "Register, list and remove OAuth clients: programs that people sign in to with their account here. Works while \
             the server runs. People are asked whether they agree before such a client gets anything.\n\nThe `flyte` \
             command's own registration follows the settings and needs none.",
        )
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("add")
                .about("Register a client")
                .long_about(
                    "Register a client. Its secret is made up and printed, once, unless the client is --public. It proves \
                     itself with client_secret_basic or client_secret_post; one with --jwks by signing (private_key_jwt), \
                     without a secret; a public one by PKCE alone, which all need.\n\nA program that acts as itself, without a \
                     person, is an API key and no client: flyte create api-key makes one.",
                )
                .arg(id())
                .arg(Arg::new("name").long("name").value_name("NAME").help("What people are shown"))
                .arg(
                    Arg::new("public")
                        .long("public")
                        .action(ArgAction::SetTrue)
                        .help("The client cannot keep a secret, as a program on somebody's machine or in a browser"),
                )
                .arg(
                    Arg::new("jwks")
                        .long("jwks")
                        .value_name("FILE")
                        .value_parser(value_parser!(PathBuf))
                        .conflicts_with("public")
                        .help("File with the client's public keys, a JSON Web Key Set; it gets no secret"),
                )
                // Not separated by commas, which a URI may hold.
                .arg(
                    list("redirect-uri", "URI", "Where people come back to; can be repeated")
                        .value_delimiter(None),
                )
                .arg(
                    list(
                        "post-logout-redirect-uri",
                        "URI",
                        "Where people come back to after signing out; can be repeated",
                    )
                    .value_delimiter(None),
                )
                .arg(
                    list("grant-type", "GRANT", "Grant that it may use; can be repeated")
                        .default_value("authorization_code,refresh_token"),
                )
                .arg(
                    list("scope", "SCOPE", "Scope that it may ask for; can be repeated")
                        .default_value("openid,profile,email"),
                )
                .arg(
                    Arg::new("may-keep-api-keys")
                        .long("may-keep-api-keys")
                        .action(ArgAction::SetTrue)
                        .help("Let it make, change and delete API keys and trust rules for the people who use it")
                        .long_help(
                            "Let it make, change and delete API keys and trust rules for the people who use it. These \
                             outlive the access tokens that the client gets; without this flag the server refuses.",
                        ),
                )
                .arg(
                    Arg::new("id-token-signed-response-alg")
                        .long("id-token-signed-response-alg")
                        .value_name("ALG")
                        .help("Algorithm of its ID tokens: RS256, or that of tokens.signing-algorithm, which is the default"),
                ),
        )
        .subcommand(
            Command::new("list").about("List the clients").arg(
                Arg::new("wide")
                    .long("wide")
                    .action(ArgAction::SetTrue)
                    .help("Show grants, scopes and all else that is registered"),
            ),
        )
        .subcommand(
            Command::new("remove")
                .about("Remove a client's registration and end all that it got")
                .long_about(
                    "Remove a client's registration and end all that it got, at once: refresh tokens, access tokens, and \
                     what people agreed to.",
                )
                .arg(id()),
        )
}

impl ClientAction {
    /// What the matches of [`definition`] ask for.
    pub(super) fn from_matches(matches: &ArgMatches) -> Self {
        let one = |matches: &ArgMatches, name: &str| matches.get_one::<String>(name).cloned();
        let all = |matches: &ArgMatches, name: &str| {
            matches.get_many::<String>(name).into_iter().flatten().cloned().collect()
        };
        match matches.subcommand() {
            Some(("add", matches)) => Self::Add(NewClient {
                id: one(matches, "id").unwrap_or_default(),
                name: one(matches, "name"),
                public: matches.get_flag("public"),
                jwks: matches.get_one::<PathBuf>("jwks").cloned(),
                redirect_uris: all(matches, "redirect-uri"),
                post_logout_redirect_uris: all(matches, "post-logout-redirect-uri"),
                grant_types: all(matches, "grant-type"),
                scopes: all(matches, "scope"),
                may_keep_api_keys: matches.get_flag("may-keep-api-keys"),
                id_token_signed_response_alg: one(matches, "id-token-signed-response-alg"),
            }),
            Some(("remove", matches)) => Self::Remove { id: one(matches, "id").unwrap_or_default() },
            Some(("list", matches)) => Self::List { wide: matches.get_flag("wide") },
            _ => Self::List { wide: false },
        }
    }
}
