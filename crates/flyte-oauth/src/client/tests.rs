use base64::engine::general_purpose::STANDARD;

use super::*;
use flyte_model::Scopes;

fn basic(text: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, format!("Basic {}", STANDARD.encode(text)).parse().unwrap());
    headers
}

fn parse(headers: &HeaderMap, form: &str) -> Result<(String, Option<String>), ErrorCode> {
    let credentials = Credentials::parse(headers, &Parameters::parse(form.as_bytes()).unwrap());
    credentials
        .map(|c| (c.id, c.secret.map(|secret| secret.expose_secret().to_owned())))
        .map_err(|error| error.code)
}

#[test]
fn each_method_is_parsed() {
    let none = HeaderMap::new();
    let with = |secret: &str| Some(secret.to_owned());
    for (headers, form, expected) in [
        (&none, "client_id=a", Ok(("a".to_owned(), None))),
        (&none, "client_id=a&client_secret=", Ok(("a".to_owned(), None))),
        (&none, "client_id=a&client_secret=s%2B", Ok(("a".to_owned(), with("s+")))),
        (&basic("a:s"), "", Ok(("a".to_owned(), with("s")))),
        (&basic("a:s"), "client_id=a", Ok(("a".to_owned(), with("s")))),
        (&basic("a:"), "", Ok(("a".to_owned(), None))),
        (&basic("a%3Ab:p+w%3A%25"), "", Ok(("a:b".to_owned(), with("p w:%")))),
        // The published client sends this for the identifier `my id`.
        (&basic("my id:p+w%3A%25"), "client_id=my+id", Ok(("my id".to_owned(), with("p w:%")))),
        (&none, "", Err(ErrorCode::InvalidRequest)),
        (&none, "client_secret=s", Err(ErrorCode::InvalidRequest)),
        (&none, "client_id=a&client_id=a", Err(ErrorCode::InvalidRequest)),
        (&basic("a:s"), "client_id=b", Err(ErrorCode::InvalidRequest)),
        (&basic("a:s"), "client_secret=s", Err(ErrorCode::InvalidRequest)),
        (&basic("a"), "", Err(ErrorCode::InvalidClient)),
        (&basic(":s"), "", Err(ErrorCode::InvalidClient)),
        (&basic("a:%FF"), "", Err(ErrorCode::InvalidClient)),
        (&basic("a&b:s"), "", Err(ErrorCode::InvalidClient)),
    ] {
        assert_eq!(parse(headers, form), expected, "{headers:?} {form}");
    }
}

#[test]
fn other_headers_are_refused() {
    for value in ["Bearer x", "Basic", "Basic !", "Basic", "Digest a", "Basic gA=="] {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        assert_eq!(parse(&headers, "client_id=a"), Err(ErrorCode::InvalidClient), "{value}");
    }
    let mut two = basic("a:s");
    two.append(header::AUTHORIZATION, "Basic YTpz".parse().unwrap());
    assert_eq!(parse(&two, ""), Err(ErrorCode::InvalidRequest));
    let mut odd = HeaderMap::new();
    odd.insert(header::AUTHORIZATION, "bAsIc   YTpz".parse().unwrap());
    assert_eq!(parse(&odd, ""), Ok(("a".to_owned(), Some("s".to_owned()))));
    odd.insert(header::AUTHORIZATION, "Basic YTpzcw".parse().unwrap());
    assert_eq!(parse(&odd, ""), Ok(("a".to_owned(), Some("ss".to_owned()))));
}

#[test]
fn an_identifier_without_encoding_is_found_too() {
    let form = Parameters::parse(b"").unwrap();
    let credentials = Credentials::parse(&basic("a+b%41:s"), &form).unwrap();
    assert!(credentials.is_named("a bA") && credentials.is_named("a+b%41") && !credentials.is_named("s"));
}

#[test]
fn a_client_authenticates_as_registered() {
    let client = |kind, secret: Option<&str>| Client {
        id: ClientId::from_static("a"),
        name: "A".into(),
        kind,
        secret_hash: secret.map(opaque_token::hash),
        jwks: None,
        redirect_uris: vec![],
        post_logout_redirect_uris: vec![],
        grant_types: vec![],
        scopes: Scopes::new(),
        first_party: false,
        may_keep_api_keys: false,
        id_token_signed_response_alg: None,
        created_at: 0,
    };
    for (kind, registered, presented, expected) in [
        (ClientKind::Public, None, None, true),
        (ClientKind::Public, None, Some("s"), false),
        (ClientKind::Public, Some("s"), Some("s"), false),
        (ClientKind::Confidential, Some("s"), Some("s"), true),
        (ClientKind::Confidential, Some("s"), Some("S"), false),
        (ClientKind::Confidential, Some("s"), None, false),
        (ClientKind::Confidential, None, None, false),
        (ClientKind::Confidential, None, Some("s"), false),
    ] {
        let presented = presented.map(SecretString::from);
        assert_eq!(has_valid_secret(&client(kind, registered), presented.as_ref()), expected);
    }
}

#[test]
fn the_secret_is_not_in_debug() {
    let form = Parameters::parse(b"").unwrap();
    let credentials = Credentials::parse(&basic("a:hunter2"), &form).unwrap();
    assert!(!format!("{credentials:?}").contains("hunter2"));
}
