use proptest::prelude::*;

use super::*;

fn parse(status: u16, body: &str) -> Result<TokenResponse, AuthError> {
    TokenResponse::parse("https://issuer.example/token", status, body.as_bytes())
}

#[test]
fn a_whole_response_is_read() {
    let response = parse(
        200,
        r#"{"access_token":"a","token_type":"bearer","expires_in":"3600","refresh_token":"r","scope":"a b"}"#,
    )
    .unwrap();
    assert_eq!(response.expires_in, Some(3600));
    assert_eq!(response.refresh_token.unwrap().expose_secret(), "r");
}

#[test]
fn unusual_responses_are_read() {
    for body in [
        r#"{"access_token":"a","refresh_token":"r","expires_in":3600,"scope":"a b","token_type":null,"id_token":{}}"#,
        r#"{"accessToken":"a","refreshToken":"r","expiresIn":"3600","scope":["a","b"],"token_type":""}"#,
        r#"{"access_token":" a ","refresh_token":"r","expires_in":"3600s","scope":"a,b","error":null}"#,
        r#"{"access_token":["a"],"refresh_token":"r","expires_in":3600.5,"scope":"a  b","error":"","token_type":"BEARER"}"#,
        "access_token=a&refresh_token=r&expires_in=3600&scope=a+b&token_type=bearer\n",
    ] {
        let response = parse(200, body).unwrap();
        assert_eq!(response.access_token.expose_secret(), "a", "{body}");
        assert_eq!(response.refresh_token.unwrap().expose_secret(), "r", "{body}");
        let scopes = response.scopes.as_deref().map(Scope::join);
        assert_eq!((response.expires_in, scopes.as_deref()), (Some(3600), Some("a b")), "{body}");
    }
    for nothing in ["null", "\"\"", "\"soon\"", "{}", "[]", "-1", "true"] {
        let body =
            format!(r#"{{"access_token":"a","expires_in":{nothing},"refresh_token":null,"scope":null}}"#);
        let response = parse(200, &body).unwrap();
        assert_eq!((response.expires_in, response.scopes), (None, None), "{body}");
        assert!(response.refresh_token.is_none());
    }
}

#[test]
fn an_unusable_answer_is_described() {
    for (status, body, expected) in [
        (200, "<html><title>Sign in</title>", "it is a web page (\"Sign in\")"),
        (200, "", "it is empty"),
        (
            200,
            r#"{"access_token":"","x":1}"#,
            "it has no access_token: it is an object with the members access_token, x",
        ),
        (200, r#"{"access_token":{}}"#, "it has no access_token"),
        (200, r#"{"access_token":{"s3cret":1}}"#, "its member access_token is an object, not a text"),
        (200, r#"{"access_token":"s3cret s3cret"}"#, "its access_token holds characters"),
        (200, r#"{"access_token":"s3cret","token_type":"mac"}"#, "its token_type is \"mac\", not Bearer"),
        (
            404,
            r#"{"code":"not_found","message":"no route"}"#,
            "HTTP status 404; it is an object that says \"no route\"",
        ),
        (503, r#"{"error":"invalid_grant"}"#, "HTTP status 503; it is an object that says \"invalid_grant\""),
        (400, "upstream s3cret=s3cret", "HTTP status 400; it is the text \"upstream s3cret=\""),
        (404, r#"{"error":"invalid_grant"}"#, "HTTP status 404"),
        (
            400,
            r#"{"status":400,"error":"Bad Request","path":"/token"}"#,
            "HTTP status 400; it is an object that says",
        ),
        (200, "s3cret", "it is a text of 6 bytes"),
        (200, r#"{"access_token":"s3cret","#, "it is JSON that is cut off or broken"),
    ] {
        let error = parse(status, body).unwrap_err();
        assert!(matches!(error, AuthError::BadAnswer { .. }), "{body}: {error:?}");
        let text = error.to_string();
        assert!(text.contains(expected), "{body}: {text}");
        assert!(!text.replace("s3cret=", "").contains("s3cret"), "{text}");
    }
}

#[test]
fn refusals_have_the_servers_code_and_description() {
    for (status, body, code, described) in [
        (
            400,
            r#"{"error":"invalid_grant","error_description":"gone\u001b[31m"}"#,
            "invalid_grant",
            Some("gone[31m"),
        ),
        (401, r#"{"error":"invalid_client","error_description":null}"#, "invalid_client", None),
        (
            200,
            r#"{"error":"bad_refresh_token","error_description":"It expired."}"#,
            "bad_refresh_token",
            Some("It expired."),
        ),
        (
            200,
            "error=bad_verification_code&error_description=It+expired.",
            "bad_verification_code",
            Some("It expired."),
        ),
        (
            403,
            r#"{"error":{"code":7,"status":"PERMISSION_DENIED","message":"disabled"}}"#,
            "7",
            Some("disabled"),
        ),
        (
            401,
            r#"{"errorCode":"invalid_client","errorSummary":"Invalid value for 'client_id'","errorLink":"invalid_client"}"#,
            "invalid_client",
            Some("Invalid value for 'client_id'"),
        ),
        (400, r#"{"error":["invalid_scope"],"error_description":["a","b"]}"#, "invalid_scope", None),
    ] {
        match parse(status, body) {
            Err(AuthError::Refused { code: found, description }) => {
                assert_eq!((found.as_str(), description.as_deref()), (code, described), "{body}");
            }
            other => panic!("{body}: {other:?}"),
        }
    }
    assert!(parse(200, r#"{"access_token":"a","error":"none"}"#).is_ok(), "it has an access token");
}

#[test]
fn no_secret_is_shown() {
    let response = parse(200, r#"{"access_token":"s3cret","refresh_token":"s3cret2"}"#).unwrap();
    let token = AccessToken::new(response.access_token.clone(), None, None, 0.5);
    let error = parse(200, r#"{"access_token":"s3cret","token_type":"dpop"}"#).unwrap_err();
    for shown in [format!("{response:?}"), format!("{token:?}"), format!("{error:?} {error}")] {
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}

#[test]
fn a_token_is_refreshed_within_the_window_before_it_expires() {
    let secret = || SecretString::from("t");
    for jitter in [0.0, 0.3, 1.0] {
        let token = AccessToken::new(secret(), Some(10_000), Some(3600), jitter);
        assert!(token.is_fresh(10_000 - 301) && !token.is_fresh(10_000 - 149) && token.is_valid(9_999));
        let short = AccessToken::new(secret(), Some(10_000), Some(10), jitter);
        assert!(short.is_fresh(10_000 - 3) && !short.is_fresh(9_999));
        assert!(!short.is_valid(10_000));
    }
    assert!(AccessToken::new(secret(), None, None, 0.5).is_fresh(i64::MAX));
}

#[test]
fn the_expiry_of_a_jwt_is_read() {
    let claims = URL_SAFE_NO_PAD.encode(r#"{"exp":1700000000.5}"#);
    assert_eq!(jwt_expiry(&format!("e30.{claims}.sig")), Some(1_700_000_000));
    assert_eq!(jwt_expiry("opaque"), None);
    let written = URL_SAFE_NO_PAD.encode(r#"{"exp":"1700000000","sub":17,"email":null,"nonce":"n"}"#);
    assert_eq!(jwt_expiry(&format!("e30.{written}==.sig")), Some(1_700_000_000));
    let id_token = Some(SecretString::from(format!("e30.{written}.sig")));
    let claims =
        TokenResponse { id_token, ..parse(200, r#"{"access_token":"a"}"#).unwrap() }.id_claims().unwrap();
    assert_eq!(claims.nonce.as_deref(), Some("n"));
    assert_eq!(claims.into_subject().as_deref(), Some("17"));
}

proptest! {
    #[test]
    fn no_answer_causes_a_panic(status in 100_u16..600, body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = TokenResponse::parse("https://issuer.example/token", status, &body);
        let _ = jwt_expiry(&String::from_utf8_lossy(&body));
    }
}
