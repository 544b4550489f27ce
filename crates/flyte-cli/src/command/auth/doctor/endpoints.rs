//! Checks of the servers that discovery names: connects to each as a sign-in does, with the same certificate trust.

use std::time::Duration;

use flyte_auth::SessionOptions;
use flyte_auth::discovery::{AUTHORIZATION_ENDPOINT, DEVICE_ENDPOINT, Provider, TOKEN_ENDPOINT};
use flyte_auth::http::Http;
use flyte_config::AuthType;
use flyte_hints::Hint as _;
use url::Url;

use super::finding::Finding;

const ENDPOINTS: &str = "endpoints";

/// The time limit for each server.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server and its endpoints.
struct Origin<'a> {
    names: Vec<&'a str>,
    /// The address of the first endpoint.
    url: &'a Url,
}

/// Connects to each origin once. An unreachable origin is a failure if the sign-in needs it, and otherwise a warning.
pub(super) async fn examine(options: &SessionOptions, provider: &Provider) -> Vec<Finding> {
    let http = match Http::new(&options.http, options.endpoint.url().clone()) {
        Ok(http) => http,
        Err(error) => return vec![Finding::fail(ENDPOINTS, &error).maybe_fix(error.hint())],
    };
    let mut findings = Vec::new();
    let mut good = Vec::new();
    for origin in origins(provider) {
        let shown = format!("{} ({})", list(&origin.names), origin.url.origin().ascii_serialization());
        match connect(&http, origin.url).await {
            Ok(()) => good.push(shown),
            Err((why, fix)) => {
                let finding = match origin.names.iter().any(|name| needs(options.auth_type, name)) {
                    true => Finding::fail,
                    false => Finding::warn,
                };
                let fix = fix.unwrap_or_else(|| "Ask the server's administrator to check it.".to_owned());
                findings.push(finding(ENDPOINTS, format!("{shown}: {why}")).fix(fix));
            }
        }
    }
    if !good.is_empty() {
        findings.insert(0, Finding::pass(ENDPOINTS, format!("these answer: {}", good.join("; "))));
    }
    findings
}

fn origins(provider: &Provider) -> Vec<Origin<'_>> {
    let mut origins: Vec<Origin<'_>> = Vec::new();
    for (name, url) in provider.endpoints() {
        match origins.iter_mut().find(|origin| origin.url.origin() == url.origin()) {
            Some(origin) => origin.names.push(name),
            None => origins.push(Origin { names: vec![name], url }),
        }
    }
    origins
}

/// Whether a mode needs an endpoint. The browser opens the authorization endpoint, and may be on another
/// machine.
fn needs(auth_type: AuthType, name: &str) -> bool {
    match name {
        TOKEN_ENDPOINT => true,
        DEVICE_ENDPOINT => auth_type == AuthType::DeviceFlow,
        _ => false,
    }
}

fn list(names: &[&str]) -> String {
    let name = |name: &&str| match *name {
        AUTHORIZATION_ENDPOINT => "authorization_endpoint (opened by the browser)".to_owned(),
        other => other.to_owned(),
    };
    names.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// Sends a HEAD request, which changes nothing. Any answer of the server itself is accepted.
async fn connect(http: &Http, url: &Url) -> Result<(), (String, Option<String>)> {
    let mut bare = url.clone();
    bare.set_query(None);
    let client = http.client_for(url).map_err(|error| (error.to_string(), error.hint()))?;
    match client.head(bare).timeout(PATIENCE).send().await {
        Ok(answer) if matches!(answer.status().as_u16(), 407 | 502..=504 | 511) => {
            let status = answer.status();
            Err((format!("a proxy in front of it answers {status}"), None))
        }
        Ok(_) => Ok(()),
        Err(source) => {
            let error = http.unreachable(url, source);
            Err((http_reason(&error), error.hint()))
        }
    }
}

/// Why the server cannot be reached, without its address, which is already in the message.
fn http_reason(error: &flyte_auth::AuthError) -> String {
    match error {
        flyte_auth::AuthError::Unreachable { failure, .. } => failure.to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_need_different_endpoints() {
        assert!(needs(AuthType::Pkce, TOKEN_ENDPOINT) && needs(AuthType::ClientSecret, TOKEN_ENDPOINT));
        assert!(needs(AuthType::DeviceFlow, DEVICE_ENDPOINT) && !needs(AuthType::Pkce, DEVICE_ENDPOINT));
        assert!(!needs(AuthType::Pkce, AUTHORIZATION_ENDPOINT) && !needs(AuthType::Pkce, "jwks_uri"));
    }
}
