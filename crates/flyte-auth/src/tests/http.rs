//! Trust, proxies, and what is said when a server cannot be reached.

use super::*;
use crate::{AuthError, ConnectFailure, http::Http};

/// The client for `url` of a control plane that is there.
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
async fn each_bad_certificate_is_told_apart() {
    for (certificate, expected, hint) in [
        (Certificate::Expired, ConnectFailure::CertificateExpired, "date"),
        (Certificate::NotYetValid, ConnectFailure::CertificateNotYetValid, "clock"),
        (Certificate::ForAnotherName, ConnectFailure::CertificateName, "name"),
        (Certificate::SelfSigned, ConnectFailure::UnknownAuthority, "--ca-cert-file"),
        (Certificate::Authority, ConnectFailure::AuthorityCertificate, "CA:FALSE"),
    ] {
        let served = Served::new(certificate, |_| Router::new()).await;
        let (found, error) = failure(&served.http_options(), served.url("")).await;
        assert_eq!(found, expected, "{error:?}");
        assert!(error.hint().unwrap().contains(hint), "{certificate:?}: {:?}", error.hint());
        assert!(!error.is_authentication());
    }
}

#[tokio::test]
async fn an_unknown_authority_is_trusted_by_what_the_caller_has() {
    let served = Served::new(Certificate::Good, |_| Router::new()).await;
    let endpoint = format!("https://localhost:{}", served.port);
    let hint = async |options: &HttpOptions| failure(options, served.url("")).await.1.hint().unwrap();
    let config = format!("`flyte create config --endpoint {endpoint} --ca-cert-file FILE`");
    let with_key = HttpOptions { with_api_key: true, ..HttpOptions::default() };
    let other = Served::new(Certificate::Good, |_| Router::new()).await;
    // A file of the configuration counts before the variable.
    let with_both = HttpOptions { with_api_key: true, ..other.http_options() };
    for (options, told) in [
        (HttpOptions::default(), config.as_str()),
        (with_key, "`export SSL_CERT_FILE=FILE`"),
        (with_both, &config),
    ] {
        let hint = hint(&options).await;
        assert!(hint.contains(told) && hint.contains(&format!("ca.pem on its page {endpoint}/")), "{hint}");
    }
    // An identity provider's authority is no business of the control plane's settings.
    let http = Http::new(&HttpOptions::default(), served.url("")).unwrap();
    let source = http.client_for(&other.url("")).unwrap().get(other.url("")).send().await.unwrap_err();
    let hint = http.unreachable(&other.url(""), source).hint().unwrap();
    assert!(hint.contains("the system's") && !hint.contains("flyte create config"), "{hint}");
}

#[tokio::test]
async fn a_ca_file_is_all_that_is_trusted() {
    let served = Served::new(Certificate::Good, |_| Router::new()).await;
    let good = client(&served.http_options(), &served.url("")).unwrap();
    assert_eq!(good.get(served.url("")).send().await.unwrap().status(), 404);
    let (found, _) = failure(&HttpOptions::default(), served.url("")).await;
    assert_eq!(found, ConnectFailure::UnknownAuthority);
    let other = Served::new(Certificate::Good, |_| Router::new()).await;
    // A CA file wins over "trust anything".
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
async fn a_ca_file_that_is_none_is_named() {
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
async fn nobody_there_is_told_from_a_name_that_is_none() {
    let refused = format!("https://localhost:{}/", free_port()).parse().unwrap();
    assert_eq!(failure(&HttpOptions::default(), refused).await.0, ConnectFailure::Refused);
    // Reserved for names that never exist (RFC 6761 section 6.4). "proxy" in a name is no proxy's fault.
    let unknown = "https://proxy.flyte.invalid/".parse().unwrap();
    assert_eq!(failure(&HttpOptions::default(), unknown).await.0, ConnectFailure::UnknownHost);
}

#[tokio::test]
async fn calls_go_through_the_configured_proxy_and_its_refusal_is_told() {
    // A proxy that writes down what it is asked for and lets nothing through.
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
    assert!(error.hint().unwrap().contains("httpProxyURL"));
    assert!(!format!("{error:?} {error}").contains("hunter2"));
    assert!(asked.await.unwrap().starts_with("CONNECT flyte.example.com:443 "));
    // A proxy that is not there is the proxy's fault, not the server's.
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
async fn settings_about_trust_are_about_the_control_plane() {
    let (plane, provider) = (
        Served::new(Certificate::Good, |_| Router::new()).await,
        Served::new(Certificate::Good, |_| Router::new()).await,
    );
    let answers = |http: &Http, url: Url| {
        let client = http.client_for(&url).unwrap().clone();
        async move { client.get(url).send().await.map(drop).map_err(|error| ConnectFailure::of(&error)) }
    };
    // Any certificate of the control plane, and of no other server: another port of its host is another server.
    let options = HttpOptions { insecure_skip_verify: true, ..HttpOptions::default() };
    let http = Http::new(&options, plane.endpoint().url().clone()).unwrap();
    assert_eq!(answers(&http, plane.url("token")).await, Ok(()));
    assert_eq!(answers(&http, provider.url("token")).await, Err(ConnectFailure::UnknownAuthority));
    // The file is good for other servers too, beside the system's authorities.
    let options = HttpOptions { ca_cert_file: Some(provider.ca_file()), ..HttpOptions::default() };
    let http = Http::new(&options, plane.endpoint().url().clone()).unwrap();
    assert_eq!(answers(&http, plane.url("token")).await, Err(ConnectFailure::UnknownAuthority));
    assert_eq!(answers(&http, provider.url("token")).await, Ok(()));
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_named() {
    let gone = format!("127.0.0.1:{}", free_port());
    let environment = flyte_config::Environment {
        variables: [("HTTPS_PROXY".to_owned(), format!("http://ada:hunt@er2@{gone}"))].into(),
        ..flyte_config::Environment::default()
    };
    let proxy_variables = crate::http::ProxyVariables::of(&environment);
    let options = HttpOptions { proxy_variables, ..HttpOptions::default() };
    let (_, error) = failure(&options, "https://flyte.example.com/".parse().unwrap()).await;
    let told = error.to_string();
    assert!(told.contains(&format!("the proxy {gone} (HTTPS_PROXY)")) && told.contains("refused"), "{told}");
    assert!(error.hint().unwrap().contains("HTTPS_PROXY"), "{:?}", error.hint());
    assert!(!format!("{error:?} {told}").contains("er2"), "{error:?}");
}
