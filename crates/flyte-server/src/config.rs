//! How the server is set up.

use std::{net::SocketAddr, path::PathBuf};

use url::Url;

/// The server's settings after file, environment and flags have been merged. Durations are seconds.
#[derive(Clone, Debug)]
pub struct Config {
    /// Issuer identifier and base of every public URL (RFC 8414 section 2), such as `https://localhost:8443/`;
    /// its path is `/`.
    pub public_url: Url,
    /// Address that the server listens on.
    pub listen: SocketAddr,
    /// Directory of everything that the server keeps (mode 0700).
    pub data_dir: PathBuf,
    /// Organization that projects are listed under; empty where there is none.
    pub org: String,
    /// Life of tokens.
    pub tokens: TokenConfig,
    /// Life of a browser's sign-in.
    pub session_ttl: i64,
    /// The client that the `flyte` command and the PyPI package `flyte` are.
    pub public_client: PublicClientConfig,
}

/// How long tokens and keys live, in seconds.
#[derive(Clone, Debug)]
pub struct TokenConfig {
    /// Access tokens and ID tokens.
    pub access_token_ttl: i64,
    /// Refresh tokens, from their last rotation.
    pub refresh_token_ttl: i64,
    /// How long after its rotation a refresh token whose successor is unused may be presented again.
    pub refresh_token_grace: i64,
    /// Authorization codes.
    pub authorization_code_ttl: i64,
    /// `alg` of new signing keys: `ES256`, `EdDSA` or `RS256`.
    pub signing_algorithm: String,
    /// How long a key signs before the next one takes over.
    pub key_rotation_interval: i64,
}

/// The registration that `AuthMetadataService/GetPublicClientConfig` advertises.
#[derive(Clone, Debug)]
pub struct PublicClientConfig {
    /// `client_id`.
    pub client_id: String,
    /// Loopback redirect URI with an explicit port.
    pub redirect_uri: String,
    /// Scopes to ask for.
    pub scopes: Vec<String>,
}

impl Config {
    /// The issuer identifier as it stands in `iss`: the public URL without the slash of its empty path.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.public_url.as_str().trim_end_matches('/')
    }

    /// The absolute URL of a path on this server; `path` starts with a slash.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.issuer())
    }
}
