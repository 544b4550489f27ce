//! Trust, proxies, and the errors for unreachable servers.

use super::*;
use crate::{
    AuthError, ConnectFailure,
    http::{Http, Target, TrustSetting},
};

/// The client for a control plane at `url`.
fn client(options: &HttpOptions, url: &Url) -> Result<reqwest::Client, AuthError> {
    Http::new(options, url.clone())?.client_for(url).cloned()
}

async fn failure(options: &HttpOptions, url: Url) -> (ConnectFailure, AuthError) {
    let http = Http::new(options, url.clone()).unwrap();
    let source = http.client_for(&url).unwrap().get(url.clone()).send().await.unwrap_err();
    let error = http.unreachable(&url, source);
    match &error {
        AuthError::Unreachable { failure, .. } => (failure.clone(), error.clone()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_invalid_certificate_has_its_failure() {
    for (certificate, expected) in [
        (Certificate::Expired, ConnectFailure::CertificateExpired),
        (Certificate::NotYetValid, ConnectFailure::CertificateNotYetValid),
        (Certificate::ForAnotherName, ConnectFailure::CertificateName),
        (Certificate::SelfSigned, ConnectFailure::UnknownAuthority),
        (Certificate::Authority, ConnectFailure::AuthorityCertificate),
    ] {
        let served = Served::new(certificate, |_| Router::new()).await;
        let (found, error) = failure(&served.http_options(), served.url("")).await;
        assert_eq!(found, expected, "{error:?}");

        assert!(!error.is_authentication());
    }
}

#[tokio::test]
async fn an_error_says_how_an_authority_can_be_trusted() {
    let served = Served::new(Certificate::Good, |_| Router::new()).await;
    let other = Served::new(Certificate::Good, |_| Router::new()).await;
    let target = |error: AuthError| match error {
        AuthError::Unreachable { target, .. } => target,
        other => panic!("{other:?}"),
    };
    let address = format!("https://localhost:{}", served.port);
    let with_key = HttpOptions { with_api_key: true, ..HttpOptions::default() };
    // A CA file of the configuration takes precedence over the variable.
    let with_both = HttpOptions { with_api_key: true, ..other.http_options() };
    for (options, trust) in [
        (HttpOptions::default(), TrustSetting::Configuration),
        (with_key, TrustSetting::Variable),
        (with_both, TrustSetting::Configuration),
    ] {
        let found = target(failure(&options, served.url("")).await.1);
        assert_eq!(found, Target::ControlPlane { address: address.clone(), trust });
    }
    // The settings of the control plane do not apply to an identity provider.
    let http = Http::new(&HttpOptions::default(), served.url("")).unwrap();
    let source = http.client_for(&other.url("")).unwrap().get(other.url("")).send().await.unwrap_err();
    assert_eq!(target(http.unreachable(&other.url(""), source)), Target::Other);
}

#[tokio::test]
async fn only_the_ca_file_is_trusted() {
    let served = Served::new(Certificate::Good, |_| Router::new()).await;
    let good = client(&served.http_options(), &served.url("")).unwrap();
    assert_eq!(good.get(served.url("")).send().await.unwrap().status(), 404);
    let (found, _) = failure(&HttpOptions::default(), served.url("")).await;
    assert_eq!(found, ConnectFailure::UnknownAuthority);
    let other = Served::new(Certificate::Good, |_| Router::new()).await;
    // A CA file takes precedence over skipping the verification.
    let options = HttpOptions {
        ca_cert_file: Some(other.ca_file()),
        insecure_skip_verify: true,
        ..HttpOptions::default()
    };
    assert_eq!(failure(&options, served.url("")).await.0, ConnectFailure::UnknownAuthority);
}

#[tokio::test]
async fn skipping_verification_trusts_anything() {
    let options = HttpOptions { insecure_skip_verify: true, ..HttpOptions::default() };
    for certificate in [Certificate::SelfSigned, Certificate::Expired, Certificate::ForAnotherName] {
        let served = Served::new(certificate, |_| Router::new()).await;
        let response = client(&options, &served.url("")).unwrap().get(served.url("")).send().await;
        assert_eq!(response.unwrap().status(), 404, "{certificate:?}");
    }
}

#[tokio::test]
async fn an_invalid_ca_file_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.pem");
    for content in [
        None,
        Some(""),
        Some("not a certificate"),
        Some("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"),
    ] {
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        let options = HttpOptions { ca_cert_file: Some(path.clone()), ..HttpOptions::default() };
        let error = client(&options, &"https://localhost/".parse().unwrap()).map(drop).unwrap_err();
        assert!(matches!(&error, AuthError::CaFile { .. }), "{content:?}: {error:?}");
        assert!(error.to_string().contains("ca.pem"), "{error}");
    }
}

#[tokio::test]
async fn a_refused_connection_and_an_unknown_name_are_distinguished() {
    let refused = format!("https://localhost:{}/", free_port()).parse().unwrap();
    assert_eq!(failure(&HttpOptions::default(), refused).await.0, ConnectFailure::Refused);
    // Names below `invalid` never exist (RFC 6761 section 6.4). "proxy" in a name does not mean that a proxy failed.
    let unknown = "https://proxy.flyte.invalid/".parse().unwrap();
    assert_eq!(failure(&HttpOptions::default(), unknown).await.0, ConnectFailure::UnknownHost);
}

#[tokio::test]
async fn calls_go_through_the_configured_proxy_and_its_refusal_is_an_error() {
    // A proxy that records the request and refuses it.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = format!("http://user:hunter2@{}/", listener.local_addr().unwrap());
    let asked = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4096];
        let length = stream.read(&mut request).await.unwrap();
        stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    let options = HttpOptions { proxy_url: Some(proxy.parse().unwrap()), ..HttpOptions::default() };
    assert!(!format!("{options:?}").contains("hunter2"));
    let (found, error) = failure(&options, "https://flyte.example.com/".parse().unwrap()).await;
    assert!(matches!(found, ConnectFailure::Proxy { .. }), "{found:?}");
    assert!(error.to_string().contains("httpProxyURL"), "{error}");
    assert!(!format!("{error:?} {error}").contains("hunter2"));
    assert!(asked.await.unwrap().starts_with("CONNECT flyte.example.com:443 "));
    // An unreachable proxy is a failure of the proxy, not of the server.
    let gone = format!("http://127.0.0.1:{}/", free_port());
    let options = HttpOptions { proxy_url: Some(gone.parse().unwrap()), ..HttpOptions::default() };
    let (found, _) = failure(&options, "https://flyte.example.com/".parse().unwrap()).await;
    assert!(matches!(found, ConnectFailure::Proxy { .. }), "{found:?}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let served = Served::new(Certificate::Good, |_| {
        Router::new().route("/token", post(|| async { Redirect::temporary("/elsewhere") }))
    })
    .await;
    let response = client(&served.http_options(), &served.url("token"))
        .unwrap()
        .post(served.url("token"))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 307);
}

#[tokio::test]
async fn trust_settings_apply_to_the_control_plane() {
    let (plane, provider) = (
        Served::new(Certificate::Good, |_| Router::new()).await,
        Served::new(Certificate::Good, |_| Router::new()).await,
    );
    let answers = |http: &Http, url: Url| {
        let client = http.client_for(&url).unwrap().clone();
        async move { client.get(url).send().await.map(drop).map_err(|error| ConnectFailure::of(&error)) }
    };
    // Verification is skipped for the control plane only. Another port of its host is another server.
    let options = HttpOptions { insecure_skip_verify: true, ..HttpOptions::default() };
    let http = Http::new(&options, plane.endpoint().url().clone()).unwrap();
    assert_eq!(answers(&http, plane.url("token")).await, Ok(()));
    assert_eq!(answers(&http, provider.url("token")).await, Err(ConnectFailure::UnknownAuthority));
    // For other servers, the CA file is trusted in addition to the system's authorities.
    let options = HttpOptions { ca_cert_file: Some(provider.ca_file()), ..HttpOptions::default() };
    let http = Http::new(&options, plane.endpoint().url().clone()).unwrap();
    assert_eq!(answers(&http, plane.url("token")).await, Err(ConnectFailure::UnknownAuthority));
    assert_eq!(answers(&http, provider.url("token")).await, Ok(()));
}

#[tokio::test]
async fn an_unreachable_proxy_is_named() {
    let gone = format!("127.0.0.1:{}", free_port());
    let environment = flyte_config::Environment {
        variables: [("HTTPS_PROXY".to_owned(), format!("http://ada:hunt@er2@{gone}"))].into(),
        ..flyte_config::Environment::default()
    };
    let proxy_variables = crate::http::ProxyVariables::of(&environment);
    let options = HttpOptions { proxy_variables, ..HttpOptions::default() };
    let (_, error) = failure(&options, "https://flyte.example.com/".parse().unwrap()).await;
    let text = error.to_string();
    assert!(text.contains(&format!("the proxy {gone} (HTTPS_PROXY)")) && text.contains("refused"), "{text}");
    assert!(!format!("{error:?} {text}").contains("er2"), "{error:?}");
}
