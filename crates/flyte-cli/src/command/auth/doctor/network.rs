//! Checks of the network: the server's address, the connection, the certificate, and the clock.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use flyte_auth::http::{self, Http, Proxies};
use flyte_auth::{ConnectFailure, SessionOptions};
use flyte_hints::Hint as _;
use reqwest::{Client, Response, tls::TlsInfo};
use tokio::net::TcpStream;

use super::finding::Finding;
use crate::time;

const ADDRESS: &str = "address";
const CONNECTION: &str = "connection";
const CERTIFICATE: &str = "certificate";
const CLOCK: &str = "clock";

/// The time limit of each step.
const PATIENCE: Duration = Duration::from_secs(10);
/// A smaller clock difference causes no problems, in seconds.
const TOLERATED_SKEW: u64 = 60;
/// Warn about a certificate that expires within this time, in seconds.
const SOON: i64 = 14 * 86_400;

/// Runs all checks. Returns whether the server can be reached, and the findings.
pub(super) async fn examine(options: &SessionOptions) -> (bool, Vec<Finding>) {
    let proxies = proxies(options);
    let proxy = match proxies.select(options.endpoint.url()) {
        Ok(proxy) => proxy,
        Err(error) => {
            let mut findings = vec![Finding::fail(ADDRESS, &error).maybe_fix(error.hint())];
            findings.extend(skipped(&[CONNECTION, CERTIFICATE, CLOCK], "the proxy cannot be used"));
            return (false, findings);
        }
    };
    let (host, port) = match proxy {
        Some(proxy) => proxy.address(),
        None => target(options),
    };
    let via = proxy.map_or_else(String::new, |proxy| format!("the proxy in {} ", proxy.setting()));
    let via = via.as_str();
    let resolved = resolve(&host, port).await;
    let mut findings = Vec::new();
    let addresses = match resolved {
        Ok(addresses) => addresses,
        Err(why) => {
            findings.push(
                Finding::fail(ADDRESS, format!("{via}{host} cannot be resolved: {why}"))
                    .maybe_fix(ConnectFailure::UnknownHost.hint()),
            );
            findings.extend(skipped(&[CONNECTION, CERTIFICATE, CLOCK], "the address cannot be resolved"));
            return (false, findings);
        }
    };
    findings.push(Finding::pass(ADDRESS, describe_address(via, &host, &addresses)));
    if let Err(failure) = connect(&addresses).await {
        findings.push(
            Finding::fail(CONNECTION, format!("{via}{host}:{port}: {failure}")).maybe_fix(failure.hint()),
        );
        findings.extend(skipped(&[CERTIFICATE, CLOCK], "there is no connection"));
        return (false, findings);
    }
    findings.push(Finding::pass(CONNECTION, format!("{via}{host}:{port} answers")));

    let (trusted, certificate) = certificate(options).await;
    findings.push(certificate);
    findings.push(clock(options, trusted.as_ref()).await);
    (trusted.is_some(), findings)
}

fn skipped(checks: &[&'static str], why: &str) -> Vec<Finding> {
    checks.iter().map(|check| Finding::skip(check, why)).collect()
}

fn target(options: &SessionOptions) -> (String, u16) {
    let url = options.endpoint.url();
    let default = if options.endpoint.is_insecure() { 80 } else { 443 };
    (options.endpoint.host().to_owned(), url.port().unwrap_or(default))
}

/// The proxies for requests: from the configuration, or else from the environment.
fn proxies(options: &SessionOptions) -> Proxies {
    Proxies::new(options.http.proxy_url.as_ref(), &options.http.proxy_variables)
}

async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    match tokio::time::timeout(PATIENCE, tokio::net::lookup_host((host, port))).await {
        Err(_) => Err("the name server did not answer in time".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(addresses)) => {
            let addresses: Vec<_> = addresses.collect();
            if addresses.is_empty() { Err("it has no address".to_owned()) } else { Ok(addresses) }
        }
    }
}

fn describe_address(via: &str, host: &str, addresses: &[SocketAddr]) -> String {
    if host.parse::<IpAddr>().is_ok() {
        return format!("{via}{host} is an IP address");
    }
    let shown: Vec<_> = addresses.iter().take(3).map(|address| address.ip().to_string()).collect();
    let more = if addresses.len() > shown.len() { ", …" } else { "" };
    format!("{via}{host} is {}{more}", shown.join(", "))
}

/// Connects to the first address that answers.
async fn connect(addresses: &[SocketAddr]) -> Result<(), ConnectFailure> {
    let mut failure = ConnectFailure::TimedOut;
    for address in addresses {
        match tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                failure = ConnectFailure::Refused;
            }
            Ok(Err(error)) => failure = ConnectFailure::Other(error.to_string()),
            Err(_) => {}
        }
    }
    Err(failure)
}

/// Requests the server's root. Any answer is accepted.
async fn ask(client: &Client, options: &SessionOptions) -> Result<Response, reqwest::Error> {
    client.head(options.endpoint.url().clone()).timeout(PATIENCE).send().await
}

/// Connects as every command does. Returns the answer, if the server can be trusted.
async fn certificate(options: &SessionOptions) -> (Option<Response>, Finding) {
    let endpoint = &options.endpoint;
    let http = match Http::new(&options.http, endpoint.url().clone()) {
        Ok(http) => http,
        Err(error) => return (None, Finding::fail(CERTIFICATE, &error).maybe_fix(error.hint())),
    };
    let client = match http.client_for(endpoint.url()) {
        Ok(client) => client,
        Err(error) => return (None, Finding::fail(CERTIFICATE, &error).maybe_fix(error.hint())),
    };
    let answer = match ask(client, options).await {
        Ok(answer) => answer,
        Err(error) => {
            let failure = http.failure(endpoint.url(), &error);
            let seen = match untrusting(options).await {
                Some((_, seen)) if !endpoint.is_insecure() => {
                    format!(" ({})", seen.describe(options.clock.now()))
                }
                _ => String::new(),
            };
            let finding = Finding::fail(CERTIFICATE, format!("{endpoint}: {failure}{seen}"));
            return (
                None,
                finding.maybe_fix(flyte_hints::unreachable(&http.target(endpoint.url()), &failure)),
            );
        }
    };
    if endpoint.is_insecure() {
        let finding = Finding::warn(
            CERTIFICATE,
            "the connection is plain HTTP (admin.insecure), so no credentials are sent",
        )
        .fix(format!("flyte create config --endpoint {} if the server has TLS", endpoint.authority()));
        return (Some(answer), finding);
    }
    if options.http.insecure_skip_verify && options.http.ca_cert_file.is_none() {
        let finding = Finding::warn(
            CERTIFICATE,
            "any certificate is accepted (admin.insecureSkipVerify), so an attacker on the network can read everything",
        )
        .fix(format!("flyte create config --endpoint {} --ca-cert-file FILE", endpoint.authority()));
        return (Some(answer), finding);
    }
    let Some((_, seen)) = untrusting(options).await else {
        return (Some(answer), Finding::pass(CERTIFICATE, "the certificate is trusted"));
    };
    let now = options.clock.now();
    let finding = if seen.expires_at - now < SOON {
        Finding::warn(CERTIFICATE, seen.describe(now)).fix("Ask the server's administrator to renew it.")
    } else {
        Finding::pass(CERTIFICATE, seen.describe(now))
    };
    (Some(answer), finding)
}

/// Compares the server's clock, even if its certificate is not trusted: a wrong clock may be the cause.
async fn clock(options: &SessionOptions, answer: Option<&Response>) -> Finding {
    let own = match answer {
        Some(_) => None,
        None => untrusting(options).await.map(|(answer, _)| answer),
    };
    let Some(answer) = answer.or(own.as_ref()) else {
        return Finding::skip(CLOCK, "the server does not answer");
    };
    let date = answer.headers().get(reqwest::header::DATE).and_then(|date| date.to_str().ok());
    let server = date.and_then(|date| httpdate::parse_http_date(date).ok());
    let server = server.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    match server.and_then(|at| i64::try_from(at.as_secs()).ok()) {
        Some(server) => skew(options.clock.now() - server),
        None => Finding::skip(CLOCK, "the server does not send its time"),
    }
}

/// `difference` is how far this machine's clock is ahead of the server's, in seconds.
fn skew(difference: i64) -> Finding {
    if difference.unsigned_abs() <= TOLERATED_SKEW {
        return Finding::pass(CLOCK, "this machine's clock agrees with the server's");
    }
    let way = if difference > 0 { "ahead of" } else { "behind" };
    let distance = time::spoken(difference.saturating_abs());
    Finding::fail(
        CLOCK,
        format!(
            "this machine's clock is {distance} {way} the server's, so tokens look expired or not yet valid"
        ),
    )
    .fix("Set the clock, for example with `timedatectl set-ntp true`.")
}

/// The content of a certificate.
#[derive(Debug)]
struct Seen {
    subject: String,
    issuer: String,
    expires_at: i64,
}

impl Seen {
    fn parse(der: &[u8]) -> Option<Self> {
        let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
        let name = |name: &x509_parser::x509::X509Name<'_>| {
            let common = name.iter_common_name().next().and_then(|name| name.as_str().ok());
            common.map_or_else(|| name.to_string(), str::to_owned)
        };
        Some(Self {
            subject: name(certificate.subject()),
            issuer: name(certificate.issuer()),
            expires_at: certificate.validity().not_after.timestamp(),
        })
    }

    fn describe(&self, now: i64) -> String {
        let expiry = if self.expires_at <= now { "expired" } else { "expires" };
        let when = time::relative(self.expires_at, now);
        let subject =
            if self.subject.is_empty() { "certificate".to_owned() } else { format!("of {}", self.subject) };
        format!("{subject}, by {}, {expiry} {when}", self.issuer)
    }
}

/// Gets an answer and the certificate without verifying them. Sends no secret.
async fn untrusting(options: &SessionOptions) -> Option<(Response, Seen)> {
    let builder = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .tls_danger_accept_invalid_certs(true)
        .tls_info(true);
    let builder = http::with_proxies(builder, &proxies(options)).ok()?;
    let answer = ask(&builder.build().ok()?, options).await.ok()?;
    let seen = Seen::parse(answer.extensions().get::<TlsInfo>()?.peer_certificate()?)?;
    Some((answer, seen))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    #[test]
    fn clocks_can_differ_by_a_minute() {
        assert_eq!(skew(60).verdict, Verdict::Pass);
        assert_eq!(skew(-60).verdict, Verdict::Pass);
        let ahead = skew(3 * 3600);
        assert_eq!(ahead.verdict, Verdict::Fail);
        assert!(ahead.found.contains("3 hours ahead of the server's"), "{}", ahead.found);
        assert!(skew(-90).found.contains("90 seconds behind the server's"));
    }

    #[test]
    fn address_description_is_short() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert_eq!(
            describe_address("", "127.0.0.1", &[address("127.0.0.1:1")]),
            "127.0.0.1 is an IP address"
        );
        let many =
            [address("10.0.0.1:1"), address("10.0.0.2:1"), address("10.0.0.3:1"), address("10.0.0.4:1")];
        assert_eq!(describe_address("", "h", &many), "h is 10.0.0.1, 10.0.0.2, 10.0.0.3, …");
    }

    #[test]
    fn certificate_description_has_names_and_expiry() {
        let seen = |expires_at| Seen { subject: "flyte".into(), issuer: "our CA".into(), expires_at };
        assert_eq!(seen(90 * 86_400).describe(0), "of flyte, by our CA, expires in 90 days");
        assert_eq!(seen(0).describe(300), "of flyte, by our CA, expired 5 minutes ago");
        assert!(Seen::parse(b"nonsense").is_none());
    }
}
