//! `flyte-bench`: signs in at any OAuth 2 server through its HTML forms and then loads its token endpoint.
//!
//! The flow is the same for every server: one authorization code with PKCE for each connection, then refresh-token
//! rotation in a loop on each, until the time is up. For a client with a secret it is the client credentials grant in a
//! loop, and no user signs in. It prints one JSON object, so that `bench/run` can compare two servers in one run.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "printing the measurement is what this program is for")]

mod load;
mod sign_in;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use url::Url;

/// What to load, and how hard.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// Issuer identifier of the server; its `/.well-known/openid-configuration` names the endpoints.
    #[arg(long)]
    issuer: Url,
    /// PEM file with the CA that the server's certificate is signed by.
    #[arg(long)]
    ca: Option<PathBuf>,
    /// `client_id` of a public client, or of one of the client credentials grant.
    #[arg(long)]
    client_id: String,
    /// File with the secret of a client: measures the client credentials grant, without a sign-in.
    #[arg(long)]
    client_secret_file: Option<PathBuf>,
    /// Redirect URI of that client.
    #[arg(long, required_unless_present = "client_secret_file")]
    redirect_uri: Option<Url>,
    /// Scopes to ask for.
    #[arg(long, default_value = "openid offline_access")]
    scope: String,
    /// Name to sign in with.
    #[arg(long, required_unless_present = "client_secret_file")]
    user: Option<String>,
    /// File with the password to sign in with.
    #[arg(long, required_unless_present = "client_secret_file")]
    password_file: Option<PathBuf>,
    /// Number of concurrent connections, each with its own session.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=256))]
    connections: u16,
    /// How long to measure, in seconds.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=120))]
    seconds: u64,
}

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
enum BenchError {
    /// A file could not be read.
    #[error("cannot read {path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// HTTP failed.
    #[error("request failed: {0}")]
    Http(#[from] reqwest::Error),
    /// A URL that the server gave could not be read.
    #[error("the server gave a bad URL: {0}")]
    Url(#[from] url::ParseError),
    /// The server answered with something else than the flow needs.
    #[error("{0}")]
    Unexpected(String),
}

/// The part of OpenID Connect Discovery that the flow needs.
#[derive(Debug, serde::Deserialize)]
struct Metadata {
    authorization_endpoint: Url,
    token_endpoint: Url,
}

/// A token response (RFC 6749 section 5.1).
#[derive(Debug, serde::Deserialize)]
struct Tokens {
    refresh_token: String,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    match runtime.block_on(measure(&arguments)) {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error),
    }
}

#[allow(clippy::print_stderr, reason = "the edge, where a person reads it")]
fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

async fn measure(arguments: &Arguments) -> Result<serde_json::Value, BenchError> {
    let read = |path: &PathBuf| {
        std::fs::read_to_string(path).map_err(|source| BenchError::File { path: path.clone(), source })
    };
    let mut http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(30))
        .no_proxy();
    if let Some(ca) = &arguments.ca {
        http = http.tls_certs_only([reqwest::Certificate::from_pem(read(ca)?.as_bytes())?]);
    }
    let http = http.build()?;
    let discovery =
        format!("{}/.well-known/openid-configuration", arguments.issuer.as_str().trim_end_matches('/'));
    let metadata: Metadata = http.get(discovery).send().await?.error_for_status()?.json().await?;
    let time = Duration::from_secs(arguments.seconds);
    if let Some(file) = &arguments.client_secret_file {
        let secret = read(file)?;
        let client = (arguments.client_id.as_str(), secret.trim_end_matches(['\r', '\n']));
        let endpoint = &metadata.token_endpoint;
        return Ok(load::credentials(&http, endpoint, client, arguments.connections, time).await?.summary());
    }
    let (Some(redirect_uri), Some(user), Some(password_file)) =
        (&arguments.redirect_uri, &arguments.user, &arguments.password_file)
    else {
        return Err(BenchError::Unexpected(
            "--redirect-uri, --user and --password-file are needed".to_owned(),
        ));
    };
    let password = read(password_file)?;
    let flow = sign_in::Flow {
        http: &http,
        metadata: &metadata,
        client_id: &arguments.client_id,
        redirect_uri,
        scope: &arguments.scope,
        user,
        password: password.trim_end_matches(['\r', '\n']),
    };
    // One person, one browser: sign in once and let that browser authorize each of the connections.
    let mut browser = sign_in::Browser::default();
    let mut refresh_tokens = Vec::new();
    for _ in 0..arguments.connections {
        refresh_tokens.push(flow.tokens(&mut browser).await?.refresh_token);
    }
    let measured =
        load::rotate(&http, &metadata.token_endpoint, &arguments.client_id, refresh_tokens, time).await?;
    Ok(measured.summary())
}
