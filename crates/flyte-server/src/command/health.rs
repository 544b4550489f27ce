//! `flyte-server health`: whether the server with these settings answers, for containers and service managers.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use reqwest::{Client, redirect};

use flyte_model::innermost_cause;
use flyte_settings::{Config, TlsSource};

/// How long the answer may take. Docker's own limit for a health check is 30 seconds.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The answer of `/healthz` and `/readyz`. Another program at the same port answers something else.
const HEALTHY: &str = "ok\n";
/// More of a wrong answer is not read.
const MAX_ANSWER_BYTES: usize = 64;

/// The reason why the server is not healthy.
#[derive(Debug, thiserror::Error)]
pub(super) enum HealthError {
    /// The port is chosen at the start, so it is not known here.
    #[error("the setting `listen` has port 0, so the server's port is not known; set a port")]
    AnyPort,
    /// No HTTP client could be created.
    #[error("cannot create an HTTP client: {0}")]
    Client(#[source] reqwest::Error),
    /// Nothing answers.
    #[error("no answer from {url}: {reason}")]
    NoAnswer {
        /// The URL.
        url: String,
        /// The innermost cause.
        reason: String,
    },
    /// The answer says that the server is not ready, or comes from another program.
    #[error("{url} answered {status}: {answer:?}")]
    Unhealthy {
        /// The URL.
        url: String,
        /// The HTTP status.
        status: reqwest::StatusCode,
        /// The beginning of the answer.
        answer: String,
    },
}

/// Asks the server at the address that it listens on. `ready` also asks for its database, and whether it is about to
/// stop.
///
/// # Errors
/// [`HealthError`] if the server is not healthy.
pub(super) async fn run(config: &Config, ready: bool) -> Result<String, HealthError> {
    let url = url(config, ready)?;
    // As the probes of Kubernetes, this does not verify the certificate: nothing secret is sent, and the question is
    // whether the process at this port works. Its certificate is for its public name, often from a private authority.
    let client = Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .timeout(TIMEOUT)
        .tls_danger_accept_invalid_certs(true)
        .build()
        .map_err(HealthError::Client)?;
    let no_answer =
        |error: reqwest::Error| HealthError::NoAnswer { url: url.clone(), reason: innermost_cause(&error) };
    let mut response = client.get(&url).send().await.map_err(no_answer)?;
    let status = response.status();
    let mut answer = Vec::new();
    while answer.len() < MAX_ANSWER_BYTES
        && let Some(chunk) = response.chunk().await.map_err(no_answer)?
    {
        answer.extend_from_slice(&chunk);
    }
    answer.truncate(MAX_ANSWER_BYTES);
    match status == reqwest::StatusCode::OK && answer == HEALTHY.as_bytes() {
        true => Ok(HEALTHY.to_owned()),
        false => {
            Err(HealthError::Unhealthy { url, status, answer: String::from_utf8_lossy(&answer).into_owned() })
        }
    }
}

/// The URL to ask. A server that listens on all addresses is asked at this machine's own.
fn url(config: &Config, ready: bool) -> Result<String, HealthError> {
    let ip = match config.listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    if config.listen.port() == 0 {
        return Err(HealthError::AnyPort);
    }
    let scheme = if matches!(config.tls.source, TlsSource::Off) { "http" } else { "https" };
    let path = if ready { "readyz" } else { "healthz" };
    Ok(format!("{scheme}://{}/{path}", SocketAddr::new(ip, config.listen.port())))
}

#[cfg(test)]
mod tests {
    use axum::{Router, http::StatusCode, routing::get};

    use super::*;

    fn config(listen: &str, tls: TlsSource) -> Config {
        let mut config = Config::for_test("/data".as_ref());
        config.listen = listen.parse().unwrap();
        config.tls.source = tls;
        config
    }

    #[test]
    fn server_is_asked_on_its_own_machine() {
        for (listen, tls, expected) in [
            ("127.0.0.1:8443", TlsSource::LocalAuthority, "https://127.0.0.1:8443/healthz"),
            ("0.0.0.0:443", TlsSource::LocalAuthority, "https://127.0.0.1:443/healthz"),
            ("[::]:8443", TlsSource::LocalAuthority, "https://[::1]:8443/healthz"),
            ("192.0.2.7:80", TlsSource::Off, "http://192.0.2.7:80/healthz"),
        ] {
            assert_eq!(url(&config(listen, tls), false).unwrap(), expected);
        }
        let error = url(&config("127.0.0.1:0", TlsSource::Off), true).unwrap_err().to_string();
        assert!(error.contains("port 0"), "{error}");
    }

    /// A program that answers at a free port, and the settings of a server at this port.
    async fn answering(router: Router) -> Config {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = config(&listener.local_addr().unwrap().to_string(), TlsSource::Off);
        tokio::spawn(async { axum::serve(listener, router).await });
        config
    }

    #[tokio::test]
    async fn only_the_right_answer_is_healthy() {
        let router = Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(|| async { (StatusCode::SERVICE_UNAVAILABLE, "draining\n") }));
        let draining = answering(router).await;
        assert_eq!(run(&draining, false).await.unwrap(), "ok\n");
        let error = run(&draining, true).await.unwrap_err().to_string();
        assert!(error.ends_with("/readyz answered 503 Service Unavailable: \"draining\\n\""), "{error}");

        let other =
            Router::new().fallback(|| async { "<!doctype html><title>Some other program</title>".repeat(9) });
        let error = run(&answering(other).await, false).await.unwrap_err().to_string();
        assert!(error.contains("answered 200 OK: \"<!doctype html>") && error.len() < 200, "{error}");

        let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let error = run(&config(&closed.to_string(), TlsSource::Off), false).await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("no answer from http://{closed}/healthz: ")), "{error}");
    }
}
