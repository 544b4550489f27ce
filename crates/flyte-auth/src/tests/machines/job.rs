//! CI jobs with a token of their own.

use super::*;
use crate::flows::token_exchange::IdTokenSource;

/// The credentials of a job with these variables.
pub(super) fn job(variables: &[(&str, &str)]) -> Credentials {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let environment = flyte_config::Environment { variables, ..Default::default() };
    Credentials { id_token: IdTokenSource::find(&environment), ..Credentials::default() }
}

/// A job's token with the server as audience and this `sub`.
pub(super) fn job_token(served: &Served, sub: &str) -> String {
    job_token_for(json!(format!("https://localhost:{}", served.port)), sub)
}

fn job_token_for(audience: serde_json::Value, sub: &str) -> String {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    format!("e30.{}.s3cret", URL_SAFE_NO_PAD.encode(json!({ "aud": audience, "sub": sub }).to_string()))
}

/// The `sub` of a job's token.
pub(super) fn job_of(token: &str) -> Option<String> {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    claims["sub"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn a_jobs_token_is_sent_to_its_audience_only() {
    let (realm, served) = realm(|_| {}).await;
    let own = format!("https://localhost:{}", served.port);
    let slashed = format!("{own}/");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    for (audience, named, accepted) in [
        (json!(own), None, true),
        (json!(slashed), None, true),
        (json!(["https://vault.example.com", own]), None, true),
        (json!("https://vault.example.com"), None, false),
        (json!(["https://kubernetes.default.svc"]), None, false),
        (json!([]), None, false),
        (json!(7), None, false),
        // The trust rule names another audience, and so does the job's variable.
        (json!("flyte-ci"), Some("flyte-ci"), true),
        (json!(own), Some("flyte-ci"), false),
    ] {
        let token = job_token_for(audience.clone(), "job");
        std::fs::write(&file, &token).unwrap();
        for (name, value) in
            [("FLYTE_ID_TOKEN", token.as_str()), ("FLYTE_ID_TOKEN_FILE", file.to_str().unwrap())]
        {
            realm.forms.lock().unwrap().clear();
            let mut variables = vec![(name, value)];
            variables.extend(named.map(|named| ("FLYTE_ID_TOKEN_AUDIENCE", named)));
            let outcome = machine(&served, AuthType::TokenExchange, job(&variables)).token().await;
            assert_eq!(outcome.is_ok(), accepted, "{audience} {named:?}: {outcome:?}");
            assert_eq!(realm.forms.lock().unwrap().len(), usize::from(accepted), "it was sent");
            if let Err(error) = outcome {
                assert!(matches!(&error, AuthError::IdTokenAudience { .. }) && error.is_authentication());
                let text = error.to_string();
                assert!(text.contains(named.unwrap_or(&own)) && !text.contains(&token), "{text}");
            }
        }
    }
}

#[tokio::test]
async fn a_ci_jobs_own_token_is_exchanged_for_each_new_token() {
    let (realm, served) = realm(|_| {}).await;
    let own = job_token(&served, "job");
    let session = machine(&served, AuthType::TokenExchange, job(&[("FLYTE_ID_TOKEN", &format!("{own}\n"))]));
    assert_eq!(session.token().await.unwrap().secret(), "a1");
    session.options().clock.advance(3599);
    assert_eq!(session.token().await.unwrap().secret(), "a2");
    let (form, _) = realm.forms.lock().unwrap()[0].clone();
    assert_eq!(form["subject_token_type"], "urn:ietf:params:oauth:token-type:jwt");
    assert_eq!((form["audience"].as_str(), form["client_id"].as_str()), ("the-audience", "flyte"));
    // A mode for people uses it too if no person can be asked.
    let unattended = machine(&served, AuthType::Pkce, job(&[("FLYTE_ID_TOKEN", &own)]));
    let status = unattended.status().await.unwrap();
    assert!(status.signed_in && status.job_token.as_deref() == Some("FLYTE_ID_TOKEN"), "{status:?}");
    assert_eq!(unattended.token().await.unwrap().secret(), "a3");
    assert_eq!(unattended.cached().await.unwrap().secret(), "a3");
    assert!(unattended.status().await.unwrap().job_token.is_some(), "it was not stored as a person's login");
    let attended =
        Session::new(SessionOptions { credentials: job(&[]), ..served.options(Arc::new(Unattended)) });
    assert!(!attended.status().await.unwrap().signed_in);
    // No trust rule matches this job.
    let other =
        machine(&served, AuthType::TokenExchange, job(&[("FLYTE_ID_TOKEN", &job_token(&served, "other"))]));
    let error = other.token().await.unwrap_err();
    assert!(matches!(&error, AuthError::ExchangeRefused { .. }) && error.is_authentication(), "{error:?}");
    assert!(!error.to_string().contains("s3cret"), "{error}");
    for (name, value) in [("FLYTE_ID_TOKEN", "s3cret"), ("FLYTE_ID_TOKEN_FILE", "/nowhere/at/all")] {
        let error =
            machine(&served, AuthType::TokenExchange, job(&[(name, value)])).token().await.unwrap_err();
        assert!(matches!(&error, AuthError::IdToken { .. }), "{error:?}");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
    let none = machine(&served, AuthType::TokenExchange, Credentials::default());
    assert!(none.token().await.unwrap_err().to_string().contains("FLYTE_ID_TOKEN_FILE"));
}

#[tokio::test]
async fn github_gives_a_token_with_this_issuer_as_audience() {
    let (realm, served) = realm(|_| {}).await;
    let requests: Arc<Mutex<Vec<(Parameters, String)>>> = Arc::default();
    let router = Router::new().route(
        "/token",
        get({
            let requests = Arc::clone(&requests);
            move |Query(query): Query<Parameters>, headers: HeaderMap| async move {
                requests
                    .lock()
                    .unwrap()
                    .push((query.clone(), headers["authorization"].to_str().unwrap().to_owned()));
                Json(json!({ "value": job_token_for(json!(query["audience"]), "job") }))
            }
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/token?api-version=2", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let variables =
        [("ACTIONS_ID_TOKEN_REQUEST_URL", url.as_str()), ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "request-token")];
    let session = machine(&served, AuthType::TokenExchange, job(&variables));
    session.token().await.unwrap();
    let (query, authorization) = requests.lock().unwrap()[0].clone();
    assert_eq!((query["api-version"].as_str(), authorization.as_str()), ("2", "Bearer request-token"));
    assert_eq!(query["audience"], format!("https://localhost:{}/", served.port), "the issuer");
    assert_eq!(realm.forms.lock().unwrap().len(), 1);
    // The job's request token is sent unencrypted to this machine only.
    let clear = [("ACTIONS_ID_TOKEN_REQUEST_URL", "http://ci.example.com/"), variables[1]];
    let error = machine(&served, AuthType::TokenExchange, job(&clear)).token().await.unwrap_err();
    assert!(error.to_string().contains("https"), "{error}");
}
