//! `flyte auth inspect-key`

use std::io::{self, IsTerminal as _, Read as _};

use flyte_auth::api_key::{self, ApiKey};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::failure::{Exit, Failure};
use crate::output::{self, Format};

/// The maximum size of the input, in bytes. Every key is smaller.
const MAX_INPUT: u64 = 1 << 20;

/// The content of a key, without the secret.
#[derive(Debug, Serialize)]
struct Report {
    endpoint: String,
    client_id: String,
    org: Option<String>,
    /// The length of the secret, in characters.
    secret_length: usize,
    /// Whether the published Python client can read the key.
    read_by_published_client: bool,
    source: &'static str,
}

pub(super) fn run(given: Option<String>, format: Format) -> Result<Exit, Failure> {
    let (text, source) = find(given)?;
    let key = ApiKey::decode(text.expose_secret()).map_err(|error| {
        Failure::new(format!("the key from {source} is not usable")).why(&error).hint(&error)
    })?;
    output::print(format, &Report::new(&key, source), Report::table)?;
    Ok(Exit::Success)
}

/// Returns the key's text and its source.
fn find(given: Option<String>) -> Result<(SecretString, &'static str), Failure> {
    match given {
        Some(dash) if dash == "-" => Ok((read()?, "standard input")),
        Some(key) => {
            output::tell(
                "Warning: the key is now in the shell's history and in the list of processes. Pipe it to standard input instead, or set \
                 FLYTE_API_KEY.",
            );
            Ok((key.into(), "the command line"))
        }
        None => match std::env::var(api_key::VARIABLE) {
            Ok(key) if !key.trim().is_empty() => Ok((key.into(), api_key::VARIABLE)),
            _ if !io::stdin().is_terminal() => Ok((read()?, "standard input")),
            _ => Err(Failure::new("there is no API key to inspect")
                .why("FLYTE_API_KEY is not set, and standard input is a terminal")
                .next("flyte auth inspect-key - < FILE")
                .exit(Exit::Usage)),
        },
    }
}

fn read() -> Result<SecretString, Failure> {
    let mut text = Zeroizing::new(String::new());
    io::stdin()
        .lock()
        .take(MAX_INPUT)
        .read_to_string(&mut text)
        .map_err(|error| Failure::new("cannot read the key from standard input").why(error))?;
    Ok(SecretString::from(text.as_str()))
}

impl Report {
    fn new(key: &ApiKey, source: &'static str) -> Self {
        Self {
            endpoint: key.endpoint.to_string(),
            client_id: key.client_id.to_string(),
            org: key.org.clone(),
            secret_length: key.client_secret.expose_secret().chars().count(),
            read_by_published_client: key.is_portable(),
            source,
        }
    }

    fn table(&self) -> String {
        let python = match self.read_by_published_client {
            true => "yes",
            false => "no: it confuses the endpoint's port with the client ID",
        };
        output::details([
            ("Endpoint", self.endpoint.clone()),
            ("Client ID", self.client_id.clone()),
            ("Organization", self.org.clone().unwrap_or_default()),
            ("Secret", format!("{} characters, not shown", self.secret_length)),
            ("Read by Python", python.to_owned()),
            ("From", self.source.to_owned()),
        ])
    }
}

#[cfg(test)]
mod tests {
    use flyte_auth::oauth::ClientId;

    use super::*;

    fn report(endpoint: &str) -> Report {
        let key = ApiKey {
            endpoint: endpoint.parse().unwrap(),
            client_id: ClientId::parse("ci").unwrap(),
            client_secret: "hunter2".into(),
            org: None,
        };
        let text = key.encode().unwrap();
        Report::new(&ApiKey::decode(text.expose_secret()).unwrap(), "standard input")
    }

    #[test]
    fn everything_except_the_secret_is_shown() {
        assert_eq!(
            report("flyte.example.com").table(),
            "Endpoint:        https://flyte.example.com\nClient ID:       ci\nSecret:          7 characters, not shown\n\
             Read by Python:  yes\nFrom:            standard input\n"
        );
        let json = serde_json::to_string(&report("localhost:8443")).unwrap();
        assert!(json.contains(r#""read_by_published_client":false"#) && !json.contains("hunter2"), "{json}");
    }
}
