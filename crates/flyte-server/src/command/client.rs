//! `flyte-server client`: client registrations, also while the server runs.

use std::{fs, io, path::PathBuf};

use secrecy::ExposeSecret as _;

use crate::{
    bootstrap::BootstrapError,
    cli::{ClientAction, NewClient},
};
use flyte_audit::{Event, Kind};
use flyte_keys::RS256;
use flyte_model::{ClientId, GrantType, Scope, Scopes, UnknownGrantType, clock::Clock};
use flyte_oauth::{
    redirect_uri::{self, RegistrationError},
    token::REGISTRABLE_GRANTS,
};
use flyte_secrets::opaque_token;
use flyte_settings::Config;
use flyte_settings::reserved;
use flyte_store::{Client, ClientKind, ClientStore as _, StoreError};
use flyte_store_sqlite::SqliteStore;

/// The maximum length of an identifier or name, in bytes.
const MAX_BYTES: usize = 128;

/// The reason why nothing was done.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// There is no such client.
    #[error("client {0:?} does not exist; list all with: flyte-server client list")]
    NoClient(String),
    /// The client already exists.
    #[error("client {0:?} already exists; remove it with: flyte-server client remove {0}")]
    Taken(String),
    /// An API key with this identifier already exists.
    #[error(
        "an API key {0:?} already exists: choose another CLIENT_ID, or delete the key (flyte delete api-key {0})"
    )]
    TakenByKey(String),
    /// The client of the settings.
    #[error("{0:?} is the client of the `flyte` command; the setting client.id defines it")]
    Own(String),
    /// A reserved identifier.
    #[error("{0:?} is reserved for the server: choose another CLIENT_ID")]
    Reserved(String),
    /// An invalid identifier or name.
    #[error("{what} must have 1 to {MAX_BYTES} {kind}")]
    Text {
        /// The argument.
        what: &'static str,
        /// The allowed characters.
        kind: &'static str,
    },
    /// A redirect URI cannot be registered.
    #[error("{flag} {uri}: {why}")]
    Uri {
        /// The flag.
        flag: &'static str,
        /// The URI.
        uri: String,
        /// The reason.
        why: RegistrationError,
    },
    /// A client with the grant type `authorization_code` needs a redirect URI.
    #[error("--redirect-uri is missing: the grant type authorization_code requires one")]
    NoRedirectUri,
    /// The grant type of API keys.
    #[error(
        "--grant-type client_credentials: only API keys act as themselves: make an API key (flyte create api-key {0})"
    )]
    ForKeys(String),
    /// The file of public keys cannot be read.
    #[error("--jwks {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file contains no public keys.
    #[error("--jwks {} {what}", path.display())]
    Jwks {
        /// The file.
        path: PathBuf,
        /// The problem.
        what: &'static str,
    },
    /// A grant type or scope does not exist.
    #[error("{flag} {value} is not one of {known}")]
    Unknown {
        /// The flag.
        flag: &'static str,
        /// The value.
        value: String,
        /// The possible values.
        known: String,
    },
    /// The data directory or the database cannot be used.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Runs the action; returns the message to print.
pub(super) async fn run(config: &Config, action: ClientAction) -> Result<String, ClientError> {
    let own = &config.public_client.client_id;
    match action {
        ClientAction::Add(new) => {
            if *own == *new.id {
                return Err(ClientError::Own(new.id));
            }
            let checked = check(&new, config)?;
            add(&super::open_store(config)?, new, checked).await
        }
        ClientAction::List { wide } => {
            let clients = super::open_store(config)?.clients().await?;
            Ok(table(clients, wide, flyte_table::terminal_width()))
        }
        ClientAction::Remove { id } => {
            if *own == *id {
                return Err(ClientError::Own(id));
            }
            let store = super::open_store(config)?;
            // An earlier version may have accepted an identifier that cannot be registered any more.
            if !store.delete_client(&ClientId::from_stored(id.clone()), Clock::default().now()).await? {
                return Err(ClientError::NoClient(id));
            }
            super::record(&store, Event::new(Kind::ClientRemoved).object(&id)).await?;
            Ok(format!("Removed {id} and revoked all its tokens.\n"))
        }
    }
}

/// The parts of a registration that have types of their own.
struct Checked {
    id: ClientId,
    grant_types: Vec<GrantType>,
    scopes: Scopes,
}

fn check(new: &NewClient, config: &Config) -> Result<Checked, ClientError> {
    let id = client_id(&new.id);
    if id.as_ref().is_some_and(reserved::is_reserved) {
        return Err(ClientError::Reserved(new.id.clone()));
    }
    if let Some(alg) = &new.id_token_signed_response_alg {
        let own = config.tokens.signing_algorithm.as_str();
        let known = if own == RS256 { vec![RS256] } else { vec![RS256, own] };
        if !known.contains(&alg.as_str()) {
            return Err(unknown("--id-token-signed-response-alg", alg, &known));
        }
    }
    let id = id.ok_or(ClientError::Text { what: "CLIENT_ID", kind: "visible ASCII characters" })?;
    if let Some(name) = &new.name
        && (!(1..=MAX_BYTES).contains(&name.trim().len()) || name.contains(char::is_control))
    {
        return Err(ClientError::Text { what: "--name", kind: "bytes, none of them control characters" });
    }
    for (flag, uris) in [
        ("--redirect-uri", &new.redirect_uris),
        ("--post-logout-redirect-uri", &new.post_logout_redirect_uris),
    ] {
        for uri in uris {
            redirect_uri::check(uri).map_err(|why| ClientError::Uri { flag, uri: uri.clone(), why })?;
        }
    }
    let grant_types = grant_types(new)?;
    let scopes = scopes(new)?;
    if new.redirect_uris.is_empty() && grant_types.contains(&GrantType::AuthorizationCode) {
        return Err(ClientError::NoRedirectUri);
    }
    Ok(Checked { id, grant_types, scopes })
}

/// Parses the identifier of a registration. Spaces are valid in identifiers, but not on this command line.
fn client_id(text: &str) -> Option<ClientId> {
    let id = text.parse().ok()?;
    (text.len() <= MAX_BYTES && !text.contains(' ')).then_some(id)
}

/// Parses the grant types of a registration.
fn grant_types(new: &NewClient) -> Result<Vec<GrantType>, ClientError> {
    let parse = |name: &String| match name.parse() {
        Ok(GrantType::ClientCredentials) => Err(ClientError::ForKeys(new.id.clone())),
        Ok(grant) => Ok(grant),
        Err(UnknownGrantType) => {
            Err(unknown("--grant-type", name, &REGISTRABLE_GRANTS.map(GrantType::as_str)))
        }
    };
    new.grant_types.iter().map(parse).collect()
}

/// Parses the scopes of a registration.
fn scopes(new: &NewClient) -> Result<Scopes, ClientError> {
    let parse = |name: &String| {
        let known = Scope::SUPPORTED.into_iter().find(|scope| scope == name.as_str());
        known.ok_or_else(|| unknown("--scope", name, &Scope::SUPPORTED.each_ref().map(Scope::as_str)))
    };
    new.scopes.iter().map(parse).collect()
}

fn unknown(flag: &'static str, value: &str, known: &[&str]) -> ClientError {
    ClientError::Unknown { flag, value: value.to_owned(), known: known.join(", ") }
}

async fn add(store: &SqliteStore, new: NewClient, checked: Checked) -> Result<String, ClientError> {
    let Checked { id, grant_types, scopes } = checked;
    let jwks = new.jwks.map(public_keys).transpose()?;
    let secret = if new.public || jwks.is_some() {
        None
    } else {
        Some(opaque_token::generate(opaque_token::Kind::ClientSecret).map_err(|_| BootstrapError::Random)?)
    };
    let client = Client {
        name: new.name.unwrap_or(new.id),
        id,
        kind: if new.public { ClientKind::Public } else { ClientKind::Confidential },
        secret_hash: secret.as_ref().map(|secret| opaque_token::hash(secret.expose_secret())),
        redirect_uris: new.redirect_uris,
        post_logout_redirect_uris: new.post_logout_redirect_uris,
        grant_types,
        scopes,
        first_party: false,
        may_keep_api_keys: new.may_keep_api_keys,
        id_token_signed_response_alg: new.id_token_signed_response_alg,
        jwks,
        created_at: Clock::default().now(),
    };
    match store.create_client(&client).await {
        Err(StoreError::AlreadyExists { kind: "API key", .. }) => {
            return Err(ClientError::TakenByKey(client.id.into()));
        }
        Err(StoreError::AlreadyExists { .. }) => return Err(ClientError::Taken(client.id.into())),
        other => other?,
    }
    super::record(store, Event::new(Kind::ClientRegistered).object(client.id.as_str())).await?;
    Ok(match secret {
        Some(secret) => {
            format!("Registered {}. Its secret, shown only now:\n{}\n", client.id, secret.expose_secret())
        }
        None if client.jwks.is_some() => {
            format!("Registered {}. It authenticates with signed assertions (private_key_jwt).\n", client.id)
        }
        None => format!("Registered {} without a secret.\n", client.id),
    })
}

/// Reads and checks the public keys in a file.
fn public_keys(path: PathBuf) -> Result<String, ClientError> {
    let text =
        fs::read_to_string(&path).map_err(|source| ClientError::File { path: path.clone(), source })?;
    flyte_keys::jwks::parse(&text).map_err(|what| ClientError::Jwks { path, what })?;
    Ok(text)
}

/// A table of registrations; with all data if `wide`.
fn table(clients: Vec<Client>, wide: bool, width: Option<u16>) -> String {
    let kind = |client: &Client| match client.kind {
        ClientKind::Public => "public",
        ClientKind::Confidential => "confidential",
    };
    if !wide {
        let rows = clients.into_iter().map(|client| {
            let kind = kind(&client).to_owned();
            [client.id.into(), client.name, kind, client.redirect_uris.join(" ")]
        });
        let headings = ["CLIENT_ID", "NAME", "KIND", "REDIRECT URIS"];
        return flyte_table::table(headings, &["NAME", "REDIRECT URIS"], rows, width);
    }
    let rows = clients.into_iter().map(|client| {
        let mut kind = kind(&client).to_owned();
        if client.may_keep_api_keys {
            kind.push_str(", manages API keys");
        }
        if let Some(alg) = &client.id_token_signed_response_alg {
            kind.push_str(&format!(", ID tokens with {alg}"));
        }
        [
            client.id.into(),
            client.name,
            kind,
            client.grant_types.iter().map(|grant| grant.as_str()).collect::<Vec<_>>().join(" "),
            client.scopes.to_string(),
            client.redirect_uris.join(" "),
        ]
    });
    let headings = ["CLIENT_ID", "NAME", "KIND", "GRANT TYPES", "SCOPES", "REDIRECT URIS"];
    flyte_table::table(headings, &[], rows, width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registrations_are_a_table() {
        let text = |text: &str| text.to_owned();
        let client = Client {
            id: ClientId::from_static("web"),
            name: text("Web app"),
            kind: ClientKind::Confidential,
            secret_hash: None,
            jwks: None,
            redirect_uris: vec![text("https://web.example.com/callback")],
            post_logout_redirect_uris: vec![],
            grant_types: vec![GrantType::AuthorizationCode, GrantType::RefreshToken],
            scopes: [Scope::OPENID, Scope::ALL].into(),
            first_party: false,
            may_keep_api_keys: true,
            id_token_signed_response_alg: Some(text("RS256")),
            created_at: 0,
        };
        let narrow = table(vec![client.clone()], false, None);
        assert_eq!(
            narrow,
            "CLIENT_ID  NAME     KIND          REDIRECT URIS\n\
             web        Web app  confidential  https://web.example.com/callback\n"
        );
        let wide = table(vec![client], true, None);
        for text in
            ["manages API keys", "ID tokens with RS256", "authorization_code refresh_token", "openid all"]
        {
            assert!(wide.contains(text), "{text}: {wide}");
        }
    }
}
