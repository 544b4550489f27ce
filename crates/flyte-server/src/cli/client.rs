//! `flyte-server client`.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

/// An action on client registrations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientAction {
    /// Register a client.
    Add(NewClient),
    /// List the clients.
    List {
        /// Show all registered data.
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
    /// `client_name`, which users see; the identifier if it is missing.
    pub name: Option<String>,
    /// Whether the client cannot keep a secret, and gets none.
    pub public: bool,
    /// File with its public keys, for authentication without a secret (`private_key_jwt`).
    pub jwks: Option<PathBuf>,
    /// `redirect_uris`.
    pub redirect_uris: Vec<String>,
    /// `post_logout_redirect_uris`.
    pub post_logout_redirect_uris: Vec<String>,
    /// `grant_types`.
    pub grant_types: Vec<String>,
    /// Scopes that it may request.
    pub scopes: Vec<String>,
    /// Whether users may let it manage API keys and trust rules in their name.
    pub may_keep_api_keys: bool,
    /// `id_token_signed_response_alg`; the server's algorithm if it is missing.
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
            "Register, list and remove OAuth clients: programs that users sign in to with their account on this server. Works \
             while the server runs. Users are asked for consent before a client gets anything.\n\nThe registration of the \
             `flyte` command follows from the settings.",
        )
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("add")
                .about("Register a client")
                .long_about(
                    "Register a client. Its secret is generated and printed once, unless the client is --public. It authenticates \
                     with client_secret_basic or client_secret_post; with --jwks, it signs assertions instead (private_key_jwt); a \
                     public client uses only PKCE, which all clients need.\n\nA program without a user needs an API key instead: \
                     create one with flyte create api-key.",
                )
                .arg(id())
                .arg(Arg::new("name").long("name").value_name("NAME").help("Name that users see"))
                .arg(
                    Arg::new("public")
                        .long("public")
                        .action(ArgAction::SetTrue)
                        .help("The client cannot keep a secret, for example a program on a user's machine or in a browser"),
                )
                .arg(
                    Arg::new("jwks")
                        .long("jwks")
                        .value_name("FILE")
                        .value_parser(value_parser!(PathBuf))
                        .conflicts_with("public")
                        .help("File with the client's public keys, a JSON Web Key Set; it gets no secret"),
                )
                // Not separated by commas, because a URI may contain them.
                .arg(
                    list("redirect-uri", "URI", "Redirect URI after a sign-in; can be repeated")
                        .value_delimiter(None),
                )
                .arg(
                    list(
                        "post-logout-redirect-uri",
                        "URI",
                        "Redirect URI after a sign-out; can be repeated",
                    )
                    .value_delimiter(None),
                )
                .arg(
                    list("grant-type", "GRANT", "Grant type that it may use; can be repeated")
                        .default_value("authorization_code,refresh_token"),
                )
                .arg(
                    list("scope", "SCOPE", "Scope that it may request; can be repeated")
                        .default_value("openid,profile,email"),
                )
                .arg(
                    Arg::new("may-keep-api-keys")
                        .long("may-keep-api-keys")
                        .action(ArgAction::SetTrue)
                        .help("Let it create, change and delete API keys and trust rules for its users")
                        .long_help(
                            "Let it create, change and delete API keys and trust rules for its users. These outlive the access \
                             tokens of the client. Without this flag the server refuses.",
                        ),
                )
                .arg(
                    Arg::new("id-token-signed-response-alg")
                        .long("id-token-signed-response-alg")
                        .value_name("ALG")
                        .help("Algorithm of its ID tokens: RS256 or the value of tokens.signing-algorithm (the default)"),
                ),
        )
        .subcommand(
            Command::new("list").about("List the clients").arg(
                Arg::new("wide")
                    .long("wide")
                    .action(ArgAction::SetTrue)
                    .help("Show grant types, scopes and all other registered data"),
            ),
        )
        .subcommand(
            Command::new("remove")
                .about("Remove a client and revoke its tokens")
                .long_about(
                    "Remove a client's registration and immediately revoke its refresh tokens, its access tokens and the \
                     consent of its users.",
                )
                .arg(id()),
        )
}

impl ClientAction {
    /// Reads the matches of [`definition`].
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
