//! Clients with a secret or a private key.

use super::*;

#[tokio::test]
async fn a_client_uses_the_authentication_method_of_the_server() {
    for (methods, in_body) in [
        (vec![], false),
        (vec!["client_secret_post"], true),
        (vec!["client_secret_post", "client_secret_basic"], false),
    ] {
        let (realm, served) = realm(|rules| rules.client_authentication = methods).await;
        let session = machine(&served, AuthType::ClientSecret, secret());
        assert_eq!(session.token().await.unwrap().secret(), "a1");
        let (form, authorization) = realm.forms.lock().unwrap()[0].clone();
        assert_eq!(form["grant_type"], "client_credentials");
        assert_eq!(form["audience"], "the-audience");
        assert_eq!(form.get("scope"), None, "the advertised scopes are for people");
        assert_eq!(form.contains_key("client_secret"), in_body);
        assert_eq!(authorization.is_some(), !in_body);
        // The token stays in memory until it is due. Then a new one is requested, because there is no refresh token.
        assert_eq!(session.token().await.unwrap().secret(), "a1");
        session.options().clock.advance(3599);
        assert_eq!(session.token().await.unwrap().secret(), "a2");
        assert_eq!((realm.count("token"), realm.count("metadata")), (2, 1));
        assert!(!format!("{session:?} {:?}", session.options()).contains("s3"));
    }
}

#[tokio::test]
async fn a_client_signs_with_its_private_key_and_requests_the_configured_scopes() {
    let (realm, served) = realm(|_| {}).await;
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let path = served.directory.path().join("key.pem");
    std::fs::write(&path, key.serialize_pem()).unwrap();
    let options = SessionOptions {
        auth_type: AuthType::ClientSecret,
        credentials: client(CredentialSource::PrivateKey(path)),
        overrides: Overrides { scopes: Scope::parse_list("all openid"), ..Overrides::default() },
        ..served.options(Arc::new(Unattended))
    };
    let session = Session::new(options);
    session.token().await.unwrap();
    let (form, authorization) = realm.forms.lock().unwrap()[0].clone();
    assert_eq!((form["scope"].as_str(), form["client_id"].as_str()), ("all openid", "ci"));
    assert_eq!(form["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    assert_eq!(authorization, None);
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
    validation.validate_exp = false;
    validation.set_audience(&[served.url("token").as_str()]);
    validation.set_issuer(&["ci"]);
    let public = jsonwebtoken::DecodingKey::from_ec_pem(key.public_key_pem().as_bytes()).unwrap();
    let claims: serde_json::Value =
        jsonwebtoken::decode(form["client_assertion"].as_str(), &public, &validation).unwrap().claims;
    assert_eq!((claims["sub"].as_str(), claims["exp"].as_i64()), (Some("ci"), Some(NOW + 120)));
    // Each assertion is used once.
    session.login().await.unwrap();
    assert_ne!(realm.forms.lock().unwrap()[1].0["client_assertion"], form["client_assertion"]);
}

#[tokio::test]
async fn a_rejected_api_key_is_not_an_ended_session() {
    let (_, served) = realm(|_| {}).await;
    let text = STANDARD.encode(format!("localhost:{}:ci:wrong:None", served.port));
    let options = served.options(Arc::new(Unattended)).with_api_key(ApiKey::decode(&text).unwrap());
    assert_eq!(
        (options.auth_type, options.endpoint.authority()),
        (AuthType::ClientSecret, served.endpoint().authority())
    );
    let error = Session::new(options).token().await.unwrap_err();
    assert!(
        matches!(&error, AuthError::ClientRefused { client_id, .. } if client_id.as_str() == "ci"),
        "{error:?}"
    );
    assert!(error.is_authentication() && !error.to_string().contains("wrong"));
}

#[tokio::test]
async fn the_person_is_warned_once_in_the_last_week_of_a_key() {
    const DAY: i64 = 86_400;
    for (expires_at, warning) in [
        (None, ""),
        // RFC 7591 section 3.2.1: the secret never expires.
        (Some(0), ""),
        (Some(NOW + 7 * DAY + 7200), ""),
        (Some(NOW + 7 * DAY), "ci expires at 1700604800, in 604800s. "),
        (Some(NOW - 1), "ci expires at 1699999999, in 0ns. "),
    ] {
        let (_, served) = realm(|rules| rules.secret_expires_at = expires_at).await;
        let listener = Arc::new(Recorder::default());
        let interaction = Arc::clone(&listener) as Arc<dyn Interaction>;
        let options = served.options(interaction);
        let session = Session::new(SessionOptions {
            auth_type: AuthType::ClientSecret,
            credentials: secret(),
            ..options
        });
        for _ in 0..2 {
            session.token().await.unwrap();
            session.options().clock.advance(3600);
        }
        assert_eq!(*listener.0.lock().unwrap(), warning, "{expires_at:?}");
    }
}
