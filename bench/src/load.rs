//! Refresh-token rotation by many connections at once.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use url::Url;

use crate::{BenchError, Tokens};

/// What was measured.
pub(crate) struct Measurement {
    requests: usize,
    elapsed: Duration,
    /// Sorted, in seconds.
    latencies: Vec<f64>,
}

impl Measurement {
    /// Requests per second and the spread of their latencies, in milliseconds.
    pub(crate) fn summary(&self) -> serde_json::Value {
        let quantile = |q: usize| {
            let last = self.latencies.len().saturating_sub(1);
            self.latencies.get(last * q / 100).map(|seconds| (seconds * 1e5).round() / 100.0)
        };
        serde_json::json!({
            "requests": self.requests,
            "seconds": self.elapsed.as_secs_f64(),
            "requests_per_second": f64::from(u32::try_from(self.requests).unwrap_or(u32::MAX)) / self.elapsed.as_secs_f64(),
            "latency_ms": { "p50": quantile(50), "p99": quantile(99) },
        })
    }
}

/// Asks for tokens of a client's own (RFC 6749 section 4.4) by `connections` connections at once until `time` is up; any
/// answer but a token ends the measurement with an error.
pub(crate) async fn credentials(
    http: &reqwest::Client,
    token_endpoint: &Url,
    (client_id, secret): (&str, &str),
    connections: u16,
    time: Duration,
) -> Result<Measurement, BenchError> {
    let started = Instant::now();
    let connections = (0..connections).map(|_| async move {
        let mut latencies = Vec::new();
        while started.elapsed() < time {
            let sent = Instant::now();
            let response = http
                .post(token_endpoint.clone())
                .basic_auth(client_id, Some(secret))
                .form(&[("grant_type", "client_credentials")])
                .send()
                .await?;
            let status = response.status();
            let text = response.text().await?;
            if !status.is_success() || !text.contains("\"access_token\"") {
                return Err(BenchError::Unexpected(format!("a token request answered {status}: {text}")));
            }
            latencies.push(sent.elapsed().as_secs_f64());
        }
        Ok(latencies)
    });
    let mut latencies: Vec<f64> = try_join_all(connections).await?.into_iter().flatten().collect();
    let elapsed = started.elapsed();
    latencies.sort_by(f64::total_cmp);
    Ok(Measurement { requests: latencies.len(), elapsed, latencies })
}

/// Rotates each of the tokens over and over until `time` is up; any answer but a new token ends the measurement with an
/// error, so that a fast failure never counts as a fast server.
pub(crate) async fn rotate(
    http: &reqwest::Client,
    token_endpoint: &Url,
    client_id: &str,
    refresh_tokens: Vec<String>,
    time: Duration,
) -> Result<Measurement, BenchError> {
    let started = Instant::now();
    let connections = refresh_tokens.into_iter().map(|mut token| async move {
        let mut latencies = Vec::new();
        while started.elapsed() < time {
            let sent = Instant::now();
            let response = http
                .post(token_endpoint.clone())
                .form(&[("grant_type", "refresh_token"), ("client_id", client_id), ("refresh_token", &token)])
                .send()
                .await?;
            if !response.status().is_success() {
                let status = response.status();
                return Err(BenchError::Unexpected(format!(
                    "a rotation answered {status}: {}",
                    response.text().await?
                )));
            }
            token = response.json::<Tokens>().await?.refresh_token;
            latencies.push(sent.elapsed().as_secs_f64());
        }
        Ok(latencies)
    });
    let mut latencies: Vec<f64> = try_join_all(connections).await?.into_iter().flatten().collect();
    let elapsed = started.elapsed();
    latencies.sort_by(f64::total_cmp);
    Ok(Measurement { requests: latencies.len(), elapsed, latencies })
}
